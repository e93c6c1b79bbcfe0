//! Mobile geodatabases.

mod geometry;
mod reference;
mod simple;
