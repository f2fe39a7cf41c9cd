//! Works on both engines: what they read and write, how a group treats those that fail, in which
//! order they commit, and what is announced.

mod common;

use std::time::Duration;

use common::{
    BY_IDS, BY_ROOMS, INSERT, Ids, Increment, Mishap, Post, SCHEMA, SEQ_OF_ID, SEQ_READ, STATS,
};
use futures_util::future::join_all;
use haechi_base::{RoomNid, StreamPos};
use haechi_store::{
    Change, Column, Commit, DbConfig, Result, Row, StoreError, Tx, Value, Work, sql,
    testing::{self, TestDb, check_plans, check_statements, store_test},
};

/// Does what a closure says; for a test's one-off reads.
macro_rules! one_off {
    ($name:ident($($field:ident: $type:ty),*) -> $out:ty, |$this:ident, $tx:ident| $body:expr) => {
        struct $name { $($field: $type),* }
        impl Work for $name {
            const NAME: &'static str = stringify!($name);
            type Out = $out;
            async fn run(&self, $tx: &mut Tx<'_>) -> Result<$out> {
                let $this = self;
                $body
            }
        }
    };
}

/// Everything the feed says until `done` is satisfied.
async fn listen(db: &mut TestDb, mut done: impl FnMut(&[Commit]) -> bool) -> Vec<Commit> {
    let mut heard = Vec::new();
    while !done(&heard) {
        let next = tokio::time::timeout(Duration::from_secs(30), db.feed().recv());
        heard.push(next.await.expect("the feed speaks").expect("the feed is open"));
    }
    heard
}

fn positions(heard: &[Commit]) -> Vec<StreamPos> {
    heard.iter().flat_map(|commit| &commit.notes).map(|note| note.pos).collect()
}

one_off!(Lists() -> (Vec<(String,)>, Vec<(String,)>), |_this, tx| {
    let rooms = tx.all(&BY_ROOMS, &[Value::Ints(&[1, 3])]).await?;
    let ids = tx.all(&BY_IDS, &[Value::Texts(&["b", "quo\"te\\", "none", "\u{7}"])]).await?;
    Ok((rooms, ids))
});

one_off!(Stats(room: i64) -> (i64, Option<i64>, Option<String>), |this, tx| {
    tx.one(&STATS, &[this.room.into()]).await
});

#[store_test(schemas(SCHEMA))]
async fn values_come_back_as_they_went_in(db: TestDb) {
    for (room, id) in [(1, "a"), (1, "b"), (2, "quo\"te\\"), (3, "\u{7}"), (3, "한글")] {
        db.write(Post::new(room, id)).await.unwrap();
    }
    let (rooms, ids) = db.read(Lists {}).await.unwrap();
    let of = |texts: &[&str]| texts.iter().map(|text| ((*text).to_owned(),)).collect::<Vec<_>>();
    assert_eq!(rooms, of(&["\u{7}", "a", "b", "한글"]));
    assert_eq!(ids, of(&["\u{7}", "b", "quo\"te\\"]));
    assert_eq!(db.read(Stats { room: 1 }).await.unwrap(), (2, Some(3), Some("b".to_owned())));
    assert_eq!(db.read(Stats { room: 9 }).await.unwrap(), (0, None, None));
}

one_off!(InsertMany(count: i64) -> u64, |this, tx| {
    let ids: Vec<String> = (0..this.count).map(|number| format!("many {number}")).collect();
    let rows: Vec<[Value<'_>; 5]> = (0_i64..)
        .zip(&ids)
        .map(|(seq, id)| [(seq + 1_000_000).into(), 7.into(), seq.into(), id.into(), Value::Null])
        .collect();
    let rows: Vec<&[Value<'_>]> = rows.iter().map(<[_; 5]>::as_slice).collect();
    tx.exec_many(&INSERT, &rows).await
});

#[store_test(schemas(SCHEMA))]
async fn many_rows_are_written_in_order(db: TestDb) {
    assert_eq!(db.write(InsertMany { count: 3_000 }).await.unwrap(), 3_000);
    let ids = db.read(Ids(7)).await.unwrap();
    assert_eq!(ids.len(), 3_000);
    assert!(ids.iter().enumerate().all(|(number, id)| *id == format!("many {number}")));
}

#[store_test(schemas(SCHEMA))]
async fn a_failing_work_takes_nobody_with_it(db: TestDb) {
    let mishaps = [Mishap::Late, Mishap::Early, Mishap::Panic, Mishap::EarlyPanic];
    let posts: Vec<_> = (0..200)
        .map(|number| {
            let mut post = Post::new(number % 7 + 1, format!("{number}"));
            if number % 10 == 3 {
                let which = usize::try_from(number / 10).unwrap();
                post.mishap = mishaps[which % mishaps.len()];
            }
            post
        })
        .collect();
    let answers: Vec<_> =
        posts.iter().map(|post| db.submit(post.clone()).expect("room in the queue")).collect();
    let answers = join_all(answers).await;
    for (post, answer) in posts.iter().zip(&answers) {
        let as_expected = match post.mishap {
            Mishap::None => answer.is_ok(),
            Mishap::Early | Mishap::Late => matches!(answer, Err(StoreError::Driver { .. })),
            Mishap::Panic | Mishap::EarlyPanic => matches!(answer, Err(StoreError::Panicked(_))),
        };
        assert!(as_expected, "{post:?} got {answer:?}");
    }
    for room in 1..=7 {
        let wanted: Vec<_> = posts
            .iter()
            .filter(|post| post.room == room && post.mishap == Mishap::None)
            .map(|post| post.id.clone())
            .collect();
        assert_eq!(db.read(Ids(room)).await.unwrap(), wanted);
    }
}

#[store_test(schemas(SCHEMA))]
async fn a_conflict_is_told_to_its_caller_alone(db: TestDb) {
    let posts = [Post::new(1, "x"), Post::new(2, "y"), Post::new(1, "x"), Post::new(3, "z")];
    let answers: Vec<_> = posts.into_iter().map(|post| db.submit(post).unwrap()).collect();
    let answers = join_all(answers).await;
    assert!(matches!(answers[2], Err(StoreError::Conflict(_))), "{:?}", answers[2]);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    assert_eq!(db.read(Ids(1)).await.unwrap(), ["x"]);
}

one_off!(SwallowsAnError() -> (), |_this, tx| {
    let args = [5.into(), 5.into(), 5.into(), "swallowed".into(), Value::Null];
    tx.exec(&INSERT, &args).await?;
    // forbidden: PostgreSQL has spoilt the transaction
    let _ = tx.exec(&INSERT, &args).await;
    Ok(())
});

#[store_test(schemas(SCHEMA))]
async fn going_on_after_a_failed_statement_harms_only_oneself(db: TestDb) {
    let bad = db.submit(SwallowsAnError {}).unwrap();
    let good = db.submit(Post::new(1, "good")).unwrap();
    let bad = bad.await;
    assert_eq!(bad.is_err(), db.is_postgres(), "{bad:?}");
    good.await.unwrap();
    assert_eq!(db.read(Ids(1)).await.unwrap(), ["good"]);
}

#[store_test(schemas(SCHEMA))]
async fn works_with_one_key_keep_their_order(db: TestDb) {
    let answers: Vec<_> = (0..1_000)
        .map(|number| db.submit(Post::new(number % 3 + 1, format!("{number:04}"))).unwrap())
        .collect();
    for answer in join_all(answers).await {
        answer.unwrap();
    }
    for room in 1..=3 {
        let ids = db.read(Ids(room)).await.unwrap();
        assert!(ids.is_sorted() && ids.len() >= 333, "{ids:?}");
    }
}

#[store_test(schemas(SCHEMA))]
async fn locks_make_reading_and_then_writing_safe(db: TestDb) {
    let other = db.other_node("other").await;
    let other = other.as_ref().unwrap_or(&db);
    let answers = (0..400).map(|number| {
        let node = if number % 2 == 0 { &*db } else { other };
        node.write(Increment(number % 4))
    });
    for answer in join_all(answers).await {
        answer.unwrap();
    }
    one_off!(Seq(room: i64) -> i64, |this, tx| {
        Ok(tx.one::<(i64,)>(&SEQ_READ, &[this.room.into()]).await?.0)
    });
    for room in 0..4 {
        assert_eq!(db.read(Seq { room }).await.unwrap(), 100);
    }
}

#[store_test(schemas(SCHEMA))]
async fn the_feed_tells_every_change_once_and_in_order(mut db: TestDb) {
    let posts = (0..500).map(|number| {
        let mut post = Post::new(number % 5 + 1, format!("{number}"));
        if number % 50 == 7 {
            post.mishap = Mishap::Late;
        }
        db.write(post)
    });
    let answers = join_all(posts).await;
    let mut told: Vec<_> = answers.into_iter().flatten().map(|(pos, _)| pos).collect();
    assert_eq!(told.len(), 490);
    let horizon = db.horizon().borrow().clone();
    assert!(told.iter().all(|pos| horizon.covers(*pos)));

    let heard = listen(&mut db, |heard| {
        heard.last().is_some_and(|commit| commit.horizon.reaches(&horizon))
    })
    .await;
    for pair in heard.windows(2) {
        assert!(pair[1].horizon.reaches(&pair[0].horizon));
    }
    let mut before = haechi_base::Positions::default();
    for commit in &heard {
        for note in &commit.notes {
            assert!(commit.horizon.covers(note.pos), "told before it is visible");
            assert!(!before.covers(note.pos), "told after it was visible");
            assert!(matches!(note.change, Change::Event(RoomNid(1..=5))));
        }
        assert!(commit.foreign.is_empty());
        before = commit.horizon.clone();
    }
    let mut heard = positions(&heard);
    let mut by_lane = heard.clone();
    by_lane.sort_by_key(|pos| pos.lane());
    assert!(by_lane.is_sorted(), "each lane in its order");
    heard.sort_unstable();
    told.sort_unstable();
    assert_eq!(heard, told);
}

#[store_test(schemas(SCHEMA))]
async fn announcements_that_failed_hold_nobody_up(db: TestDb) {
    for room in 1..20 {
        let mut post = Post::new(room, "never");
        post.mishap = Mishap::Late;
        db.write(post).await.unwrap_err();
    }
    // the lane of some, and others beside it, have only seen failures
    for room in 1..20 {
        let written = db.write(Post::new(room, format!("{room}")));
        tokio::time::timeout(Duration::from_secs(30), written).await.expect("in time").unwrap();
    }
}

one_off!(SeqOfId(id: String) -> Option<i64>, |this, tx| {
    Ok(tx.opt::<(i64,)>(&SEQ_OF_ID, &[(&this.id).into()]).await?.map(|(seq,)| seq))
});

#[store_test(schemas(SCHEMA))]
async fn who_has_an_answer_finds_it_in_horizon_and_tables(db: TestDb) {
    let horizon = db.horizon();
    let writers = (0..8_i64).map(|room| {
        let (db, horizon) = (&db, &horizon);
        async move {
            for number in 0..40 {
                let id = format!("{room} {number}");
                let (pos, seq) = db.write(Post::new(room, id.clone())).await.unwrap();
                assert!(horizon.borrow().covers(pos));
                assert_eq!(db.read(SeqOfId { id }).await.unwrap(), Some(seq));
            }
        }
    });
    join_all(writers).await;
}

one_off!(AnnouncesInARead() -> (), |_this, tx| {
    tx.announce(Change::Event(RoomNid(1))).map(drop)
});

one_off!(WritesInARead() -> (), |_this, tx| {
    tx.exec(&INSERT, &[1.into(), 1.into(), 1.into(), "read".into(), Value::Null]).await.map(drop)
});

#[store_test(schemas(SCHEMA))]
async fn a_read_cannot_write(db: TestDb) {
    assert!(db.read(AnnouncesInARead {}).await.is_err());
    assert!(db.read(WritesInARead {}).await.is_err());
    assert_eq!(db.read(Ids(1)).await.unwrap(), Vec::<String>::new());
}

/// Reads the same thing twice with a pause in which the test writes.
struct Twice {
    paused: tokio::sync::mpsc::Sender<std::sync::mpsc::SyncSender<()>>,
}

impl Work for Twice {
    const NAME: &'static str = "test.twice";
    type Out = (Vec<(String,)>, Vec<(String,)>);

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let first = tx.all(&common::IDS, &[1.into()]).await?;
        let (go_on, wait) = std::sync::mpsc::sync_channel(1);
        self.paused.try_send(go_on).expect("the test listens");
        // a work may await only its transaction; a test may hold the thread, once it has told tokio
        tokio::task::block_in_place(|| wait.recv()).expect("the test says go on");
        Ok((first, tx.all(&common::IDS, &[1.into()]).await?))
    }
}

#[store_test(schemas(SCHEMA))]
async fn a_read_sees_one_snapshot(db: TestDb) {
    db.write(Post::new(1, "before")).await.unwrap();
    let (paused, mut pauses) = tokio::sync::mpsc::channel(1);
    let reader = db.clone();
    let reading = tokio::spawn(async move { reader.read(Twice { paused }).await });
    let go_on = pauses.recv().await.unwrap();
    db.write(Post::new(1, "meanwhile")).await.unwrap();
    go_on.send(()).unwrap();
    let (first, second) = reading.await.unwrap().unwrap();
    assert_eq!(first, second);
    assert_eq!(db.read(Ids(1)).await.unwrap(), ["before", "meanwhile"]);
}

#[store_test(schemas(SCHEMA))]
async fn everything_is_there_after_reopening(mut db: TestDb) {
    let (last, _) = db.write(Post::new(1, "one")).await.unwrap();
    let queued = db.submit(Post::new(1, "two")).unwrap();
    let before = db.clone();
    db.reopen().await;
    queued.await.unwrap();
    assert!(matches!(before.write(Post::new(1, "late")).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(before.read(Ids(1)).await, Err(StoreError::Unavailable(_))));
    assert_eq!(db.read(Ids(1)).await.unwrap(), ["one", "two"]);
    assert!(db.horizon().borrow().covers(last));
    let (next, seq) = db.write(Post::new(1, "three")).await.unwrap();
    assert_eq!(seq, 3);
    assert!(next > last);
}

#[store_test(schemas(SCHEMA))]
async fn a_crash_loses_nothing_that_was_answered(mut db: TestDb) {
    for crash in 0..3 {
        let answers: Vec<_> = (0..600)
            .map(|number| db.submit(Post::new(number % 9, format!("{crash} {number}"))).unwrap())
            .collect();
        let mut answers = answers.into_iter();
        let first = answers.next().unwrap().await;
        db.crash().await;
        let mut kept = vec![first];
        for answer in answers {
            kept.push(answer.await);
        }
        let mut found = Vec::new();
        for room in 0..9 {
            found.extend(db.read(Ids(room)).await.unwrap());
        }
        for (number, answer) in kept.iter().enumerate() {
            match answer {
                Ok(_) => assert!(found.contains(&format!("{crash} {number}"))),
                Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}"),
            }
        }
    }
}

/// Its callback panics.
struct BadCallback;

impl Work for BadCallback {
    const NAME: &'static str = "test.bad_callback";
    type Out = ();

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.announce(Change::Event(RoomNid(1))).map(drop)
    }

    fn committed(&self, (): &()) {
        panic!("a test's panic");
    }
}

#[store_test(schemas(SCHEMA))]
async fn a_panic_after_the_commit_harms_nobody(db: TestDb) {
    db.write(BadCallback).await.unwrap();
    db.write(Post::new(1, "next")).await.unwrap();
    assert_eq!(db.read(Ids(1)).await.unwrap(), ["next"]);
}

/// Holds its committer until the test lets go.
struct Hold(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl Work for Hold {
    const NAME: &'static str = "test.hold";
    type Out = ();

    fn order_key(&self) -> i64 {
        1
    }

    async fn run(&self, _tx: &mut Tx<'_>) -> Result<()> {
        let held = self.0.lock().expect("nobody panicked");
        let _ = tokio::task::block_in_place(|| held.recv());
        Ok(())
    }
}

#[store_test(schemas(SCHEMA))]
async fn a_full_queue_refuses_more(db: TestDb) {
    let (let_go, held) = std::sync::mpsc::sync_channel(1);
    let hold = db.submit(Hold(std::sync::Mutex::new(held))).unwrap();
    let mut accepted = Vec::new();
    let refused = loop {
        match db.submit(Post::new(1, format!("{}", accepted.len()))) {
            Ok(answer) => accepted.push(answer),
            Err(error) => break error,
        }
        assert!(accepted.len() < 100_000, "the queue has no end");
    };
    assert!(matches!(refused, StoreError::Overloaded), "{refused:?}");
    let_go.send(()).unwrap();
    hold.await.unwrap();
    let count = accepted.len();
    for answer in join_all(accepted).await {
        answer.unwrap();
    }
    assert_eq!(db.read(Ids(1)).await.unwrap().len(), count);
}

#[store_test(schemas(SCHEMA))]
async fn statements_are_the_same_on_both_engines(db: TestDb) {
    check_statements(&db).await;
}

#[store_test(schemas(SCHEMA))]
async fn plans_use_indexes(db: TestDb) {
    db.write(Post::new(1, "x")).await.unwrap();
    if db.is_postgres() {
        return; // the plans are SQLite's
    }
    let excuse = (common::EVERYTHING.name, "the scan that this test looks for");
    let plans = check_plans(&db, &[excuse]);
    assert!(plans.contains("SEARCH message USING INDEX message_room (room=?)"), "{plans}");
    let without = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check_plans(&db, &[])));
    assert!(without.is_err(), "a scan went unnoticed");
}

/// A row type of one's own decodes in place.
struct Length(usize);

impl haechi_store::FromRow for Length {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self(row.get::<String>(0)?.len()))
    }
}

one_off!(WrongType() -> Option<Length>, |_this, tx| {
    tx.opt(&SEQ_OF_ID, &["x".into()]).await
});

#[store_test(schemas(SCHEMA))]
async fn a_value_of_another_type_is_corrupt(db: TestDb) {
    db.write(Post::new(1, "x")).await.unwrap();
    let found = db.read(WrongType {}).await.map(|found| found.map(|length| length.0));
    assert!(matches!(found, Err(StoreError::Corrupt { column: 0, .. })), "{found:?}");
}

one_off!(Megabytes(number: i64) -> (), |this, tx| {
    let body = vec![7; 1_000_000];
    for seq in 0..8 {
        let pos = 9_000_000 + this.number * 100 + seq;
        let id = pos.to_string();
        let args = [pos.into(), 8.into(), seq.into(), (&id).into(), body.as_slice().into()];
        tx.exec_one(&INSERT, &args).await?;
    }
    Ok(())
});

#[test]
fn the_log_of_sqlite_begins_anew() {
    testing::on_sqlite(&[&SCHEMA], async |db| {
        for number in 0..30 {
            db.write(Megabytes { number }).await.unwrap();
        }
        let DbConfig::Sqlite { path, .. } = db.config() else { unreachable!() };
        let log = path.with_extension("db-wal");
        let (log, all) = (log.metadata().unwrap().len(), path.metadata().unwrap().len());
        assert!(all > 150_000_000, "{all} bytes were copied back");
        // 64 MiB, and what one group adds to them while the copying is not done
        assert!(log < 110_000_000, "the log has {log} bytes");
        db.close().await;
    });
}

sql!(INSERT_COLUMNS,
    // SQLite runs it for each row, PostgreSQL once over arrays
    sqlite: "INSERT INTO message (pos, room, seq, id, body) VALUES (?1, 9, ?2, hex(?3), ?4)",
    pg: "INSERT INTO message (pos, room, seq, id, body)
         SELECT pos, 9, seq, upper(encode(id, 'hex')), body
         FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BYTEA[], $4::BYTEA[]) AS t (pos, seq, id, body)");
sql!(BY_SEQS,
    // as above
    sqlite: "SELECT id, body FROM message WHERE room = 9 AND seq = ?1",
    pg: "SELECT id, body FROM message WHERE room = 9 AND seq = ANY($1::BIGINT[])");

one_off!(WriteColumns(count: i64) -> u64, |this, tx| {
    let numbers: Vec<i64> = (0..this.count).collect();
    let names: Vec<_> = numbers.iter().map(|number| number.to_be_bytes()).collect();
    let names: Vec<&[u8]> = names.iter().map(<[u8; 8]>::as_slice).collect();
    let bodies = vec![b"body".as_slice(); names.len()];
    let (ints, blobs) = (Column::Ints(&numbers), Column::Blobs(&names));
    tx.exec_columns(&INSERT_COLUMNS, &[ints, ints, blobs, Column::Blobs(&bodies)]).await
});

one_off!(ReadColumns(seqs: Vec<i64>) -> Vec<(String, Vec<u8>)>, |this, tx| {
    tx.all_columns(&BY_SEQS, &[Column::Ints(&this.seqs)]).await
});

#[store_test(schemas(SCHEMA))]
async fn columns_are_written_and_found_alike(db: TestDb) {
    assert_eq!(db.write(WriteColumns { count: 2_000 }).await.unwrap(), 2_000);
    let mut found = db.read(ReadColumns { seqs: vec![7, 5_000, 1_999, 0] }).await.unwrap();
    found.sort_unstable();
    let row = |number: i64| (format!("{number:016X}"), b"body".to_vec());
    assert_eq!(found, [row(0), row(7), row(1_999)]);
    assert_eq!(db.write(WriteColumns { count: 0 }).await.unwrap(), 0);
    assert_eq!(db.read(ReadColumns { seqs: vec![] }).await.unwrap(), []);
}
