//! Running statements on a PostgreSQL connection.

use std::pin::pin;

use deadpool_postgres::ClientWrapper;
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, try_join_all},
};
use parking_lot::Mutex;
use tokio_postgres::{Error, Statement, types::ToSql};

use super::{
    fault::{Fault, Faults, statement_error},
    value::{Bound, BoundColumn, Encoded},
};
use crate::{
    Column, FromRow, Result, Row, Sql, StoreError, Value,
    row::{Inner, Tide},
    tx::miscounted,
};

/// Rows of arguments under way at once in [`Session::exec_many`], and statements in
/// [`Session::put`]: bounds the memory for them.
const PIPELINE_ROWS_MAX: usize = 1_024;

/// A connection with an open transaction, lent to one work.
pub(crate) struct Session<'a> {
    client: &'a ClientWrapper,
    faults: &'a Faults,
    tide: Option<&'a Tide>,
    sent: Vec<Sent<'a>>,
}

/// A statement whose answer has not been awaited yet.
struct Sent<'a> {
    sql: &'static Sql,
    /// How many rows it must change, if that matters.
    wanted: Option<u64>,
    /// Behind a lock only so that a session may be shared while it waits; nobody takes it.
    answer: Mutex<BoxFuture<'a, std::result::Result<u64, Error>>>,
}

impl<'a> Session<'a> {
    pub(super) fn new(client: &'a ClientWrapper, faults: &'a Faults) -> Self {
        Self { client, faults, tide: None, sent: Vec::new() }
    }

    /// Notes in `tide` which positions are read.
    pub(super) fn noting(self, tide: &'a Tide) -> Self {
        Self { tide: Some(tide), ..self }
    }

    pub(crate) async fn exec(&mut self, sql: &'static Sql, args: &[Value<'_>]) -> Result<u64> {
        let statement = self.prepare(sql).await?;
        self.execute(sql, &statement, args).await
    }

    /// Sends a statement whose answer is awaited by [`Session::settle`]: it shares its round trip with
    /// what is sent after it. Checks then that it changed `wanted` rows.
    pub(crate) async fn put(
        &mut self,
        sql: &'static Sql,
        args: &[Value<'_>],
        wanted: Option<u64>,
    ) -> Result<()> {
        if self.sent.len() >= PIPELINE_ROWS_MAX {
            self.settle().await?;
        }
        let statement = self.prepare(sql).await?;
        self.check_count(sql, &statement, args.len())?;
        let args = statement.params().iter().zip(args).map(|(ty, arg)| Encoded::new(*arg, ty));
        let args: Vec<Encoded> = args.collect();
        let client = self.client;
        let mut answer = async move { client.execute_raw(&statement, args).await }.boxed();
        // The first poll puts the message in the connection's queue.
        if let Some(early) = (&mut answer).now_or_never() {
            answer = std::future::ready(early).boxed();
        }
        self.sent.push(Sent { sql, wanted, answer: Mutex::new(answer) });
        Ok(())
    }

    /// Awaits what [`Session::put`] sent; the first failure.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        for Sent { sql, wanted, answer } in std::mem::take(&mut self.sent) {
            let settled = match answer.into_inner().await {
                Ok(changed) if wanted.is_none_or(|wanted| wanted == changed) => Ok(()),
                Ok(changed) => Err(miscounted(sql, changed)),
                Err(error) => Err(self.failed(sql, &error)),
            };
            outcome = outcome.and(settled);
        }
        outcome
    }

    /// All rows are sent at once; the answers are awaited together.
    pub(crate) async fn exec_many(
        &mut self,
        sql: &'static Sql,
        rows: &[&[Value<'_>]],
    ) -> Result<u64> {
        let statement = self.prepare(sql).await?;
        let mut changed = 0;
        for rows in rows.chunks(PIPELINE_ROWS_MAX) {
            let each = rows.iter().map(|args| self.execute(sql, &statement, args));
            changed += try_join_all(each).await?.into_iter().sum::<u64>();
        }
        Ok(changed)
    }

    pub(crate) async fn exec_columns(
        &mut self,
        sql: &'static Sql,
        columns: &[Column<'_>],
    ) -> Result<u64> {
        let statement = self.prepare(sql).await?;
        self.check_count(sql, &statement, columns.len())?;
        self.client
            .execute_raw(&statement, columns.iter().map(|column| BoundColumn(*column)))
            .await
            .map_err(|error| self.failed(sql, &error))
    }

    pub(crate) async fn all_columns<T: FromRow>(
        &mut self,
        sql: &'static Sql,
        columns: &[Column<'_>],
    ) -> Result<Vec<T>> {
        let statement = self.prepare(sql).await?;
        self.check_count(sql, &statement, columns.len())?;
        let mut found = Vec::new();
        self.each_of(sql, &statement, columns.iter().map(|column| BoundColumn(*column)), |row| {
            found.push(T::from_row(row)?);
            Ok(())
        })
        .await?;
        Ok(found)
    }

    pub(crate) async fn opt<T: FromRow>(
        &mut self,
        sql: &'static Sql,
        args: &[Value<'_>],
    ) -> Result<Option<T>> {
        let mut found = None;
        self.each(sql, args, |row| {
            if found.is_none() {
                found = Some(T::from_row(row)?);
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    pub(crate) async fn all<T: FromRow>(
        &mut self,
        sql: &'static Sql,
        args: &[Value<'_>],
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        self.each(sql, args, |row| {
            found.push(T::from_row(row)?);
            Ok(())
        })
        .await?;
        Ok(found)
    }

    async fn execute(
        &self,
        sql: &'static Sql,
        statement: &Statement,
        args: &[Value<'_>],
    ) -> Result<u64> {
        self.check_count(sql, statement, args.len())?;
        self.client
            .execute_raw(statement, args.iter().map(|arg| Bound(*arg)))
            .await
            .map_err(|error| self.failed(sql, &error))
    }

    /// Reads to the end whatever `on_row` says: an error may stand behind the last row.
    async fn each(
        &self,
        sql: &'static Sql,
        args: &[Value<'_>],
        on_row: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let statement = self.prepare(sql).await?;
        self.check_count(sql, &statement, args.len())?;
        self.each_of(sql, &statement, args.iter().map(|arg| Bound(*arg)), on_row).await
    }

    async fn each_of<P: ToSql>(
        &self,
        sql: &'static Sql,
        statement: &Statement,
        args: impl ExactSizeIterator<Item = P>,
        mut on_row: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let rows = self
            .client
            .query_raw(statement, args)
            .await
            .map_err(|error| self.failed(sql, &error))?;
        let mut rows = pin!(rows);
        let mut outcome = Ok(());
        while let Some(row) = rows.next().await {
            let row = row.map_err(|error| self.failed(sql, &error))?;
            if outcome.is_ok() {
                outcome =
                    on_row(&Row { statement: sql.name, inner: Inner::Pg(&row), tide: self.tide });
            }
        }
        outcome
    }

    /// Parsed once for each connection, then found by its text.
    async fn prepare(&self, sql: &'static Sql) -> Result<Statement> {
        self.client.prepare_cached(sql.pg).await.map_err(|error| self.failed(sql, &error))
    }

    /// The driver would panic.
    fn check_count(&self, sql: &Sql, statement: &Statement, count: usize) -> Result<()> {
        let wanted = statement.params().len();
        if wanted == count {
            return Ok(());
        }
        self.faults.note(Fault::Statement);
        Err(StoreError::Driver {
            statement: sql.name,
            reason: format!("{count} values for {wanted} placeholders"),
        })
    }

    fn failed(&self, sql: &'static Sql, error: &Error) -> StoreError {
        self.faults.note(Fault::of(error));
        statement_error(sql, error)
    }
}

/// Sends a command without waiting for its answer, so that it shares its round trip with whatever
/// is sent next. For commands that only fail with the connection, which the next one will notice.
pub(super) fn send_ahead(client: &ClientWrapper, command: &'static str) {
    // The first poll puts the message in the connection's queue; the answer to a dropped future is
    // read and thrown away.
    let _ = client.batch_execute(command).now_or_never();
}
