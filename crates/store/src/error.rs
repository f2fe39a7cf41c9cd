//! What can go wrong in the store.

/// Result of everything in this crate.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What can go wrong in the store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// A constraint refused the row. Not to be caught inside a `Work`: it poisons a PostgreSQL
    /// transaction; use `ON CONFLICT` there.
    #[error("constraint refused the row: {0}")]
    Conflict(String),
    /// Queues are full; the caller may try again a little later.
    #[error("the store has too much to do")]
    Overloaded,
    /// The database cannot be reached or cannot take writes now.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// The commit was sent but its answer was lost: look the id up before answering.
    #[error("the outcome of the commit is unknown: {0}")]
    Unknown(String),
    /// The lane has passed to another owner; what was queued was not written.
    #[error("lane lost to another node")]
    Fenced,
    /// A row is not what this version can read.
    #[error("unreadable value in column {column} of {statement}: {reason}")]
    Corrupt {
        /// Name of the statement.
        statement: &'static str,
        /// Column, from 0.
        column: usize,
        /// What was wrong.
        reason: String,
    },
    /// A work panicked; it was rolled back.
    #[error("work {0} panicked")]
    Panicked(&'static str),
    /// The database said something unexpected.
    #[error("{statement}: {reason}")]
    Driver {
        /// Name of the statement or step.
        statement: &'static str,
        /// What the driver said.
        reason: String,
    },
    /// A migration is missing, changed, or failed.
    #[error("migration {0}")]
    Migration(String),
}

impl StoreError {
    /// Is the trouble likely to pass, so that the client should try again?
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Overloaded | Self::Unavailable(_) | Self::Unknown(_) | Self::Fenced)
    }
}
