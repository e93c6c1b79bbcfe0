//! What tests share: databases, a server in the process, and the device of somebody in the field.

pub mod database;
pub mod program;
pub mod server;

pub use database::TestDatabase;
pub use program::Program;
pub use server::TestServer;
