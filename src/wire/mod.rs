//! Request parameters and Esri JSON: text into values that mean something in a service, and values into documents.
//!
//! All tolerance of spelling is here and nowhere else. After this room there is no unchecked text left.

pub(crate) mod accounts;
pub(crate) mod additions;
pub(crate) mod append;
pub(crate) mod append_source;
pub(crate) mod apply_edits;
pub(crate) mod attachment_form;
pub(crate) mod attachments;
pub(crate) mod audit;
pub(crate) mod backlog;
pub(crate) mod books;
pub(crate) mod calculate;
pub(crate) mod console;
pub(crate) mod definition;
pub(crate) mod describe;
pub(crate) mod edits;
pub(crate) mod error;
pub(crate) mod extract;
pub(crate) mod geometry;
pub(crate) mod import;
pub(crate) mod job;
mod layer_queries;
pub(crate) mod life;
pub(crate) mod members;
pub(crate) mod options;
pub(crate) mod output;
pub(crate) mod params;
pub(crate) mod query;
pub(crate) mod related;
pub(crate) mod replica;
pub(crate) mod selected;
pub(crate) mod service;
pub(crate) mod statistics;
mod stream;
pub(crate) mod synchronize;
pub(crate) mod upload_item;
pub(crate) mod url;
