//! SIGKILL in the middle of a group loses nothing that was acknowledged.

mod common;

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use common::{Ids, Post, SCHEMA};
use futures_util::future::join_all;
use haechi_store::{
    DbConfig,
    testing::{TestDb, store_test},
};

/// Names the database to the child: a path, or an address.
const VARIABLE: &str = "HAECHI_KILL_DATABASE";
const ROUNDS: usize = 4;
const ROOMS: i64 = 12;

/// The child: writes and says what was acknowledged, until it is killed. Without the variable, that
/// is when it runs as a test among the others, it has nothing to do.
#[test]
fn child() {
    #[expect(clippy::disallowed_methods, reason = "set by the test below")]
    let Ok(database) = std::env::var(VARIABLE) else { return };
    let two = std::num::NonZeroUsize::new(2).unwrap();
    let config = if database.contains("://") {
        DbConfig::Postgres {
            url: database.into(),
            local: None,
            pool: two,
            committers: two,
            node: "kill".into(),
        }
    } else {
        DbConfig::Sqlite { path: database.into(), readers: two }
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let db = TestDb::open(config, &[&SCHEMA]).await.unwrap();
        let round = std::process::id();
        let writers = (0..ROOMS).map(|room| {
            let db = &db;
            async move {
                for number in 0.. {
                    let id = format!("{round}/{room}/{number}");
                    db.write(Post::new(room, id.clone())).await.unwrap();
                    // at once: what is said must be true whatever happens next
                    writeln!(std::io::stdout(), "ack {room} {id}").unwrap();
                }
            }
        });
        join_all(writers).await;
    });
}

#[store_test(schemas(SCHEMA))]
async fn nothing_acknowledged_is_lost(db: TestDb) {
    let (database, config) = match db.config() {
        DbConfig::Sqlite { path, .. } => (path.display().to_string(), db.config()),
        DbConfig::Postgres { url, .. } => (url.as_str().to_owned(), db.config()),
    };
    db.close().await;
    let mut acknowledged: Vec<(i64, String)> = Vec::new();
    for round in 0..ROUNDS {
        let wanted = acknowledged.len() + 300 + round * 177;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(VARIABLE, &database)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut killed = false;
        while let Some(Ok(line)) = lines.next() {
            // the harness writes on the same line as the first acknowledgement
            if let Some((_, said)) = line.split_once("ack ") {
                let (room, id) = said.split_once(' ').unwrap();
                acknowledged.push((room.parse().unwrap(), id.to_owned()));
            }
            if acknowledged.len() >= wanted && !killed {
                child.kill().unwrap(); // SIGKILL; what it said before is still in the pipe
                killed = true;
            }
        }
        child.wait().unwrap();
        assert!(killed, "the child ended by itself after {} writes", acknowledged.len());
    }
    let db = TestDb::open(config.clone(), &[&SCHEMA]).await.unwrap();
    let mut found = Vec::new();
    for room in 0..ROOMS {
        found.extend(db.read(Ids(room)).await.unwrap().into_iter().map(|id| (room, id)));
    }
    let unique: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(unique.len(), found.len(), "something was written twice");
    let lost: Vec<_> = acknowledged.iter().filter(|written| !unique.contains(written)).collect();
    assert!(lost.is_empty(), "lost {} of {}: {lost:?}", lost.len(), acknowledged.len());
    // the order in which each writer was answered is the order in the room
    for room in 0..ROOMS {
        let said: Vec<_> = acknowledged.iter().filter(|(of, _)| *of == room).collect();
        let known: BTreeSet<_> = said.iter().collect();
        let kept: Vec<_> =
            found.iter().filter(|written| written.0 == room && known.contains(written)).collect();
        assert_eq!(said, kept);
    }
    db.close().await;
}
