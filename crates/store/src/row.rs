//! Rows that come out of statements, decoded in place.

use haechi_base::{Millis, RoomNid, StreamPos, UserNid};

use crate::{Result, StoreError};

/// One row, valid while it is being decoded.
pub struct Row<'a> {
    pub(crate) statement: &'static str,
    pub(crate) inner: Inner<'a>,
}

pub(crate) enum Inner<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
}

impl Row<'_> {
    /// Decodes column `column`, counted from 0.
    pub fn get<T: FromColumn>(&self, column: usize) -> Result<T> {
        T::from_column(self, column)
    }

    pub(crate) fn corrupt(&self, column: usize, reason: impl ToString) -> StoreError {
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

macro_rules! driver_column {
    ($($type:ty),+) => {$(
        impl FromColumn for $type {
            fn from_column(row: &Row<'_>, column: usize) -> Result<Self> {
                match row.inner {
                    Inner::Sqlite(sqlite) => {
                        sqlite.get(column).map_err(|error| row.corrupt(column, error))
                    }
                }
            }
        }
        impl FromColumn for Option<$type> {
            fn from_column(row: &Row<'_>, column: usize) -> Result<Self> {
                match row.inner {
                    Inner::Sqlite(sqlite) => {
                        sqlite.get(column).map_err(|error| row.corrupt(column, error))
                    }
                }
            }
        }
    )+};
}

driver_column!(i64, String, Vec<u8>);

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
    StreamPos, i64, StreamPos;
    Millis, i64, Millis;
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
