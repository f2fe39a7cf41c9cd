//! Running statements on a rusqlite connection.

use rusqlite::{
    Connection, Statement, ffi,
    types::{ToSqlOutput, ValueRef},
};

use crate::{FromRow, Result, Row, Sql, StoreError, Value, row::Inner};

struct Bound<'a, 'b>(&'b Value<'a>);

impl rusqlite::ToSql for Bound<'_, '_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Int(value) => ToSqlOutput::Borrowed(ValueRef::Integer(*value)),
            Value::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Value::Blob(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
            Value::Ints(values) => json_array(values.iter().map(ToString::to_string)).into(),
            Value::Texts(values) => json_array(values.iter().map(|text| json_string(text))).into(),
        })
    }
}

fn json_array(items: impl Iterator<Item = String>) -> String {
    let mut out = String::from("[");
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(&item);
    }
    out.push(']');
    out
}

fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for ch in text.chars() {
        match ch {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ch if ch < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(ch))),
            ch => out.push(ch),
        }
    }
    out.push('"');
    out
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
            more = on_row(&Row { statement: sql.name, inner: Inner::Sqlite(row) })?;
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
