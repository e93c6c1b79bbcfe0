//! What the words mean: services and layers, values and geometries, replicas, filters, edits, and the decisions of sync.
//!
//! Pure: no SQL, no HTTP, no JSON, no clock, no randomness; but a [`definition`] is a document that clients read. The rule that decides what a client is sent is
//! [`verdict::verdict`]; start there to understand sync.

pub mod account;
pub mod actor;
pub mod attachment;
pub mod attempts;
pub mod audit;
pub mod calendar;
pub mod candidate;
pub mod capability;
pub mod data_format;
pub mod definition;
pub mod digest;
pub mod edit;
pub mod filter;
pub mod geometry;
pub mod guard;
pub mod id;
pub mod job;
pub mod key;
pub mod layer;
pub mod life;
pub mod network;
pub mod output;
pub mod predicate;
pub mod principal;
pub mod provenance;
pub mod query;
pub mod quota;
pub mod replica;
pub mod row_rules;
pub mod rules;
pub mod shown;
pub mod standing;
pub mod statistics;
pub mod upload_item;
pub mod value;
pub mod verdict;
pub mod vertices;
