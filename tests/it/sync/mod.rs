//! The engine under histories that nobody would think of, and the order of commits.

mod commit_order;
mod device;
mod histories;
mod model;
mod related;
