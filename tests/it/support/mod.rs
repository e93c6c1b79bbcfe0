//! What tests share: databases, a server in the process, and the device of somebody in the field.

pub mod database;
pub mod database_file;
pub mod pbf;
pub mod program;
pub mod proxy;
pub mod server;
pub mod watch;

pub use database::TestDatabase;
pub use program::Program;
pub use server::TestServer;

/// A number from the environment that sets the size of a test.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting, which is not the program's")]
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Where chance begins: `SYNCLINE_SEED`.
pub fn seed() -> u64 {
    setting("SYNCLINE_SEED", 1)
}

/// How much of a test is done: `often` with every run of the tests, `long` by `scripts/test-long`, which sets
/// `SYNCLINE_LONG`.
pub fn at_length<T>(often: T, long: T) -> T {
    if setting("SYNCLINE_LONG", 0) > 0 { long } else { often }
}

/// Numbers of a small generator, the same in each run with the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        let mut dice = Dice(seed);
        // Small seeds are alike at first.
        dice.roll(2);
        dice
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let n = self.roll(from.len() as u64);
        from[usize::try_from(n).unwrap()].clone()
    }
}
