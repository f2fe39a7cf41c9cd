//! All statements of all crates: both engines understand them alike, and each finds its rows by an
//! index. A new crate with a schema is entered here as in `compose`.
//!
//! The snapshot is written anew by `INSTA_UPDATE=always cargo test -p haechi-server --test statements`;
//! read its difference as you read code.

use haechi_store::testing::{TestDb, check_plans, check_statements, store_test};

/// Statements that may read a whole table, with the reason why that does no harm.
const MAY_SCAN: &[(&str, &str)] = &[
    ("haechi_accounts::store::accounts::COUNT", "it stops at a limit"),
    ("haechi_ledger::store::read::LEDGERS", "a row for each currency"),
];

#[store_test(schemas(
    haechi_accounts::SCHEMA,
    haechi_keys::SCHEMA,
    haechi_rooms::SCHEMA,
    haechi_media::SCHEMA,
    haechi_push::SCHEMA,
    haechi_ledger::SCHEMA,
    haechi_pay::SCHEMA,
))]
async fn statements_are_understood_alike_and_read_no_whole_table(db: TestDb) {
    check_statements(&db).await;
    if !db.is_postgres() {
        insta::assert_snapshot!("query_plans", check_plans(&db, MAY_SCAN));
    }
}
