//! The integration tests: one binary, so that it is linked once.
//!
//! Each test has a database of its own on a real PostGIS, and speaks to the server's whole router in the process, or to
//! the real program. See `support` for what they share.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

mod accounting;
mod attachments;
mod auth;
mod backlog;
mod bad_input;
mod browser;
mod clients;
mod console;
mod definitions;
mod editing;
mod edits;
mod exchange;
mod extract;
mod faults;
mod forms;
mod fuzz;
mod geodatabase;
mod geopackage;
mod jobs;
mod life;
mod odd_rows;
mod offline;
mod openapi;
mod operations;
mod owners;
mod planted;
mod program;
mod publish;
mod query;
mod reading;
mod rebase;
mod regressions;
mod relationships;
mod replica_parameters;
mod replicas;
mod result_files;
mod rooms;
mod security;
mod service;
mod shapes;
mod sync;
mod synchronize;
mod uploads;
