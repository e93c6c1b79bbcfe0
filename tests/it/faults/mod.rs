//! Faults as the normal case: answers that are lost, connections that break, processes that are killed.

mod convergence;
pub mod disk;
mod dropped;
mod files;
mod kills;
mod line;
mod lost_answers;
mod soak;
mod steps;
