//! SQLite: one writer thread that commits many works at once, reader threads, and one that
//! copies the log back.

mod checkpoint;
mod engine;
mod readers;
mod statement;
mod writer;

pub(crate) use engine::Engine;
pub(crate) use statement::{all, all_columns, exec, exec_columns, opt};
