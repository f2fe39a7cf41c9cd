//! Statements and works on the tables of this crate.

pub(crate) mod progress;
pub(crate) mod pushers;
