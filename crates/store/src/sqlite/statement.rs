//! Running statements on a rusqlite connection.

use std::fmt::Write as _;

use rusqlite::{
    Connection, Statement, ffi,
    types::{ToSqlOutput, ValueRef},
};

use crate::{Column, FromRow, Result, Row, Sql, StoreError, Value, column::rows, row::Inner};

/// Bytes of an item in a list; guessed, to allocate once.
const ITEM_BYTES: usize = 48;

struct Bound<'a, 'b>(&'b Value<'a>);

impl rusqlite::ToSql for Bound<'_, '_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Int(value) => ToSqlOutput::Borrowed(ValueRef::Integer(*value)),
            Value::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Value::Blob(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
            Value::Ints(values) => json_array(values, |out, value| {
                let _ = write!(out, "{value}");
            })
            .into(),
            Value::Texts(values) => {
                json_array(values, |out, text| write_json_string(out, text)).into()
            }
        })
    }
}

fn json_array<T>(items: &[T], mut write: impl FnMut(&mut String, &T)) -> String {
    let mut out = String::with_capacity(items.len() * ITEM_BYTES);
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(&mut out, item);
    }
    out.push(']');
    out
}

fn write_json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|ch: char| ch == '"' || ch == '\\' || ch < ' ') {
        out.push_str(&rest[..at]);
        // All of them are one byte.
        let _ = write!(out, "\\u{:04x}", rest.as_bytes()[at]);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

fn bind(statement: &mut Statement<'_>, sql: &Sql, args: &[Value<'_>]) -> Result<()> {
    for (index, arg) in args.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, Bound(arg)).map_err(|error| driver(sql, &error))?;
    }
    Ok(())
}

pub(crate) fn exec(conn: &Connection, sql: &'static Sql, args: &[Value<'_>]) -> Result<u64> {
    let mut statement = conn.prepare_cached(sql.sqlite).map_err(|error| driver(sql, &error))?;
    bind(&mut statement, sql, args)?;
    let changed = statement.raw_execute().map_err(|error| driver(sql, &error))?;
    Ok(changed as u64)
}

fn bind_row(
    statement: &mut Statement<'_>,
    sql: &Sql,
    columns: &[Column<'_>],
    row: usize,
) -> Result<()> {
    for (index, column) in columns.iter().enumerate() {
        let value = match column {
            Column::Ints(values) => ValueRef::Integer(values[row]),
            Column::Blobs(values) => ValueRef::Blob(values[row]),
        };
        let bound = ToSqlOutput::Borrowed(value);
        statement.raw_bind_parameter(index + 1, bound).map_err(|error| driver(sql, &error))?;
    }
    Ok(())
}

pub(crate) fn exec_columns(
    conn: &Connection,
    sql: &'static Sql,
    columns: &[Column<'_>],
) -> Result<u64> {
    let mut statement = conn.prepare_cached(sql.sqlite).map_err(|error| driver(sql, &error))?;
    let mut changed = 0;
    for row in 0..rows(columns) {
        bind_row(&mut statement, sql, columns, row)?;
        changed += statement.raw_execute().map_err(|error| driver(sql, &error))? as u64;
    }
    Ok(changed)
}

pub(crate) fn all_columns<T: FromRow>(
    conn: &Connection,
    sql: &'static Sql,
    columns: &[Column<'_>],
) -> Result<Vec<T>> {
    let mut statement = conn.prepare_cached(sql.sqlite).map_err(|error| driver(sql, &error))?;
    let mut found = Vec::new();
    for row in 0..rows(columns) {
        bind_row(&mut statement, sql, columns, row)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|error| driver(sql, &error))? {
            let row = Row { statement: sql.name, inner: Inner::Sqlite(row), tide: None };
            found.push(T::from_row(&row)?);
        }
    }
    Ok(found)
}

pub(crate) fn opt<T: FromRow>(
    conn: &Connection,
    sql: &'static Sql,
    args: &[Value<'_>],
) -> Result<Option<T>> {
    let mut found = None;
    each(conn, sql, args, |row| {
        found = Some(T::from_row(row)?);
        Ok(false)
    })?;
    Ok(found)
}

pub(crate) fn all<T: FromRow>(
    conn: &Connection,
    sql: &'static Sql,
    args: &[Value<'_>],
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    each(conn, sql, args, |row| {
        found.push(T::from_row(row)?);
        Ok(true)
    })?;
    Ok(found)
}

/// Calls `on_row` for each row until it returns false.
fn each(
    conn: &Connection,
    sql: &'static Sql,
    args: &[Value<'_>],
    mut on_row: impl FnMut(&Row<'_>) -> Result<bool>,
) -> Result<()> {
    let mut statement = conn.prepare_cached(sql.sqlite).map_err(|error| driver(sql, &error))?;
    bind(&mut statement, sql, args)?;
    let returning = !sql.is_query();
    let mut rows = statement.raw_query();
    let mut more = true;
    while let Some(row) = rows.next().map_err(|error| driver(sql, &error))? {
        if more {
            more = on_row(&Row { statement: sql.name, inner: Inner::Sqlite(row), tide: None })?;
        }
        // A changing statement must be run to its end, or SQLite undoes the rest of it.
        if !more && !returning {
            break;
        }
    }
    Ok(())
}

pub(crate) fn driver(sql: &Sql, error: &rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::SqliteFailure(code, message)
            if code.code == ffi::ErrorCode::ConstraintViolation =>
        {
            StoreError::Conflict(format!(
                "{}: {}",
                sql.name,
                message.as_deref().unwrap_or("constraint")
            ))
        }
        rusqlite::Error::SqliteFailure(code, _)
            if matches!(
                code.code,
                ffi::ErrorCode::DiskFull
                    | ffi::ErrorCode::SystemIoFailure
                    | ffi::ErrorCode::DatabaseBusy
            ) =>
        {
            StoreError::Unavailable(format!("{}: {error}", sql.name))
        }
        _ => StoreError::Driver { statement: sql.name, reason: error.to_string() },
    }
}
