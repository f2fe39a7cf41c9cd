//! What only PostgreSQL can do to us: other nodes, lost connections, lost answers.

mod common;
#[path = "common/proxy.rs"]
mod proxy;

use std::{collections::BTreeSet, time::Duration};

use common::{Ids, Post, SCHEMA};
use futures_util::future::join_all;
use haechi_base::{Positions, StreamPos};
use haechi_store::{
    Commit, DbConfig, Hint, PgUrl, StoreError,
    testing::{TestDb, on_postgres},
};
use proxy::{Cut, Proxy, host_of};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// What the feed says until the horizon reaches `goal`.
async fn listen(db: &mut TestDb, goal: &Positions) -> Vec<Commit> {
    let mut heard: Vec<Commit> = Vec::new();
    while !heard.last().is_some_and(|commit| commit.horizon.reaches(goal)) {
        heard.push(timeout(SOON, db.feed().recv()).await.expect("in time").expect("open"));
    }
    heard
}

fn noted(heard: &[Commit]) -> Vec<StreamPos> {
    heard.iter().flat_map(|commit| &commit.notes).map(|note| note.pos).collect()
}

/// What other nodes are known to have written.
fn told_by_others(heard: &[Commit]) -> Vec<StreamPos> {
    heard.iter().flat_map(|commit| &commit.heard).map(|note| note.pos).collect()
}

/// Is `pos` in a range that is to be read from the tables?
fn is_foreign(heard: &[Commit], pos: StreamPos) -> bool {
    let mut ranges = heard.iter().flat_map(|commit| &commit.foreign);
    ranges.any(|(after, to)| *after < pos && pos <= *to)
}

#[test]
fn a_commit_whose_answer_is_lost_happens_once() {
    on_postgres(&[&SCHEMA], async |direct| {
        let proxy = Proxy::before(direct.config()).await;
        let config = proxy.config(direct.config());
        let mut db = TestDb::open(config, &[&SCHEMA]).await.unwrap();
        let mut told = vec![db.write(Post::new(1, "zero")).await.unwrap().0];
        for (id, cut) in [("one", Cut::After), ("two", Cut::Before), ("three", Cut::After)] {
            proxy.arm(cut, id);
            // a second run after a commit would be refused: the id is unique
            told.push(db.write(Post::new(1, id)).await.unwrap().0);
            timeout(SOON, proxy.cut()).await.expect("the commit was cut");
        }
        assert_eq!(db.read(Ids(1)).await.unwrap(), ["zero", "one", "two", "three"]);
        let horizon = db.horizon().borrow().clone();
        assert_eq!(noted(&listen(&mut db, &horizon).await), told);
        db.close().await;
    });
}

#[test]
fn a_lost_answer_and_a_lost_lane_leave_the_outcome_unknown() {
    on_postgres(&[&SCHEMA], async |direct| {
        let proxy = Proxy::before(direct.config()).await;
        let config = proxy.config(direct.config());
        let mut db = TestDb::open(config, &[&SCHEMA]).await.unwrap();
        let (first, _) = db.write(Post::new(1, "first")).await.unwrap();
        proxy.arm(Cut::After, "doubtful");
        proxy.hold(true);
        let doubtful = db.submit(Post::new(1, "doubtful")).unwrap();
        timeout(SOON, proxy.cut()).await.expect("the commit was cut");
        direct.meddle("UPDATE lane SET epoch = epoch + 1, owner = 'thief'").await;
        proxy.hold(false);
        let outcome = doubtful.await;
        assert!(matches!(outcome, Err(StoreError::Unknown(_))), "{outcome:?}");
        let (next, _) = db.write(Post::new(1, "next")).await.unwrap();
        assert_ne!(next.lane(), first.lane());
        assert_eq!(db.read(Ids(1)).await.unwrap(), ["first", "doubtful", "next"]);
        let doubtful = StreamPos(first.0 + 1);
        let goal = db.horizon().borrow().clone();
        let heard = listen(&mut db, &goal).await;
        assert_eq!(told_by_others(&heard), [doubtful], "by whoever it was: it is ours no longer");
        assert!(goal.covers(doubtful));
        assert_eq!(noted(&heard), [first, next]);
        db.close().await;
    });
}

#[test]
fn a_fenced_committer_writes_nothing_and_takes_another_lane() {
    on_postgres(&[&SCHEMA], async |mut db| {
        let (first, _) = db.write(Post::new(1, "first")).await.unwrap();
        db.meddle("UPDATE lane SET epoch = epoch + 1, owner = 'thief'").await;
        let fenced = db.write(Post::new(1, "fenced")).await;
        assert!(matches!(fenced, Err(StoreError::Fenced)), "{fenced:?}");
        let (next, _) = db.write(Post::new(1, "next")).await.unwrap();
        assert_ne!(next.lane(), first.lane());
        assert_eq!(db.read(Ids(1)).await.unwrap(), ["first", "next"]);
        let goal = db.horizon().borrow().clone();
        assert_eq!(noted(&listen(&mut db, &goal).await), [first, next]);
    });
}

#[test]
fn killed_backends_lose_and_repeat_nothing() {
    on_postgres(&[&SCHEMA], async |db| {
        let killing = async {
            for _ in 0..15 {
                tokio::time::sleep(Duration::from_millis(40)).await;
                db.meddle(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()",
                )
                .await;
            }
        };
        let writers = (1..=6).map(|room| {
            let db = &db;
            async move {
                for number in 0..60 {
                    let id = format!("{room} {number:03}");
                    db.write(Post::new(room, id)).await.expect("the server comes back at once");
                    tokio::time::sleep(Duration::from_millis(8)).await;
                }
            }
        });
        tokio::join!(killing, join_all(writers));
        for room in 1..=6 {
            let wanted: Vec<_> = (0..60).map(|number| format!("{room} {number:03}")).collect();
            assert_eq!(db.read(Ids(room)).await.unwrap(), wanted);
        }
    });
}

#[test]
fn nodes_hear_of_one_another() {
    on_postgres(&[&SCHEMA], async |mut one| {
        let mut two = one.other_node("two").await.unwrap();
        let mut by_two = Vec::new();
        for number in 0..20 {
            one.write(Post::new(1, format!("one {number}"))).await.unwrap();
            by_two.push(two.write(Post::new(1, format!("two {number}"))).await.unwrap().0);
        }
        let goal = two.horizon().borrow().clone();
        let heard = listen(&mut one, &goal).await;
        assert_eq!(told_by_others(&heard), by_two);
        let own = noted(&heard);
        assert!(own.len() == 20 && own.iter().all(|pos| !by_two.contains(pos)));
        let heard = listen(&mut two, &goal).await;
        assert_eq!(noted(&heard), by_two);
        two.close().await;
    });
}

#[test]
fn what_others_wrote_is_taken_from_hints_or_read_again() {
    on_postgres(&[&SCHEMA], async |mut one| {
        let two = one.other_node("two").await.unwrap();
        let mut hints = two.hints().unwrap();
        assert!(two.hints().is_none(), "there is one listener");
        // What is known from hints only, as the tables are silent, is known all the same.
        let (hinted, _) = two.write(Post::new(1, "hinted")).await.unwrap();
        one.meddle("DELETE FROM lane_note").await;
        let hint = hints.recv().await.unwrap();
        let hint = Hint::decode(&hint.encode()).unwrap();
        for _ in 0..3 {
            one.hear(hint.clone());
        }
        let heard = listen(&mut one, &hint.seen).await;
        assert_eq!(told_by_others(&heard), [hinted]);
        one.hear(hint);
        // Lost hints: the tables tell.
        let (kept, _) = two.write(Post::new(1, "kept")).await.unwrap();
        let goal = two.horizon().borrow().clone();
        assert_eq!(told_by_others(&listen(&mut one, &goal).await), [kept]);
        // Neither: all that is known is where.
        one.meddle("CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
            CREATE TRIGGER forget BEFORE INSERT ON lane_note FOR EACH ROW EXECUTE FUNCTION forget()").await;
        let (lost, _) = two.write(Post::new(1, "lost")).await.unwrap();
        let goal = two.horizon().borrow().clone();
        let heard = listen(&mut one, &goal).await;
        assert_eq!(told_by_others(&heard), []);
        assert!(is_foreign(&heard, lost), "{heard:?}");
        two.close().await;
    });
}

#[test]
fn lanes_are_used_again() {
    on_postgres(&[&SCHEMA], async |mut db| {
        let write = async |db: &TestDb, id: &str| -> BTreeSet<_> {
            let posts = (0..20).map(|room| db.write(Post::new(room, format!("{id} {room}"))));
            let answers = join_all(posts).await;
            answers.into_iter().map(|answer| answer.unwrap().0.lane()).collect()
        };
        let lanes = write(&db, "at first").await;
        assert_eq!(lanes.len(), 2);
        db.reopen().await;
        assert_eq!(write(&db, "after closing").await, lanes);
        db.crash().await;
        assert_eq!(write(&db, "after a crash").await, lanes, "a node knows its own lanes again");
        let other = db.other_node("other").await.unwrap();
        assert!(write(&other, "meanwhile").await.is_disjoint(&lanes));
        db.close().await;
        other.close().await;
        let third = other.other_node("third").await.unwrap();
        assert_eq!(write(&third, "at last").await, lanes, "the smallest free ones");
        third.close().await;
    });
}

#[test]
fn a_silent_host_does_not_keep_us_from_the_next() {
    on_postgres(&[&SCHEMA], async |direct| {
        // it completes handshakes, as a frozen server does, and says nothing
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = direct.config().clone();
        let DbConfig::Postgres { url, node, .. } = &mut config else { unreachable!() };
        let hosts = format!("{},{}", silent.local_addr().unwrap(), host_of(url.as_str()));
        *url = PgUrl::from(url.as_str().replacen(host_of(url.as_str()), &hosts, 1));
        "elsewhere".clone_into(node);
        let db = TestDb::open(config, &[&SCHEMA]).await.unwrap();
        db.write(Post::new(1, "there")).await.unwrap();
        db.close().await;
    });
}

#[test]
fn another_collation_is_refused_with_advice() {
    on_postgres(&[], async |db| {
        let DbConfig::Postgres { url, .. } = db.config() else { unreachable!() };
        let name = url.as_str().rsplit('/').next().unwrap().split('?').next().unwrap();
        let other = format!("{name}_latin");
        db.meddle(&format!(
            "CREATE DATABASE {other} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"
        ))
        .await;
        let mut config = db.config().clone();
        let DbConfig::Postgres { url, .. } = &mut config else { unreachable!() };
        *url = PgUrl::from(url.as_str().replacen(name, &other, 1));
        let Err(refused) = TestDb::open(config, &[]).await else { panic!("opened") };
        assert!(refused.to_string().contains("CREATE DATABASE"), "{refused}");
        db.meddle(&format!("DROP DATABASE {other} WITH (FORCE)")).await;
    });
}
