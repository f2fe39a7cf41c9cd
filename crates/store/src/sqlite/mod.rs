//! SQLite: one writer thread that commits many works at once, and reader threads.

mod engine;
mod readers;
mod statement;
mod writer;

pub(crate) use engine::Engine;
pub(crate) use statement::{all, exec, opt};
