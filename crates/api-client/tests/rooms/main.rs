//! The endpoints of rooms, through the router as clients reach it, on both engines.

mod relations;
mod server;
