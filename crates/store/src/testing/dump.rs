//! All rows of a database in a form that is the same on both engines.

use std::collections::BTreeMap;

use rusqlite::{Connection, types::ValueRef};
use tokio_postgres::types::Type;

use super::{TestDb, postgres};
use crate::{DbConfig, migrate::hex, pg::PgInt};

/// Table → rows, sorted; a row is its columns in the order of their names.
pub type Dump = BTreeMap<String, Vec<Vec<String>>>;

/// Reads every table but those of the store itself.
pub async fn dump(db: &TestDb) -> Dump {
    let mut dump = match db.config() {
        DbConfig::Sqlite { path, .. } => {
            dump_sqlite(&Connection::open(path).expect("a second connection")).expect("a dump")
        }
        DbConfig::Postgres { url, .. } => dump_postgres(url.as_str()).await.expect("a dump"),
    };
    dump.retain(|table, _| !matches!(table.as_str(), "lane" | "lane_note" | "schema_migration"));
    for rows in dump.values_mut() {
        rows.sort_unstable();
    }
    dump
}

fn dump_sqlite(conn: &Connection) -> rusqlite::Result<Dump> {
    let mut dump = Dump::new();
    let tables: Vec<String> = conn
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for table in tables {
        let mut columns: Vec<String> = conn
            .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        columns.sort_unstable();
        let rows = conn
            .prepare(&format!("SELECT {} FROM {table}", columns.join(", ")))?
            .query_map([], |row| {
                (0..columns.len())
                    .map(|index| {
                        Ok(match row.get_ref(index)? {
                            ValueRef::Null => "NULL".to_owned(),
                            ValueRef::Integer(value) => value.to_string(),
                            ValueRef::Real(value) => value.to_string(),
                            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                            ValueRef::Blob(bytes) => hex(bytes),
                        })
                    })
                    .collect()
            })?
            .collect::<rusqlite::Result<_>>()?;
        dump.insert(table, rows);
    }
    Ok(dump)
}

async fn dump_postgres(url: &str) -> Result<Dump, tokio_postgres::Error> {
    let client = postgres::connect(url).await;
    let mut dump = Dump::new();
    let tables = client
        .query("SELECT tablename::TEXT FROM pg_tables WHERE schemaname = 'public'", &[])
        .await?;
    for table in tables {
        let table: String = table.get(0);
        let statement = client.prepare(&format!("SELECT * FROM {table}")).await?;
        let mut order: Vec<usize> = (0..statement.columns().len()).collect();
        order.sort_unstable_by_key(|index| statement.columns()[*index].name().to_owned());
        let mut rows = Vec::new();
        for row in client.query(&statement, &[]).await? {
            let column = |index: &usize| {
                let text = match *row.columns()[*index].type_() {
                    Type::TEXT => row.try_get(*index)?,
                    Type::BYTEA => row.try_get::<_, Option<&[u8]>>(*index)?.map(hex),
                    _ => row.try_get::<_, Option<PgInt>>(*index)?.map(|value| value.0.to_string()),
                };
                Ok(text.unwrap_or_else(|| "NULL".to_owned()))
            };
            rows.push(order.iter().map(column).collect::<Result<_, tokio_postgres::Error>>()?);
        }
        dump.insert(table, rows);
    }
    Ok(dump)
}
