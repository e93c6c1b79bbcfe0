//! The offline client: a GeoPackage that is a replica of part of a feature service, and what keeps the two in step.
//!
//! [`clone`] makes the file, [`sync`] brings edits up and changes down, [`status`] says what stands out. Any program that
//! writes GeoPackages edits the file in between: triggers log what it does. Only the API's JSON is spoken, so the server may be any that
//! offers replicas in it.
//!
//! To follow a synchronization, start in [`sync`]; [`changes`] has what is sent, [`apply`] what is done with the answer, and
//! [`operation`] what lies between. Whatever is interrupted anywhere is gone on with by the same command.
//!
//! This room blocks: it runs in a program of its own and serves nobody else.

pub(crate) mod answer;
pub(crate) mod apply;
pub(crate) mod attachments;
pub(crate) mod changes;
pub(crate) mod clone;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod geometry;
pub(crate) mod http;
pub(crate) mod operation;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod service;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod values;

/// What is told while a command works.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said<'a> {
    /// Something that a person should know.
    Note(&'a str),
    /// What is being done, and how far it is: bytes, rows or edits.
    Progress(&'a str, u64),
}
