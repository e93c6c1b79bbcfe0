//! Mobile geodatabases.

mod geometry;
mod simple;
