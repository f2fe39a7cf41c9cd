//! Rows that come out of statements, decoded in place.

use haechi_base::{Millis, Positions, RoomNid, StreamPos, UserNid};
use parking_lot::Mutex;

use crate::{Result, StoreError, pg::PgInt};

/// One row, valid while it is being decoded.
pub struct Row<'a> {
    pub(crate) statement: &'static str,
    pub(crate) inner: Inner<'a>,
    /// Who wants to know which positions are read.
    pub(crate) tide: Option<&'a Tide>,
}

/// The furthest positions that were read from rows, in each lane.
#[derive(Default)]
pub(crate) struct Tide(Mutex<Positions>);

impl Tide {
    fn note(&self, pos: StreamPos) {
        let mut highest = self.0.lock();
        if !highest.covers(pos) {
            highest.set(pos.lane(), pos.offset());
        }
    }

    pub(crate) fn into_inner(self) -> Positions {
        self.0.into_inner()
    }
}

pub(crate) enum Inner<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Pg(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// Decodes column `column`, counted from 0.
    pub fn get<T: FromColumn>(&self, column: usize) -> Result<T> {
        T::from_column(self, column)
    }

    pub(crate) fn corrupt(&self, column: usize, reason: &impl ToString) -> StoreError {
        StoreError::Corrupt { statement: self.statement, column, reason: reason.to_string() }
    }
}

/// A type that a whole row decodes into. Tuples of [`FromColumn`] types are.
pub trait FromRow: Sized + Send {
    /// Decodes the row.
    fn from_row(row: &Row<'_>) -> Result<Self>;
}

/// A type that one column decodes into.
pub trait FromColumn: Sized + Send {
    /// Decodes the column, counted from 0.
    fn from_column(row: &Row<'_>, column: usize) -> Result<Self>;
}

/// A column type that both drivers know: `$pg` is how the PostgreSQL driver reads it.
macro_rules! driver_column {
    ($($type:ty, $pg:ty, $from_pg:expr;)+) => {$(
        impl FromColumn for $type {
            fn from_column(row: &Row<'_>, column: usize) -> Result<Self> {
                match row.inner {
                    Inner::Sqlite(inner) => {
                        inner.get(column).map_err(|error| row.corrupt(column, &error))
                    }
                    Inner::Pg(inner) => inner
                        .try_get::<_, $pg>(column)
                        .map($from_pg)
                        .map_err(|error| row.corrupt(column, &error)),
                }
            }
        }
        impl FromColumn for Option<$type> {
            fn from_column(row: &Row<'_>, column: usize) -> Result<Self> {
                match row.inner {
                    Inner::Sqlite(inner) => {
                        inner.get(column).map_err(|error| row.corrupt(column, &error))
                    }
                    Inner::Pg(inner) => inner
                        .try_get::<_, Option<$pg>>(column)
                        .map(|value| value.map($from_pg))
                        .map_err(|error| row.corrupt(column, &error)),
                }
            }
        }
    )+};
}

driver_column! {
    i64, PgInt, |value| value.0;
    String, String, |value| value;
    Vec<u8>, Vec<u8>, |value| value;
}

macro_rules! wrapped_column {
    ($($type:ty, $from:ty, $make:expr;)+) => {$(
        impl FromColumn for $type {
            fn from_column(row: &Row<'_>, column: usize) -> Result<Self> {
                row.get::<$from>(column).map($make)
            }
        }
        impl FromColumn for Option<$type> {
            fn from_column(row: &Row<'_>, column: usize) -> Result<Self> {
                row.get::<Option<$from>>(column).map(|value| value.map($make))
            }
        }
    )+};
}

wrapped_column! {
    bool, i64, |value| value != 0;
    UserNid, i64, UserNid;
    RoomNid, i64, RoomNid;
    Millis, i64, Millis;
}

impl FromColumn for StreamPos {
    fn from_column(row: &Row<'_>, column: usize) -> Result<Self> {
        let pos = Self(row.get(column)?);
        if let Some(tide) = row.tide {
            tide.note(pos);
        }
        Ok(pos)
    }
}

impl FromColumn for Option<StreamPos> {
    fn from_column(row: &Row<'_>, column: usize) -> Result<Self> {
        match row.get::<Option<i64>>(column)? {
            None => Ok(None),
            Some(_) => StreamPos::from_column(row, column).map(Some),
        }
    }
}

macro_rules! tuple_row {
    ($($type:ident $column:tt),+) => {
        impl<$($type: FromColumn),+> FromRow for ($($type,)+) {
            fn from_row(row: &Row<'_>) -> Result<Self> {
                Ok(($(row.get::<$type>($column)?,)+))
            }
        }
    };
}

tuple_row!(A 0);
tuple_row!(A 0, B 1);
tuple_row!(A 0, B 1, C 2);
tuple_row!(A 0, B 1, C 2, D 3);
tuple_row!(A 0, B 1, C 2, D 3, E 4);
tuple_row!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_row!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_row!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
