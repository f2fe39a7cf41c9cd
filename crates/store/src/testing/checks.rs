//! Every statement is understood by both engines alike, and finds its rows by an index.

use std::{collections::BTreeSet, fmt::Write as _};

use rusqlite::Connection;
use tokio_postgres::types::Type;

use super::{TestDb, postgres, sqlite_config};
use crate::{Db, DbConfig, Sql};

/// What a column holds, as far as the engine says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Integer,
    Text,
    Bytes,
    /// SQLite does not tell the type of an expression.
    Unknown,
}

/// Prepares every registered statement on both engines and panics, with all that is wrong, unless
/// both take it with as many placeholders and as many columns of the same type class.
///
/// To be called once, by a test that links all crates and opens the database with all schemas; it
/// does its work in the PostgreSQL half and prepares alone in the other.
pub async fn check_statements(db: &TestDb) {
    let mut wrong = String::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = sqlite_config(folder.path());
    let (lite_db, _feed) = Db::open(&config, db.schemas()).await.expect("a SQLite database opens");
    let lite = sqlite(&config);
    let pg = match db.config() {
        DbConfig::Postgres { url, .. } => Some(postgres::connect(url.as_str()).await),
        DbConfig::Sqlite { .. } => None,
    };
    for sql in sorted_statements() {
        let on_sqlite = match describe_sqlite(&lite, sql) {
            Ok(described) => described,
            Err(error) => {
                let _ = writeln!(wrong, "{} on SQLite: {error}", sql.name);
                continue;
            }
        };
        let Some(pg) = &pg else { continue };
        let statement = match pg.prepare(sql.pg).await {
            Ok(statement) => statement,
            Err(error) => {
                let _ = writeln!(wrong, "{} on PostgreSQL: {error:?}", sql.name);
                continue;
            }
        };
        let columns: Vec<_> =
            statement.columns().iter().map(|column| class_of(column.type_())).collect();
        let on_pg = (statement.params().len(), columns);
        let alike = on_sqlite.0 == on_pg.0
            && on_sqlite.1.len() == on_pg.1.len()
            && on_sqlite.1.iter().zip(&on_pg.1).all(|(a, b)| a == b || *a == Class::Unknown)
            && !on_pg.1.contains(&Class::Unknown);
        if !alike {
            let _ = writeln!(
                wrong,
                "{}: (placeholders, columns) are {on_sqlite:?} on SQLite, {on_pg:?} on PostgreSQL",
                sql.name
            );
        }
    }
    lite_db.close().await;
    assert!(wrong.is_empty(), "statements that differ or fail:\n{wrong}");
}

/// The query plans of all registered statements on SQLite, one paragraph each, for a snapshot.
///
/// Panics when a statement reads a whole table and is not in `may_scan`, which lists names of
/// statements with the reason why it does no harm; also when a name there is not needed.
pub fn check_plans(db: &TestDb, may_scan: &[(&str, &str)]) -> String {
    let lite = sqlite(db.config());
    let tables: Vec<String> = lite
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .and_then(|mut list| list.query_map([], |row| row.get(0))?.collect())
        .expect("the list of tables");
    let mut plans = String::new();
    let mut wrong = String::new();
    let mut excused = BTreeSet::new();
    for sql in sorted_statements() {
        let steps: Vec<String> = lite
            .prepare(&format!("EXPLAIN QUERY PLAN {}", sql.sqlite))
            .and_then(|mut plan| plan.raw_query().mapped(|row| row.get("detail")).collect())
            .unwrap_or_else(|error| panic!("{}: {error}", sql.name));
        let _ = writeln!(plans, "{}", sql.name);
        for step in &steps {
            let _ = writeln!(plans, "    {step}");
            if !scans_a_table(step, sql.sqlite, &tables) {
                continue;
            }
            match may_scan.iter().find(|(name, _)| *name == sql.name) {
                Some((name, _)) => drop(excused.insert(*name)),
                None => drop(writeln!(wrong, "{}: {step}", sql.name)),
            }
        }
    }
    for (name, _) in may_scan.iter().filter(|(name, _)| !excused.contains(name)) {
        let _ = writeln!(wrong, "{name} is allowed to scan but does not");
    }
    assert!(wrong.is_empty(), "statements that read a whole table:\n{wrong}");
    plans
}

fn sorted_statements() -> Vec<&'static Sql> {
    let mut all: Vec<_> = Sql::all().collect();
    all.sort_by_key(|sql| sql.name);
    all
}

fn sqlite(config: &DbConfig) -> Connection {
    let DbConfig::Sqlite { path, .. } = config else {
        panic!("to be called in the SQLite half of the test");
    };
    Connection::open(path).expect("a second connection")
}

fn describe_sqlite(conn: &Connection, sql: &Sql) -> rusqlite::Result<(usize, Vec<Class>)> {
    let statement = conn.prepare(sql.sqlite)?;
    let columns = statement.columns().map(|column| match column.decl_type() {
        Some("INTEGER") => Class::Integer,
        Some("TEXT") => Class::Text,
        Some("BLOB") => Class::Bytes,
        _ => Class::Unknown,
    });
    Ok((statement.parameter_count(), columns.collect()))
}

fn class_of(ty: &Type) -> Class {
    match *ty {
        Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL | Type::NUMERIC => Class::Integer,
        Type::TEXT | Type::VARCHAR | Type::NAME => Class::Text,
        Type::BYTEA => Class::Bytes,
        _ => Class::Unknown,
    }
}

/// Does the step of a plan read all of a table, or all of an index of one?
///
/// The plan names a table by its alias; what is no table is a view, a list, or an inner query.
fn scans_a_table(step: &str, text: &str, tables: &[String]) -> bool {
    let Some(rest) = step.strip_prefix("SCAN ") else { return false };
    let name = rest.split(' ').next().unwrap_or_default();
    if rest.contains("VIRTUAL TABLE") {
        return false;
    }
    let words: Vec<&str> = text
        .split(|ch: char| !(ch.is_alphanumeric() || ch == '_'))
        .filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case("as"))
        .collect();
    let is_table = |word: &str| tables.iter().any(|table| table.eq_ignore_ascii_case(word));
    is_table(name)
        || words.windows(2).any(|pair| is_table(pair[0]) && pair[1].eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_are_told_from_other_steps() {
        let tables = ["room".to_owned()];
        let scans = |step, text| scans_a_table(step, text, &tables);
        assert!(scans("SCAN room", "SELECT * FROM room"));
        assert!(scans("SCAN r USING COVERING INDEX i", "SELECT nid FROM room AS r"));
        assert!(scans("SCAN r", "SELECT nid FROM room r"));
        assert!(!scans("SEARCH room USING INDEX i (nid=?)", "SELECT * FROM room WHERE nid = ?1"));
        assert!(!scans("SCAN json_each VIRTUAL TABLE INDEX 1:", "SELECT value FROM json_each(?1)"));
        assert!(!scans("SCAN CONSTANT ROW", "SELECT 1"));
        assert!(!scans("SCAN found", "WITH found AS (SELECT 1) SELECT * FROM found"));
    }
}
