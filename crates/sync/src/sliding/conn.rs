//! What a connection remembers.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use haechi_base::{Positions, RoomNid, UserNid};
use haechi_rooms::{Membership, Standing};
use moka::sync::Cache;
use ruma::OwnedRoomId;
use tokio::sync::{Mutex, MutexGuard, watch};

use crate::{Result, SyncError, SyncToken, Viewer};

/// Connections kept; the least used are forgotten first.
const CONNECTIONS_MAX: u64 = 100_000;

/// A connection is forgotten after this long without a request.
const IDLE: Duration = Duration::from_hours(1);

/// All connections of this node.
pub(crate) struct Connections(Cache<(UserNid, Arc<str>, String), Arc<Shared>>);

impl Default for Connections {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(CONNECTIONS_MAX).time_to_idle(IDLE).build())
    }
}

impl Connections {
    /// A new connection in place of the one of that name.
    pub(crate) fn open(&self, viewer: &Viewer, name: &str) -> Arc<Shared> {
        let conn = Arc::<Shared>::default();
        let key = (viewer.user, Arc::clone(&viewer.device), name.to_owned());
        self.0.insert(key, Arc::clone(&conn));
        conn
    }

    pub(crate) fn find(&self, viewer: &Viewer, name: &str) -> Option<Arc<Shared>> {
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

/// A connection as its requests share it.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    state: Mutex<Connection>,
    /// How many requests have come.
    arrived: watch::Sender<u64>,
}

impl Shared {
    /// A request has come; one that still waits on this connection is told.
    pub(crate) fn arrive(&self) -> Turn {
        let mut own = 0;
        self.arrived.send_modify(|arrived| {
            *arrived += 1;
            own = *arrived;
        });
        Turn { own, arrived: self.arrived.subscribe() }
    }

    pub(crate) async fn lock(&self) -> MutexGuard<'_, Connection> {
        self.state.lock().await
    }
}

/// A request's place among those of its connection.
pub(crate) struct Turn {
    own: u64,
    arrived: watch::Receiver<u64>,
}

impl Turn {
    /// Waits until a newer request has come: then nobody reads the answer to this one.
    pub(crate) async fn is_over(&mut self) {
        let own = self.own;
        if self.arrived.wait_for(|arrived| *arrived > own).await.is_err() {
            // The connection itself is gone; its requests end at their own time.
            std::future::pending::<()>().await;
        }
    }
}

/// Answers remembered that the client has not confirmed: lost ones, and those to requests that it
/// gave up.
const UNCONFIRMED_MAX: usize = 4;

/// What the client is known to know, and what it may know besides.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// As of the answer that the client has confirmed by coming back with it.
    confirmed: Conn,
    /// The answers given since, each of which starts from `confirmed`.
    unconfirmed: VecDeque<Conn>,
    last_serial: u64,
}

impl Connection {
    /// The client comes back with the answer of this number.
    pub(crate) fn go_to(&mut self, serial: u64) -> Result<()> {
        if self.confirmed.serial == serial {
            return Ok(());
        }
        let known = self.unconfirmed.iter().position(|conn| conn.serial == serial);
        let conn = known.and_then(|at| self.unconfirmed.swap_remove_back(at));
        self.confirmed = conn.ok_or(SyncError::UnknownPos)?;
        self.unconfirmed.clear();
        Ok(())
    }

    /// What the next answer starts from.
    pub(crate) fn next(&self) -> Conn {
        Conn { serial: self.last_serial + 1, ..self.confirmed.clone() }
    }

    /// The answer goes out. Its number is never used again.
    pub(crate) fn advance(&mut self, next: Conn) {
        self.last_serial = next.serial;
        if self.unconfirmed.len() == UNCONFIRMED_MAX {
            self.unconfirmed.pop_front();
        }
        self.unconfirmed.push_back(next);
    }

    /// The answer was empty: what was learnt is kept, the number is not.
    pub(crate) fn keep(&mut self, attempt: Conn) {
        let serial = self.confirmed.serial;
        self.confirmed = Conn { serial, ..attempt };
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

    fn answer(connection: &mut Connection) -> u64 {
        let next = connection.next();
        let serial = next.serial;
        connection.advance(next);
        serial
    }

    #[test]
    fn a_lost_answer_can_be_asked_for_again() {
        let mut connection = Connection::default();
        let first = answer(&mut connection);
        connection.go_to(first).unwrap();
        let lost = answer(&mut connection);
        connection.go_to(first).unwrap();
        let again = answer(&mut connection);
        assert_ne!(lost, again);
        connection.go_to(again).unwrap();
        assert!(connection.go_to(lost).is_err(), "it has gone another way");
        assert!(connection.go_to(first).is_err());
        assert!(connection.go_to(again).is_ok());
    }

    #[test]
    fn an_answer_stands_when_its_request_comes_again_late() {
        let mut connection = Connection::default();
        let first = answer(&mut connection);
        connection.go_to(first).unwrap();
        let second = answer(&mut connection);
        // A request that was given up gets its turn only now, and is not even answered.
        connection.go_to(first).unwrap();
        connection.go_to(second).unwrap();
    }

    #[test]
    fn only_so_many_answers_are_remembered() {
        let mut connection = Connection::default();
        let answers: Vec<u64> = (0..=UNCONFIRMED_MAX).map(|_| answer(&mut connection)).collect();
        assert!(connection.go_to(answers[0]).is_err());
        assert!(connection.go_to(answers[1]).is_ok());
    }

    #[tokio::test]
    async fn a_newer_request_ends_the_waiting_of_an_older() {
        let conn = Shared::default();
        let mut older = conn.arrive();
        let mut newer = conn.arrive();
        older.is_over().await;
        tokio::select! {
            biased;
            () = newer.is_over() => panic!("nothing newer has come"),
            () = std::future::ready(()) => {}
        }
    }

    #[test]
    fn positions_round_trip() {
        let (serial, token) = parse_pos("7/s12~t1.2").unwrap();
        assert_eq!(pos(serial, &token), "7/s12~t1.2");
        assert!(parse_pos("s12").is_err());
    }
}
