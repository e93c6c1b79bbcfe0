//! The `syncline` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    syncline::cli::main()
}
