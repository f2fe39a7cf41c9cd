//! Users and what belongs to one user alone: account, devices, tokens, profile, account data.

mod model;

pub use model::Session;
