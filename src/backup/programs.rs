//! PostgreSQL's programs that save and load databases.

use std::{ffi::OsStr, path::Path, process::Stdio};

use tokio::process::Command;
use url::Url;

use crate::{
    error::{Error, Result},
    postgres,
};

/// Runs `pg_dump` or `pg_restore` on the database at `url`, whose server is of this major version, to its end.
pub(super) async fn run(
    name: &'static str,
    bin_dir: Option<&Path>,
    major: u32,
    url: &str,
    arguments: &[&OsStr],
) -> Result<()> {
    let program = postgres::program(name, bin_dir, major)
        .await
        .map_err(|error| Error::internal("looking for PostgreSQL's programs", error))?;
    let (address, password) = address(url);
    let mut command = Command::new(&program);
    command.arg("--dbname").arg(address).arg("--no-password").args(arguments);
    // Not among the arguments, which everybody on the machine can read.
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| {
        Error::Unavailable(format!(
            "{} cannot be run ({error}); install PostgreSQL's client programs, version {major} or later, or say in the setting pg_bindir \
             where they are",
            program.display()
        ))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let complaints = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Unavailable(format!("{name} failed: {complaints}")))
}

/// An address of a database without its password, and that.
fn address(url: &str) -> (String, Option<String>) {
    let Ok(mut url) = Url::parse(url) else { return (url.to_owned(), None) };
    // As in a form, in which only the plus sign means something else.
    let password = url.password().map(|text| ["p=", &text.replace('+', "%2B")].concat());
    let password = password.and_then(|pair| Some(form_urlencoded::parse(pair.as_bytes()).next()?.1.into_owned()));
    // Fails only where there can be none.
    let _ = url.set_password(None);
    (url.to_string(), password)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn the_password_of_an_address_is_taken_out() {
        let (bare, password) = address("postgres://me:a%2Bb+c%40@host:5433/gis?sslmode=require");
        assert_eq!(bare, "postgres://me@host:5433/gis?sslmode=require");
        assert_eq!(password.as_deref(), Some("a+b+c@"));
        let socket = "postgres://syncline@localhost:5432/syncline?host=%2Ftmp%2Fx";
        assert_eq!(address(socket), (socket.to_owned(), None));
    }
}
