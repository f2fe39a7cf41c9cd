//! One module for each command.

pub(crate) mod config;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod version;
