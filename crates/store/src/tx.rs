//! A transaction as a work sees it.

use std::sync::atomic::{AtomicI64, Ordering};

use haechi_base::{LaneId, StreamPos};

use crate::{Change, Column, FromRow, Note, Result, Sql, StoreError, Value, pg, sqlite};

/// An open transaction. The engine begins and ends it; a work only runs statements.
pub struct Tx<'a> {
    pub(crate) conn: Conn<'a>,
    pub(crate) lane: Option<LaneCursor<'a>>,
    /// Has the running work changed anything yet, or spoilt the transaction? Decides whether its
    /// failure needs a rollback.
    pub(crate) wrote: bool,
}

pub(crate) enum Conn<'a> {
    Sqlite(&'a mut rusqlite::Connection),
    Pg(pg::Session<'a>),
}

/// The end of the lane as this transaction has pushed it, and what the work announced on the way.
///
/// The end is shared: on PostgreSQL the works of a group take turns on one connection.
pub(crate) struct LaneCursor<'a> {
    pub(crate) lane: LaneId,
    pub(crate) end: &'a AtomicI64,
    pub(crate) notes: Vec<Note>,
}

impl<'a> Tx<'a> {
    /// A transaction for one work.
    pub(crate) fn new(conn: Conn<'a>, lane: Option<LaneCursor<'a>>) -> Self {
        Self { conn, lane, wrote: false }
    }

    /// What the work announced; leaves nothing behind.
    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        self.lane.as_mut().map(|cursor| std::mem::take(&mut cursor.notes)).unwrap_or_default()
    }

    /// Runs a statement that returns no rows; returns how many rows it changed.
    pub async fn exec(&mut self, sql: &'static Sql, args: &[Value<'_>]) -> Result<u64> {
        self.wrote = true;
        match &mut self.conn {
            Conn::Sqlite(conn) => sqlite::exec(conn, sql, args),
            Conn::Pg(session) => session.exec(sql, args).await,
        }
    }

    /// Runs a statement that returns no rows, when it does not matter how many it changed.
    ///
    /// On PostgreSQL its answer is awaited at the end of the work, so that it costs no round trip of
    /// its own; if it failed, so does the work.
    pub async fn put(&mut self, sql: &'static Sql, args: &[Value<'_>]) -> Result<()> {
        self.wrote = true;
        match &mut self.conn {
            Conn::Sqlite(conn) => sqlite::exec(conn, sql, args).map(drop),
            Conn::Pg(session) => session.put(sql, args, None).await,
        }
    }

    /// Runs a statement that changes exactly one row; anything else is an error, which is told as by
    /// [`Tx::put`].
    pub async fn exec_one(&mut self, sql: &'static Sql, args: &[Value<'_>]) -> Result<()> {
        self.wrote = true;
        match &mut self.conn {
            Conn::Sqlite(conn) => match sqlite::exec(conn, sql, args)? {
                1 => Ok(()),
                changed => Err(miscounted(sql, changed)),
            },
            Conn::Pg(session) => session.put(sql, args, Some(1)).await,
        }
    }

    /// Awaits whatever was not awaited yet. The engine does so before it looks at the work's outcome.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        match &mut self.conn {
            Conn::Sqlite(_) => Ok(()),
            Conn::Pg(session) => session.settle().await,
        }
    }

    /// Runs one statement for many rows of arguments, on PostgreSQL in one round trip.
    pub async fn exec_many(&mut self, sql: &'static Sql, rows: &[&[Value<'_>]]) -> Result<u64> {
        self.wrote = true;
        match &mut self.conn {
            Conn::Sqlite(conn) => {
                rows.iter().try_fold(0, |sum, args| Ok(sum + sqlite::exec(conn, sql, args)?))
            }
            Conn::Pg(session) => session.exec_many(sql, rows).await,
        }
    }

    /// Runs a statement for each row of the columns, on PostgreSQL once with arrays; returns how many
    /// rows it changed. See [`Column`] for how the texts differ.
    pub async fn exec_columns(&mut self, sql: &'static Sql, columns: &[Column<'_>]) -> Result<u64> {
        self.wrote = true;
        match &mut self.conn {
            Conn::Sqlite(conn) => sqlite::exec_columns(conn, sql, columns),
            Conn::Pg(session) => session.exec_columns(sql, columns).await,
        }
    }

    /// What a query finds for all rows of the columns together, in no order.
    pub async fn all_columns<T: FromRow>(
        &mut self,
        sql: &'static Sql,
        columns: &[Column<'_>],
    ) -> Result<Vec<T>> {
        match &mut self.conn {
            Conn::Sqlite(conn) => sqlite::all_columns(conn, sql, columns),
            Conn::Pg(session) => session.all_columns(sql, columns).await,
        }
    }

    /// The first row, if there is one. Also for `INSERT … RETURNING`.
    pub async fn opt<T: FromRow>(
        &mut self,
        sql: &'static Sql,
        args: &[Value<'_>],
    ) -> Result<Option<T>> {
        self.wrote |= !sql.is_query();
        match &mut self.conn {
            Conn::Sqlite(conn) => sqlite::opt(conn, sql, args),
            Conn::Pg(session) => session.opt(sql, args).await,
        }
    }

    /// The first row; an error when there is none.
    pub async fn one<T: FromRow>(&mut self, sql: &'static Sql, args: &[Value<'_>]) -> Result<T> {
        self.opt(sql, args).await?.ok_or_else(|| StoreError::Driver {
            statement: sql.name,
            reason: "no row where one was expected".to_owned(),
        })
    }

    /// All rows.
    pub async fn all<T: FromRow>(
        &mut self,
        sql: &'static Sql,
        args: &[Value<'_>],
    ) -> Result<Vec<T>> {
        self.wrote |= !sql.is_query();
        match &mut self.conn {
            Conn::Sqlite(conn) => sqlite::all(conn, sql, args),
            Conn::Pg(session) => session.all(sql, args).await,
        }
    }

    /// Takes the next place in the lane for `change`; it is announced when the commit is durable.
    ///
    /// Places ascend in the order of the calls. There may be gaps: the place of a work that failed.
    /// Only in [`Db::write`](crate::Db::write); a read has no lane.
    pub fn announce(&mut self, change: Change) -> Result<StreamPos> {
        let cursor = self.lane.as_mut().ok_or(StoreError::Driver {
            statement: "announce",
            reason: "a read cannot announce a change".to_owned(),
        })?;
        let pos = StreamPos::new(cursor.lane, cursor.end.fetch_add(1, Ordering::Relaxed) + 1);
        cursor.notes.push(Note { pos, change });
        Ok(pos)
    }
}

/// A statement did not change the one row that it had to.
pub(crate) fn miscounted(sql: &Sql, changed: u64) -> StoreError {
    StoreError::Driver {
        statement: sql.name,
        reason: format!("changed {changed} rows where one was expected"),
    }
}
