//! Mobile geodatabases.

mod column;
mod geometry;
mod reference;
mod simple;
mod table;
mod xml;
