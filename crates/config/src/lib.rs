//! The configuration: one TOML file, every key also by environment, the usual ones by flag.
//!
//! [`load`] lays four layers over one another, later ones winning: the defaults, the file, the
//! environment (`HAECHI_` and the key in capitals, `.` written `_`), and the flags. Whatever is wrong
//! is collected and told at once, each with what to do about it.
//!
//! [`KEYS`] is the one list of what can be set. The reference (`docs/configuration.md`), the
//! annotated example (`haechi.example.toml`), the names of variables, types, ranges and defaults all
//! come from it, and a test keeps it in step with the structs here.
//!
//! Secrets come from the file, the environment or a file of their own, never from a flag (every user
//! of a machine can read its command lines), and are never printed.

mod database;
mod error;
mod keys;
mod layers;
mod render;
mod secret;
mod sections;
mod turn;

pub use database::{Database, DatabaseTarget};
pub use error::{ConfigError, Problem};
pub use keys::{KEYS, Key, Kind, Secrecy};
pub use layers::{Layers, Loaded, Origin, environment, find_file, load};
pub use render::{render_example, render_reference};
pub use secret::Secret;
pub use sections::{
    Config, Limits, Log, LogFormat, Media, Presence, PresenceMode, Push, PushBadge, RateLimits,
    Registration, Tls,
};
pub use turn::Turn;
