//! Who is typing where. Kept in memory only: it is forgotten in seconds anyway.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use haechi_base::{RoomNid, UserNid};
use parking_lot::Mutex;
use tokio::sync::broadcast;

/// Longest a client may say in advance that its user is typing.
const TYPING_MS_MAX: u64 = 120_000;

/// Changes that may wait for the one who listens.
const CHANGES_MAX: usize = 1_024;

/// Who is typing where.
#[derive(Debug)]
pub struct Typing {
    rooms: Mutex<HashMap<RoomNid, Vec<(UserNid, Instant)>>>,
    changes: broadcast::Sender<RoomNid>,
    said: broadcast::Sender<Said>,
}

/// What a client says of its user's typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Where.
    pub room: RoomNid,
    /// Who.
    pub user: UserNid,
    /// For how long from now; none when they have stopped.
    pub timeout: Option<Duration>,
}

impl Default for Typing {
    fn default() -> Self {
        Self {
            rooms: Mutex::default(),
            changes: broadcast::channel(CHANGES_MAX).0,
            said: broadcast::channel(CHANGES_MAX).0,
        }
    }
}

impl Typing {
    /// Hears of every room in which somebody starts or stops typing.
    pub fn changes(&self) -> broadcast::Receiver<RoomNid> {
        self.changes.subscribe()
    }

    /// Hears of everything that users of this node say of their typing, for the other nodes.
    pub fn said(&self) -> broadcast::Receiver<Said> {
        self.said.subscribe()
    }

    /// The user types for the next `timeout`, or has stopped.
    pub fn set(&self, room: RoomNid, user: UserNid, timeout: Option<Duration>) {
        // Nobody listening is fine.
        let _ = self.said.send(Said { room, user, timeout });
        self.hear(Said { room, user, timeout });
    }

    /// Takes what a user of another node says.
    pub fn hear(&self, Said { room, user, timeout }: Said) {
        let mut rooms = self.rooms.lock();
        let users = rooms.entry(room).or_default();
        let before = users.len();
        users.retain(|(other, _)| *other != user);
        let was_typing = users.len() != before;
        if let Some(timeout) = timeout {
            let timeout = timeout.min(Duration::from_millis(TYPING_MS_MAX));
            users.push((user, now() + timeout));
        }
        if users.is_empty() {
            rooms.remove(&room);
        }
        if was_typing != timeout.is_some() {
            // Nobody listening is fine.
            let _ = self.changes.send(room);
        }
    }

    /// Who is typing in the room.
    pub fn users(&self, room: RoomNid) -> Vec<UserNid> {
        let now = now();
        let rooms = self.rooms.lock();
        let users = rooms.get(&room).into_iter().flatten();
        users.filter(|(_, until)| *until > now).map(|(user, _)| *user).collect()
    }

    /// Forgets who has not said for long enough that they still type. To be called every second.
    pub fn expire(&self) {
        let now = now();
        self.rooms.lock().retain(|room, users| {
            let before = users.len();
            users.retain(|(_, until)| *until > now);
            if users.len() != before {
                let _ = self.changes.send(*room);
            }
            !users.is_empty()
        });
    }
}

fn now() -> Instant {
    Instant::now()
}
