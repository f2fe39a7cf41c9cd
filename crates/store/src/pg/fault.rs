//! What an error of PostgreSQL means for the transaction, and how callers are told.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio_postgres::{Error, error::SqlState};

use crate::{Sql, StoreError};

/// What an error means, from harmless to grave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Nothing happened.
    None = 0,
    /// A statement was refused: the transaction is spoilt, the connection is well.
    Statement = 1,
    /// It collided with another transaction: run again.
    Collision = 2,
    /// The connection, or the server behind it, is of no more use: it broke, or the server said that
    /// it is going away or no longer takes writes.
    Lost = 3,
}

impl Fault {
    pub(super) fn of(error: &Error) -> Self {
        let Some(db) = error.as_db_error() else {
            let by_transport = std::error::Error::source(error)
                .is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
            return if error.is_closed() || by_transport { Self::Lost } else { Self::Statement };
        };
        match *db.code() {
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => {
                Self::Collision
            }
            SqlState::READ_ONLY_SQL_TRANSACTION
            | SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN
            | SqlState::CANNOT_CONNECT_NOW
            | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Self::Lost,
            ref code if code.code().starts_with("08") => Self::Lost,
            _ => Self::Statement,
        }
    }
}

/// The gravest fault seen by anyone on one connection since it was last asked.
///
/// Kept apart from the errors, which a work may swallow.
#[derive(Debug, Default)]
pub(super) struct Faults(AtomicU8);

impl Faults {
    pub(super) fn note(&self, fault: Fault) {
        self.0.fetch_max(fault as u8, Ordering::Relaxed);
    }

    pub(super) fn worst(&self) -> Fault {
        match self.0.load(Ordering::Relaxed) {
            0 => Fault::None,
            1 => Fault::Statement,
            2 => Fault::Collision,
            _ => Fault::Lost,
        }
    }
}

/// The error as a work or caller sees it. The server's detail is left out: it quotes rows.
pub(super) fn statement_error(sql: &'static Sql, error: &Error) -> StoreError {
    named_error(sql.name, error)
}

pub(super) fn named_error(statement: &'static str, error: &Error) -> StoreError {
    let unavailable = |reason: &str| StoreError::Unavailable(format!("{statement}: {reason}"));
    let Some(db) = error.as_db_error() else {
        return match Fault::of(error) {
            Fault::Statement => StoreError::Driver { statement, reason: describe(error) },
            _ => unavailable(&describe(error)),
        };
    };
    match (Fault::of(error), &db.code().code()[..2]) {
        (Fault::Statement, "23") => StoreError::Conflict(format!(
            "{statement}: {}",
            db.constraint().unwrap_or(db.message())
        )),
        // 53: disk full, out of memory, too many connections; 57: cancelled by an operator
        (Fault::Statement, "53" | "57") => unavailable(db.message()),
        (Fault::Statement, _) => StoreError::Driver {
            statement,
            reason: format!("{} ({})", db.message(), db.code().code()),
        },
        _ => unavailable(db.message()),
    }
}

/// The driver's own text says only which step failed; the cause says why.
pub(super) fn describe(error: &Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => db.message().to_owned(),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
