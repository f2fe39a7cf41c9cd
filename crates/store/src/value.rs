//! Values that go into statements.

use haechi_base::{Millis, RoomNid, StreamPos, UserNid};

/// A value bound to a placeholder. Booleans are 0 and 1, times milliseconds.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// SQL `NULL`.
    Null,
    /// `BIGINT`.
    Int(i64),
    /// `TEXT`.
    Text(&'a str),
    /// `BYTEA`, `BLOB`.
    Blob(&'a [u8]),
    /// `BIGINT[]` on PostgreSQL, a JSON array for `json_each` on SQLite.
    Ints(&'a [i64]),
    /// `TEXT[]` on PostgreSQL, a JSON array for `json_each` on SQLite.
    Texts(&'a [&'a str]),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Int(i64::from(value))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(value: &'a String) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Blob(value)
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl From<UserNid> for Value<'_> {
    fn from(value: UserNid) -> Self {
        Self::Int(value.0)
    }
}

impl From<RoomNid> for Value<'_> {
    fn from(value: RoomNid) -> Self {
        Self::Int(value.0)
    }
}

impl From<StreamPos> for Value<'_> {
    fn from(value: StreamPos) -> Self {
        Self::Int(value.0)
    }
}

impl From<Millis> for Value<'_> {
    fn from(value: Millis) -> Self {
        Self::Int(value.0)
    }
}
