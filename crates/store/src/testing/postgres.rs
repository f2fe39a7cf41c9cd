//! Databases on the test server.

use std::{
    num::NonZeroUsize,
    sync::atomic::{AtomicU32, Ordering},
};

use deadpool_postgres::ClientWrapper;
use sha2::{Digest as _, Sha256};

use crate::{DbConfig, PgUrl, Schema, migrate::hex, pg};

const VARIABLE: &str = "HAECHI_TEST_POSTGRES";

/// Held on the server while a template is built.
const TEMPLATE_LOCK: i64 = 0x4000_0000_0000_0003;

/// The address of the test server; `None` to skip.
pub(super) fn server() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "set by the test command, not by an operator")]
    let address = std::env::var(VARIABLE).unwrap_or_else(|_| {
        panic!(
            "{VARIABLE} is not set: run the tests with `cargo xtask test`, which starts a \
             PostgreSQL server for them, or set it to the address of one, or to `skip`"
        )
    });
    Some(address).filter(|address| address != "skip")
}

/// A database of its own, named after the process.
pub(super) struct Database {
    server: String,
    name: String,
}

impl Database {
    pub(super) async fn clone_of_template(server: &str, schemas: &[&'static Schema]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let client = connect(server).await;
        let template = template(server, &client, schemas).await;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("haechi_test_{}_{number}", std::process::id());
        run(&client, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        run(&client, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { server: server.to_owned(), name }
    }

    pub(super) fn config(&self, node: &str) -> DbConfig {
        DbConfig::Postgres {
            url: url_of(&self.server, &self.name),
            local: None,
            pool: NonZeroUsize::new(4).expect("4 is not 0"),
            committers: NonZeroUsize::new(2).expect("2 is not 0"),
            node: node.to_owned(),
        }
    }

    pub(super) async fn drop_it(self) {
        let client = connect(&self.server).await;
        run(&client, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).await;
    }
}

/// The name of a database migrated with `schemas`, made unless an earlier test has made it.
async fn template(server: &str, client: &ClientWrapper, schemas: &[&'static Schema]) -> String {
    let mut hash = Sha256::new();
    for schema in schemas {
        for migration in schema.migrations {
            hash.update(format!("{}/{}/{};", schema.module, migration.name, migration.checksum()));
        }
    }
    let name = format!("haechi_template_{}", hex(&hash.finalize()[..8]));
    client
        .execute("SELECT pg_advisory_lock($1)", &[&TEMPLATE_LOCK])
        .await
        .expect("the lock for templates");
    let found = client
        .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
        .await
        .expect("the list of databases");
    if found.is_none() {
        // Named when it is complete, so that nobody finds half of one.
        let draft = format!("{name}_draft");
        run(client, &format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)")).await;
        run(
            client,
            &format!("CREATE DATABASE {draft} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"),
        )
        .await;
        pg::migrate_only(&url_of(server, &draft), schemas).await.expect("the migrations run");
        run(client, &format!("ALTER DATABASE {draft} RENAME TO {name}")).await;
    }
    client
        .execute("SELECT pg_advisory_unlock($1)", &[&TEMPLATE_LOCK])
        .await
        .expect("the lock for templates");
    name
}

/// The address of another database on the same server.
fn url_of(server: &str, database: &str) -> PgUrl {
    let (base, query) = server.split_once('?').unwrap_or((server, ""));
    let (scheme, rest) = base.split_once("://").expect("postgres://…");
    let host = rest.split('/').next().unwrap_or_default();
    PgUrl::from(format!("{scheme}://{host}/{database}?{query}"))
}

pub(super) async fn connect(url: impl Into<PgUrl>) -> ClientWrapper {
    pg::connect(&url.into()).await.expect("the test server answers")
}

async fn run(client: &ClientWrapper, command: &str) {
    client.batch_execute(command).await.unwrap_or_else(|error| panic!("{command}: {error:?}"));
}
