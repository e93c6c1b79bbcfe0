//! The engine under histories that nobody would think of, and the order of commits.

mod commit_order;
pub mod device;
mod filters;
mod histories;
mod interleavings;
pub mod model;
mod overwrites;
mod pairs;
mod races;
mod related;
mod rollback;
mod snapshots;
mod windows;
