//! What a work must hold before it reads and then writes. SQLite has one writer and ignores it;
//! PostgreSQL takes advisory transaction locks in sorted order, so that works never deadlock.

use haechi_base::{RoomNid, UserNid};

/// One thing to be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockKey {
    /// A room: its head, state and members.
    Room(RoomNid),
    /// A user: account, devices, keys.
    User(UserNid),
    /// Anything else: a small space number chosen by the crate, and an id or hash in it.
    Other(u8, i64),
}

impl LockKey {
    /// The key as PostgreSQL's advisory locks want it: space in the top byte.
    pub fn packed(self) -> i64 {
        let (space, id) = match self {
            Self::Room(room) => (1, room.0),
            Self::User(user) => (2, user.0),
            Self::Other(space, id) => (i64::from(space) + 16, id),
        };
        (space << 55) ^ (id & ((1 << 55) - 1))
    }
}

/// The locks of one work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locks(Vec<LockKey>);

impl Locks {
    /// No locks: a read, or a write that `ON CONFLICT` alone keeps right.
    pub fn none() -> Self {
        Self::default()
    }

    /// One lock.
    pub fn one(key: LockKey) -> Self {
        Self(vec![key])
    }

    /// Several locks.
    pub fn all(keys: impl IntoIterator<Item = LockKey>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// The keys, in no order.
    pub fn keys(&self) -> &[LockKey] {
        &self.0
    }
}
