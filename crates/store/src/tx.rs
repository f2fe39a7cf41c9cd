//! A transaction as a work sees it.

use haechi_base::{LaneId, StreamPos};

use crate::{Change, FromRow, Note, Result, Sql, StoreError, Value, sqlite};

/// An open transaction. The engine begins and ends it; a work only runs statements.
pub struct Tx<'a> {
    pub(crate) conn: Conn<'a>,
    pub(crate) lane: Option<LaneCursor>,
    /// Has the running work changed anything yet? Decides whether a failure needs a rollback.
    pub(crate) wrote: bool,
}

pub(crate) enum Conn<'a> {
    Sqlite(&'a mut rusqlite::Connection),
}

/// The end of the lane as this transaction has pushed it, and what it announced on the way.
pub(crate) struct LaneCursor {
    pub(crate) lane: LaneId,
    pub(crate) offset: i64,
    pub(crate) notes: Vec<Note>,
}

impl Tx<'_> {
    /// Runs a statement that returns no rows; returns how many rows it changed.
    pub async fn exec(&mut self, sql: &'static Sql, args: &[Value<'_>]) -> Result<u64> {
        self.wrote = true;
        match &mut self.conn {
            Conn::Sqlite(conn) => sqlite::exec(conn, sql, args),
        }
    }

    /// Runs a statement that changes exactly one row; anything else is an error.
    pub async fn exec_one(&mut self, sql: &'static Sql, args: &[Value<'_>]) -> Result<()> {
        let changed = self.exec(sql, args).await?;
        if changed == 1 {
            return Ok(());
        }
        Err(StoreError::Driver {
            statement: sql.name,
            reason: format!("changed {changed} rows where one was expected"),
        })
    }

    /// Runs one statement for many rows of arguments, on PostgreSQL in one round trip.
    pub async fn exec_many(&mut self, sql: &'static Sql, rows: &[&[Value<'_>]]) -> Result<u64> {
        self.wrote = true;
        match &mut self.conn {
            Conn::Sqlite(conn) => {
                rows.iter().try_fold(0, |sum, args| Ok(sum + sqlite::exec(conn, sql, args)?))
            }
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
        }
    }

    /// Takes the next place in the lane for `change`; it is announced when the commit is durable.
    ///
    /// Only in [`Db::write`](crate::Db::write); a read has no lane.
    pub fn announce(&mut self, change: Change) -> Result<StreamPos> {
        let cursor = self.lane.as_mut().ok_or(StoreError::Driver {
            statement: "announce",
            reason: "a read cannot announce a change".to_owned(),
        })?;
        cursor.offset += 1;
        let pos = StreamPos::new(cursor.lane, cursor.offset);
        cursor.notes.push(Note { pos, change });
        Ok(pos)
    }
}
