//! Looking the database over and migrating it.

use deadpool_postgres::ClientWrapper;
use tokio_postgres::Error;

use super::{claim, fault::describe};
use crate::{
    Result, Schema, StoreError,
    migrate::{Applied, missing},
};

/// Only one node migrates at a time.
const MIGRATION_LOCK: i64 = 0x4000_0000_0000_0002;

const LOOK: &str = "SELECT pg_encoding_to_char(encoding), datname,
    coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
    coalesce(to_jsonb(d) ->> 'datlocale', datcollate),
    current_setting('synchronous_commit'), current_setting('fsync')
    FROM pg_database d WHERE datname = current_database()";

/// Refuses a database that would sort texts otherwise than SQLite does, or acknowledge what is not
/// on disk.
pub(super) async fn check(client: &ClientWrapper) -> Result<()> {
    let row = client.query_one(LOOK, &[]).await.map_err(|error| failed("look", &error))?;
    let text = |column: usize| row.get::<_, String>(column);
    let (encoding, name) = (text(0), text(1));
    // the provider is one "char" in the catalogue: c is libc, b is built in, i is ICU
    let (provider, locale) = (text(2), text(3));
    let bytewise = matches!(locale.as_str(), "C" | "POSIX" | "C.UTF-8" | "C.utf8" | "C.UTF8");
    if provider == "i" || !bytewise || encoding != "UTF8" {
        return Err(StoreError::Unavailable(format!(
            "database {name} has encoding {encoding} and collation {locale}, where text must sort \
             by its bytes; make it with: CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' \
             LOCALE 'C'"
        )));
    }
    if text(4) == "off" {
        return Err(StoreError::Unavailable(format!(
            "database {name} has synchronous_commit = off: what it acknowledges may be lost; \
             switch it on"
        )));
    }
    if text(5) == "off" {
        tracing::warn!("the PostgreSQL server runs with fsync = off: good for tests only");
    }
    Ok(())
}

/// Applies what is missing, all in one transaction, and refuses a changed or unknown migration.
pub(super) async fn migrate(client: &ClientWrapper, schemas: &[&'static Schema]) -> Result<()> {
    // An error drops the connection, and with it the transaction.
    run("begin", client.batch_execute("BEGIN")).await?;
    run("lock", client.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK])).await?;
    let base = format!(
        "CREATE TABLE IF NOT EXISTS schema_migration (
            module TEXT NOT NULL, name TEXT NOT NULL, checksum TEXT NOT NULL,
            PRIMARY KEY (module, name));
         {}; {};",
        claim::TABLE,
        claim::NOTES_TABLE
    );
    run("base tables", client.batch_execute(&base)).await?;
    let rows =
        run("list", client.query("SELECT module, name, checksum FROM schema_migration", &[]))
            .await?;
    let applied: Vec<Applied> = rows
        .iter()
        .map(|row| Applied { module: row.get(0), name: row.get(1), checksum: row.get(2) })
        .collect();
    for (schema, migration) in missing(schemas, &applied)? {
        let what = format!("{}/{}", schema.module, migration.name);
        run(&what, client.batch_execute(&migration.pg())).await?;
        run(
            &what,
            client.execute(
                "INSERT INTO schema_migration (module, name, checksum) VALUES ($1, $2, $3)",
                &[&schema.module, &migration.name, &migration.checksum()],
            ),
        )
        .await?;
    }
    run("commit", client.batch_execute("COMMIT")).await
}

async fn run<T>(
    what: &str,
    step: impl Future<Output = std::result::Result<T, Error>>,
) -> Result<T> {
    step.await.map_err(|error| failed(what, &error))
}

fn failed(what: &str, error: &Error) -> StoreError {
    StoreError::Migration(format!("{what}: {}", describe(error)))
}
