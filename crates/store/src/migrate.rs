//! Migrations: embedded, checksummed, append-only.
//!
//! A migration is written in PostgreSQL's types; on SQLite `BIGINT` becomes `INTEGER` and `BYTEA`
//! `BLOB`. Three tokens stand for what differs: `{identity}` (a primary key that numbers itself),
//! `{strict}` and `{clustered}` (table options).

use sha2::{Digest, Sha256};

/// One step. Once released it never changes; a later step changes what it made.
#[derive(Debug)]
pub struct Migration {
    /// File name without ending: `0001_users`. Sorted by it.
    pub name: &'static str,
    /// The common text.
    pub text: &'static str,
    /// The text for PostgreSQL where the common one does not do.
    pub pg: Option<&'static str>,
}

/// The migrations of one crate.
#[derive(Debug)]
pub struct Schema {
    /// Name of the crate: `rooms`.
    pub module: &'static str,
    /// In the order of their names.
    pub migrations: &'static [Migration],
}

/// Builds a [`Schema`](crate::Schema) from files in the crate's `migrations/` folder.
///
/// ```ignore
/// pub static SCHEMA: Schema = schema!("rooms": "0001_rooms", "0002_aliases");
/// ```
#[macro_export]
macro_rules! schema {
    ($module:literal : $($name:literal),+ $(,)?) => {
        $crate::Schema {
            module: $module,
            migrations: &[$($crate::Migration {
                name: $name,
                text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $name, ".sql")),
                pg: None,
            }),+],
        }
    };
}

impl Migration {
    /// The text for SQLite.
    pub(crate) fn sqlite(&self) -> String {
        self.text
            .replace("BIGINT", "INTEGER")
            .replace("BYTEA", "BLOB")
            .replace("{identity}", "INTEGER PRIMARY KEY")
            .replace("{strict}", "STRICT")
            .replace("{clustered}", "STRICT, WITHOUT ROWID")
    }

    /// A fingerprint of the text, to notice when a released migration was changed.
    pub(crate) fn checksum(&self) -> String {
        Sha256::digest(self.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
