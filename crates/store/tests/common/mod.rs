//! A small schema and works for the tests of the store.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part")]

use haechi_base::{RoomNid, StreamPos, UserNid};
use haechi_store::{Change, LockKey, Locks, Migration, Result, Schema, StoreError, Tx, Work, sql};

/// Two tables: messages with a unique id, and a counter for each room.
pub(crate) static SCHEMA: Schema = Schema {
    module: "test",
    migrations: &[Migration {
        name: "0001_messages",
        text: "CREATE TABLE message (
                 pos BIGINT NOT NULL PRIMARY KEY, room BIGINT NOT NULL, seq BIGINT NOT NULL,
                 id TEXT NOT NULL UNIQUE, body BYTEA) {strict};
               CREATE INDEX message_room ON message (room, seq);
               CREATE TABLE counter (room BIGINT NOT NULL PRIMARY KEY, seq BIGINT NOT NULL) {clustered};",
        pg: None,
    }],
};

sql!(pub(crate) NEXT_SEQ, "INSERT INTO counter (room, seq) VALUES (?1, 1)
    ON CONFLICT (room) DO UPDATE SET seq = counter.seq + 1 RETURNING seq");
sql!(pub(crate) INSERT, "INSERT INTO message (pos, room, seq, id, body) VALUES (?1, ?2, ?3, ?4, ?5)");
sql!(pub(crate) SEQ_OF_ID, "SELECT seq FROM message WHERE id = ?1");
sql!(pub(crate) IDS, "SELECT id FROM message WHERE room = ?1 ORDER BY seq");
sql!(pub(crate) SEQ_READ, "SELECT seq FROM counter WHERE room = ?1");
sql!(pub(crate) SEQ_WRITE, "INSERT INTO counter (room, seq) VALUES (?1, ?2)
    ON CONFLICT (room) DO UPDATE SET seq = excluded.seq");
sql!(pub(crate) STATS, "SELECT count(*), sum(seq), max(id) FROM message WHERE room = ?1");
sql!(pub(crate) BY_ROOMS,
    // an array is a parameter on one engine, a JSON text on the other
    sqlite: "SELECT id FROM message WHERE room IN (SELECT value FROM json_each(?1)) ORDER BY id",
    pg: "SELECT id FROM message WHERE room = ANY($1) ORDER BY id");
sql!(pub(crate) BY_IDS,
    // as above
    sqlite: "SELECT id FROM message WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id",
    pg: "SELECT id FROM message WHERE id = ANY($1) ORDER BY id");
sql!(pub(crate) EVERYTHING, "SELECT id FROM message");

/// What a message does beside being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    None,
    /// Fails before it writes.
    Early,
    /// Fails after it has written.
    Late,
    /// Panics after it has written.
    Panic,
    /// Panics before it writes.
    EarlyPanic,
}

/// Writes a message at the end of its room.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) room: i64,
    pub(crate) id: String,
    pub(crate) mishap: Mishap,
}

impl Post {
    pub(crate) fn new(room: i64, id: impl Into<String>) -> Self {
        Self { room, id: id.into(), mishap: Mishap::None }
    }
}

pub(crate) fn mishap() -> StoreError {
    StoreError::Driver { statement: "test", reason: "mishap".to_owned() }
}

impl Work for Post {
    const NAME: &'static str = "test.post";
    type Out = (StreamPos, i64);

    fn locks(&self) -> Locks {
        Locks::one(LockKey::Room(RoomNid(self.room)))
    }

    fn order_key(&self) -> i64 {
        self.room
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        match self.mishap {
            Mishap::Early => return Err(mishap()),
            Mishap::EarlyPanic => panic!("a test's panic"),
            _ => {}
        }
        let (seq,): (i64,) = tx.one(&NEXT_SEQ, &[self.room.into()]).await?;
        let pos = tx.announce(Change::Event(RoomNid(self.room)))?;
        let body: &[u8] = self.id.as_bytes();
        tx.exec_one(
            &INSERT,
            &[pos.into(), self.room.into(), seq.into(), (&self.id).into(), body.into()],
        )
        .await?;
        match self.mishap {
            Mishap::Late => Err(mishap()),
            Mishap::Panic => panic!("a test's panic"),
            _ => Ok((pos, seq)),
        }
    }
}

/// Reads and then writes a counter: wrong without its lock. Announces nothing.
pub(crate) struct Increment(pub(crate) i64);

impl Work for Increment {
    const NAME: &'static str = "test.increment";
    type Out = i64;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(UserNid(self.0)))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<i64> {
        let found: Option<(i64,)> = tx.opt(&SEQ_READ, &[self.0.into()]).await?;
        let next = found.map_or(0, |(seq,)| seq) + 1;
        tx.exec(&SEQ_WRITE, &[self.0.into(), next.into()]).await?;
        Ok(next)
    }
}

/// The ids in a room, in order.
pub(crate) struct Ids(pub(crate) i64);

impl Work for Ids {
    const NAME: &'static str = "test.ids";
    type Out = Vec<String>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = tx.all(&IDS, &[self.0.into()]).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }
}
