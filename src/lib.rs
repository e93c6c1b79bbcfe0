//! Syncline: a feature service server whose clients may be offline.
//!
//! The map, in the order in which the parts build on each other:
//!
//! - [`model`]: what the words mean; pure. [`model::verdict`] decides what a client is sent.
//! - [`error`]: the ways in which a request fails.
//! - [`config`]: the settings.
//! - [`wire`]: request parameters and Esri JSON; text into values, values into documents.
//! - [`sql`]: statements over published tables.
//! - [`store`]: the only room that talks to PostgreSQL; sessions, transactions, catalogue, publishing.
//! - [`postgres`]: a private PostgreSQL for when none is configured.
//! - [`files`]: results while they are written and while they wait to be fetched, and files that clients send.
//! - [`metrics`]: what is counted while the server runs.
//! - [`mod@format`]: rows into bytes.
//! - [`sqlite`]: databases as files, made and read.
//! - [`gdal`]: exports in the formats that GDAL writes.
//! - [`query`]: the connected reading path.
//! - [`sync`]: the engine: edits in, snapshots and deltas out.
//! - [`replica`]: the life of a replica.
//! - [`uploads`]: files that clients send.
//! - [`editing`]: what connected clients change.
//! - [`jobs`]: operations that run on their own.
//! - [`books`]: what replicas uploaded, and what can be done about what went wrong.
//! - [`auth`]: who asks.
//! - `backup`: the database and the files as one, and the way back.
//! - [`console`]: what administrators see of the whole server, and do with many replicas at once.
//! - [`http`]: routes, parameters, responses, pages.
//! - [`mod@client`]: a GeoPackage that is a replica, and what keeps it in step with a server.
//! - [`cli`]: the commands.
//!
//! To follow a synchronization, start in `http::handlers`, go to `replica::synchronize`, and from there to
//! `sync::apply`, `sync::download` and [`model::verdict`]. How changes are numbered stands in `migrations/0001_first.sql`.

#![forbid(unsafe_code)]
#![recursion_limit = "256"]

pub mod app;
mod auth;
mod backup;
mod books;
pub mod cli;
mod client;
pub mod config;
mod console;
mod editing;
pub mod error;
pub mod files;
mod format;
mod gdal;
pub mod http;
pub mod jobs;
pub mod metrics;
pub mod model;
pub mod postgres;
mod query;
mod replica;
mod sql;
mod sqlite;
pub mod store;
mod sync;
pub mod uploads;
mod wire;
