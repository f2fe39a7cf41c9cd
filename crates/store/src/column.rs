//! Many values for one placeholder: a statement that is run for a whole list at once.

/// The values of one placeholder, one for each time the statement is to be run.
///
/// PostgreSQL gets the list as one array, `BIGINT[]` or `BYTEA[]`, and runs the statement once; SQLite
/// runs it for each value, which there is as quick. So the two texts differ: `VALUES (?1, ?2)` here,
/// `SELECT * FROM unnest($1::BIGINT[], $2::BYTEA[])` there.
#[derive(Clone, Copy, Debug)]
pub enum Column<'a> {
    /// `BIGINT`.
    Ints(&'a [i64]),
    /// `BYTEA`, `BLOB`.
    Blobs(&'a [&'a [u8]]),
}

impl Column<'_> {
    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Ints(values) => values.len(),
            Self::Blobs(values) => values.len(),
        }
    }
}

/// How many rows the columns make: as many as the shortest has values.
pub(crate) fn rows(columns: &[Column<'_>]) -> usize {
    columns.iter().map(Column::len).min().unwrap_or(0)
}
