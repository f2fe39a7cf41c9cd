//! What a connection remembers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use haechi_base::{Positions, RoomNid, UserNid};
use haechi_rooms::{Membership, Standing};
use moka::sync::Cache;
use ruma::OwnedRoomId;
use tokio::sync::Mutex;

use super::SharedConn;
use crate::{Result, SyncError, SyncToken, Viewer};

/// Connections kept; the least used are forgotten first.
const CONNECTIONS_MAX: u64 = 100_000;

/// A connection is forgotten after this long without a request.
const IDLE: Duration = Duration::from_hours(1);

/// All connections of this node.
pub(crate) struct Connections(Cache<(UserNid, Arc<str>, String), SharedConn>);

impl Default for Connections {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(CONNECTIONS_MAX).time_to_idle(IDLE).build())
    }
}

impl Connections {
    /// A new connection in place of the one of that name.
    pub(crate) fn open(&self, viewer: &Viewer, name: &str) -> SharedConn {
        let conn = Arc::new(Mutex::new(Connection::default()));
        let key = (viewer.user, Arc::clone(&viewer.device), name.to_owned());
        self.0.insert(key, Arc::clone(&conn));
        conn
    }

    pub(crate) fn find(&self, viewer: &Viewer, name: &str) -> Option<SharedConn> {
        self.0.get(&(viewer.user, Arc::clone(&viewer.device), name.to_owned()))
    }
}

/// What the client of a connection has been told, at one answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conn {
    /// Number of the answer.
    pub(crate) serial: u64,
    pub(crate) sent: imbl::HashMap<RoomNid, Sent>,
    /// The user's rooms, until something about them changes.
    pub(crate) rooms: Option<Arc<Vec<Standing>>>,
    /// The rooms in `m.direct`, likewise.
    pub(crate) direct: Option<Arc<Vec<OwnedRoomId>>>,
    /// How many rooms each list held.
    pub(crate) counts: HashMap<String, u64>,
}

/// What the client has been told of one room.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Up to where.
    pub(crate) until: Positions,
    /// What the user was in it.
    pub(crate) membership: Membership,
    /// With how many events of the timeline at first.
    pub(crate) timeline_limit: usize,
    /// With which state.
    pub(crate) required: Arc<Vec<(String, String)>>,
    /// Unread counts as told last.
    pub(crate) unread: (i64, i64),
    /// Whose member events, where members are loaded lazily.
    pub(crate) members: imbl::HashSet<Box<str>>,
}

impl Sent {
    /// Nothing yet.
    pub(crate) fn nothing(membership: Membership) -> Self {
        Self {
            until: Positions::default(),
            membership,
            timeline_limit: 0,
            required: Arc::default(),
            unread: (0, 0),
            members: imbl::HashSet::new(),
        }
    }
}

/// The two newest answers: the client may not have got the last one and ask again.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    current: Conn,
    previous: Option<Conn>,
}

impl Connection {
    /// The client comes back with the answer of this number.
    pub(crate) fn go_to(&mut self, serial: u64) -> Result<()> {
        if self.current.serial == serial {
            return Ok(());
        }
        match self.previous.take() {
            Some(previous) if previous.serial == serial => {
                self.current = previous;
                Ok(())
            }
            _ => Err(SyncError::UnknownPos),
        }
    }

    /// What the next answer starts from.
    pub(crate) fn next(&self) -> Conn {
        let mut next = self.current.clone();
        next.serial += 1;
        next
    }

    /// The answer goes out.
    pub(crate) fn advance(&mut self, next: Conn) {
        self.previous = Some(std::mem::replace(&mut self.current, next));
    }

    /// The answer was empty: what was learnt is kept, the number is not.
    pub(crate) fn keep(&mut self, attempt: Conn) {
        let serial = self.current.serial;
        self.current = Conn { serial, ..attempt };
    }
}

/// The position that a client is given: number of the answer, and point in time.
pub(crate) fn pos(serial: u64, token: &SyncToken) -> String {
    format!("{serial}/{token}")
}

pub(crate) fn parse_pos(pos: &str) -> Result<(u64, SyncToken)> {
    let (serial, token) = pos.split_once('/').ok_or(SyncError::UnknownPos)?;
    let serial = serial.parse().map_err(|_| SyncError::UnknownPos)?;
    Ok((serial, token.parse().map_err(|_| SyncError::UnknownPos)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_answer_can_be_asked_for_again() {
        let mut connection = Connection::default();
        let first = connection.next();
        connection.advance(first);
        let second = connection.next();
        connection.advance(second);
        assert!(connection.go_to(1).is_ok(), "the answer before the last");
        assert!(connection.go_to(2).is_err(), "it was taken back");
        assert!(connection.go_to(1).is_ok());
        assert!(connection.go_to(7).is_err());
    }

    #[test]
    fn positions_round_trip() {
        let (serial, token) = parse_pos("7/s12~t1.2").unwrap();
        assert_eq!(pos(serial, &token), "7/s12~t1.2");
        assert!(parse_pos("s12").is_err());
    }
}
