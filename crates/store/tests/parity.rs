//! The same works give the same answers and the same rows on both engines; migrations are checked
//! alike.

mod common;

use std::sync::atomic::{AtomicI64, Ordering};

use common::{Increment, Mishap, Post, SCHEMA};
use futures_util::future::join_all;
use haechi_store::{
    Migration, Schema, StoreError,
    testing::{Dump, TestDb, dump, on_postgres, sqlite_config, store_test},
};
use proptest::{prelude::*, test_runner::TestRunner};

#[derive(Clone, Debug)]
enum Op {
    Post { room: i64, id: u8, mishap: Mishap },
    Increment(i64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let mishap = prop_oneof![
        8 => Just(Mishap::None),
        1 => Just(Mishap::Early),
        1 => Just(Mishap::Late),
        1 => Just(Mishap::Panic),
    ];
    let post =
        (0..4_i64, 0..20_u8, mishap).prop_map(|(room, id, mishap)| Op::Post { room, id, mishap });
    prop::collection::vec(prop_oneof![3 => post, 1 => (0..3_i64).prop_map(Op::Increment)], 1..60)
}

/// Submits all at once; answers what became of each: a sequence number, or a kind of failure.
async fn run(db: &TestDb, case: i64, ops: &[Op]) -> Vec<String> {
    let tell = |outcome: Result<i64, StoreError>| match outcome {
        Ok(seq) => format!("{seq}"),
        Err(StoreError::Conflict(_)) => "conflict".to_owned(),
        Err(StoreError::Panicked(_)) => "panic".to_owned(),
        Err(error) => error.to_string(),
    };
    let answers = ops.iter().map(|op| match op {
        Op::Post { room, id, mishap } => {
            let mut post = Post::new(case * 100 + room, format!("{case}/{room}/{id}"));
            post.mishap = *mishap;
            let answer = db.submit(post).unwrap();
            futures_util::future::Either::Left(async move { tell(answer.await.map(|out| out.1)) })
        }
        Op::Increment(counter) => {
            let answer = db.submit(Increment(-case * 100 - counter - 1)).unwrap();
            futures_util::future::Either::Right(async move { tell(answer.await) })
        }
    });
    join_all(answers.collect::<Vec<_>>()).await
}

/// Positions differ: there are more lanes on PostgreSQL.
fn without_positions(mut dump: Dump) -> Dump {
    const POS_COLUMN: usize = 2; // body, id, pos, room, seq
    for row in dump.get_mut("message").into_iter().flatten() {
        row.remove(POS_COLUMN);
    }
    dump
}

#[test]
fn the_same_works_give_the_same_rows() {
    on_postgres(&[&SCHEMA], async |pg| {
        let folder = tempfile::tempdir().unwrap();
        let lite = TestDb::open(sqlite_config(folder.path()), &[&SCHEMA]).await.unwrap();
        let case = AtomicI64::new(0);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            let config = ProptestConfig::with_cases(40);
            TestRunner::new(config).run(&ops(), |ops| {
                let case = case.fetch_add(1, Ordering::Relaxed);
                runtime.block_on(async {
                    let on_pg = run(&pg, case, &ops).await;
                    prop_assert_eq!(run(&lite, case, &ops).await, on_pg);
                    Ok(())
                })
            })
        })
        .unwrap();
        let (on_lite, on_pg) = (dump(&lite).await, dump(&pg).await);
        assert!(on_lite["message"].len() > 100, "the works did something");
        assert_eq!(without_positions(on_lite), without_positions(on_pg));
    });
}

/// The schema with its first migration altered, or with one that we do not know.
static CHANGED: Schema = Schema {
    module: "test",
    migrations: &[Migration { name: "0001_messages", text: "SELECT 1", pg: None }],
};
static OLDER: Schema = Schema { module: "test", migrations: &[] };
static NEWER: Schema = Schema {
    module: "test",
    migrations: &[
        Migration { name: SCHEMA.migrations[0].name, text: SCHEMA.migrations[0].text, pg: None },
        Migration {
            name: "0002_more",
            text: "CREATE TABLE more (id {identity}, at BIGINT NOT NULL) {strict}",
            pg: Some("CREATE TABLE more (id {identity}, at BIGINT NOT NULL, of_pg BIGINT)"),
        },
    ],
};
static BROKEN: Schema = Schema {
    module: "broken",
    migrations: &[
        Migration { name: "0001_good", text: "CREATE TABLE good (id BIGINT)", pg: None },
        Migration { name: "0002_bad", text: "CREATE TABLE good (id BIGINT)", pg: None },
    ],
};

#[store_test(schemas(SCHEMA))]
async fn migrations_are_checked(db: TestDb) {
    db.close().await;
    let open = async |schemas: &[&'static Schema]| {
        let opened = TestDb::open(db.config().clone(), schemas).await;
        let refused = opened.as_ref().err().map(ToString::to_string);
        if let Ok(db) = opened {
            db.close().await;
        }
        refused
    };
    let refused = open(&[&CHANGED]).await.unwrap();
    assert!(refused.contains("test/0001_messages was changed"), "{refused}");
    let refused = open(&[&OLDER]).await.unwrap();
    assert!(refused.contains("newer"), "{refused}");
    assert!(open(&[&SCHEMA, &BROKEN]).await.unwrap().contains("broken/0002_bad"));
    assert_eq!(open(&[&NEWER]).await, None);
    assert_eq!(open(&[&NEWER]).await, None, "once more, with nothing to do");
    let tables = dump(&db).await;
    assert!(tables.contains_key("more"));
    assert!(!tables.contains_key("good"), "half a migration was left behind");
}

#[store_test(schemas(SCHEMA))]
async fn a_second_server_on_one_file_is_refused(db: TestDb) {
    let second = TestDb::open(db.config().clone(), &[&SCHEMA]).await;
    if db.is_postgres() {
        // there it is another node, and this one of the same name takes its lanes
        let second = second.unwrap();
        second.write(Post::new(1, "second")).await.unwrap();
        second.close().await;
        return;
    }
    let refused = second.err().unwrap().to_string();
    assert!(refused.contains("in use by another server"), "{refused}");
    db.close().await;
    let second = TestDb::open(db.config().clone(), &[&SCHEMA]).await.unwrap();
    second.close().await;
}
