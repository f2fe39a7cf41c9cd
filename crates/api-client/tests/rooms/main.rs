//! The endpoints of rooms, through the router as clients reach it, on both engines.

mod directory;
mod memory;
mod personal;
mod relations;
mod reports;
mod search;
mod server;
mod upgrade;
