//! G1 and G7: a reader that has seen a generation never finds a change below it later.
