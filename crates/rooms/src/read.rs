//! Reading a room: one event, pages of history, what stood around an event, members, state.

use std::{fmt, str::FromStr, sync::Arc};

use haechi_base::{Millis, Positions, RoomNid, UserNid};
use haechi_matrix::pdu::Pdu;
use haechi_store::{Result as StoreResult, Tx, Work, sql};
use ruma::{EventId, OwnedEventId, UserId};

use crate::{
    Result, Room, RoomError, Rooms, State,
    model::{Actor, Event},
    store::{FullRow, complete, event_columns},
};

sql!(
    EVENT_BY_ID,
    concat!("SELECT ", event_columns!(), " FROM event e WHERE e.event_id = ?1 AND e.room = ?2")
);
sql!(
    EVENTS_BEFORE,
    concat!(
        "SELECT ",
        event_columns!(),
        " FROM event e WHERE e.room = ?1 AND e.seq <= ?2 ORDER BY e.seq DESC LIMIT ?3"
    )
);
sql!(
    EVENTS_AFTER,
    concat!(
        "SELECT ",
        event_columns!(),
        " FROM event e WHERE e.room = ?1 AND e.seq > ?2 ORDER BY e.seq LIMIT ?3"
    )
);
sql!(LAST_SEQ, "SELECT seq FROM room WHERE nid = ?1");
sql!(TIME_OF_SEQ, "SELECT origin_server_ts FROM event WHERE room = ?1 AND seq = ?2");
sql!(
    TIMES_BETWEEN,
    "SELECT origin_server_ts, seq, event_id FROM event
     WHERE room = ?1 AND seq >= ?2 AND seq <= ?3 ORDER BY seq"
);
sql!(ROOM_OF_EVENT, "SELECT room FROM event WHERE event_id = ?1");

/// Which way a page goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards the beginning of the room.
    Backward,
    /// Towards its end.
    Forward,
}

/// A place between two events of a room: behind the event with this number.
///
/// Written `p12`. A token from `/sync` names a point in time and is turned into one by
/// [`Rooms::seq_at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken(pub i64);

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl FromStr for PageToken {
    type Err = RoomError;

    fn from_str(text: &str) -> Result<Self> {
        text.strip_prefix('p')
            .and_then(|number| number.parse().ok())
            .filter(|number| *number >= 0)
            .map(Self)
            .ok_or_else(|| RoomError::Invalid("that is not a token of this server".to_owned()))
    }
}

/// Some events in the order they were asked for.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The events that the user may see and that were wanted.
    pub events: Vec<Arc<Event>>,
    /// Where to go on; `None` at the end of what there is.
    pub next: Option<i64>,
}

/// How many places an event may stand from where its time alone would have it. Events get their time
/// a moment before they get their place, so neighbours can be out of order; and clocks are set back.
const DISPLACED_MAX: i64 = 128;

/// Events read for one page at most, when a filter lets few through.
const SCANNED_EVENTS_MAX: usize = 4_000;

impl Rooms {
    /// Where a token points in this room: from `/messages`, or a point in time from `/sync`.
    pub async fn page_start(&self, room: RoomNid, token: &str) -> Result<i64> {
        if let Ok(PageToken(seq)) = token.parse() {
            return Ok(seq);
        }
        let positions: Positions = token
            .strip_prefix('s')
            .map(|text| text.split_once('~').map_or(text, |(positions, _)| positions))
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| RoomError::Invalid("that is not a token of this server".to_owned()))?;
        self.seq_at(room, &positions).await
    }

    /// A page of history as `user` may see it, from behind event number `from` (the end of the room
    /// without one), of events for which `wanted` holds.
    pub async fn page(
        &self,
        room: &Arc<Room>,
        user: &UserId,
        direction: Direction,
        from: Option<i64>,
        limit: usize,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<Page> {
        let view = self.ensure_may_look(room, user).await?;
        let last = room.live.read().seq;
        let mut at = from.unwrap_or(match direction {
            Direction::Backward => last,
            Direction::Forward => 0,
        });
        let mut page = Page::default();
        let mut scanned = 0;
        while scanned < SCANNED_EVENTS_MAX {
            let chunk = limit.saturating_sub(page.events.len()).clamp(1, 500);
            let work = EventPage { room: room.nid, direction, at, limit: chunk };
            let rows = self.0.db.read(work).await?;
            let is_end = rows.len() < chunk;
            scanned += rows.len();
            for row in rows {
                let event = row.event(room.version)?;
                at = match direction {
                    Direction::Backward => event.seq - 1,
                    Direction::Forward => event.seq,
                };
                if view.sees(&event) && wanted(&event) {
                    page.events.push(event);
                }
            }
            if is_end || (direction == Direction::Backward && at == 0) {
                return Ok(page);
            }
            if page.events.len() >= limit {
                break;
            }
        }
        page.next = Some(at);
        Ok(page)
    }

    /// One event, if the user may see it.
    pub async fn event(
        &self,
        room: &Arc<Room>,
        user: &UserId,
        event_id: &EventId,
    ) -> Result<Arc<Event>> {
        let event = self.any_event(room, event_id).await?.ok_or(RoomError::NO_EVENT)?;
        let view = self.view(room, user).await?;
        if view.sees(&event) { Ok(event) } else { Err(RoomError::NO_EVENT) }
    }

    /// One event, whoever asks.
    pub async fn any_event(
        &self,
        room: &Arc<Room>,
        event_id: &EventId,
    ) -> Result<Option<Arc<Event>>> {
        let work = EventById { room: room.nid, event_id: event_id.to_owned() };
        let row = self.0.db.read(work).await?;
        Ok(row.map(|row| row.event(room.version)).transpose()?)
    }

    /// The room that an event is in.
    pub async fn room_of_event(&self, event_id: &EventId) -> Result<Option<RoomNid>> {
        Ok(self.0.db.read(RoomOfEvent(event_id.to_owned())).await?)
    }

    /// The state that the user may see: the current one, or the one at which they left.
    pub async fn visible_state(&self, room: &Arc<Room>, user: &UserId) -> Result<State> {
        let view = self.ensure_may_look(room, user).await?;
        match view.state_limit() {
            None => Ok(room.state()),
            Some(left) => self.state_before(room, left + 1).await,
        }
    }

    /// The state behind event number `seq`, as far as the user may see it.
    pub async fn visible_state_at(
        &self,
        room: &Arc<Room>,
        user: &UserId,
        seq: i64,
    ) -> Result<State> {
        let view = self.ensure_may_look(room, user).await?;
        let limit = view.state_limit().unwrap_or(i64::MAX - 1);
        self.state_before(room, seq.min(limit) + 1).await
    }

    /// The state behind event number `seq` for somebody who has left the room: none where they never
    /// were in it.
    pub async fn state_for_left(&self, room: &Arc<Room>, user: &UserId, seq: i64) -> Result<State> {
        let view = self.view(room, user).await?;
        if !view.may_look() {
            return Ok(State::default());
        }
        let limit = view.state_limit().unwrap_or(i64::MAX - 1);
        self.state_before(room, seq.min(limit) + 1).await
    }

    /// The event closest to a time, on the wanted side of it, that the user may see.
    pub async fn event_near(
        &self,
        room: &Arc<Room>,
        user: &UserId,
        at: Millis,
        direction: Direction,
    ) -> Result<(OwnedEventId, Millis)> {
        let view = self.ensure_may_look(room, user).await?;
        let found = self.0.db.read(EventNear { room: room.nid, at, direction }).await?;
        let (at, _, event_id) = found.ok_or(RoomError::NO_EVENT)?;
        let event_id = OwnedEventId::try_from(event_id).map_err(|_| RoomError::NO_EVENT)?;
        let event = self.any_event(room, &event_id).await?.ok_or(RoomError::NO_EVENT)?;
        if view.sees(&event) { Ok((event_id, at)) } else { Err(RoomError::NO_EVENT) }
    }

    /// What a redaction by `actor` leaves of `target`; an error when the actor may not redact it.
    pub(crate) async fn redaction_target(
        &self,
        room: &Arc<Room>,
        actor: &Actor,
        target: &EventId,
    ) -> Result<Option<Arc<Pdu>>> {
        let Some(event) = self.any_event(room, target).await? else {
            return Err(RoomError::NO_EVENT);
        };
        let auth = room.head.lock().auth.clone();
        let allowed = auth.is_some_and(|auth| auth.may_redact(&actor.user_id, event.pdu.sender()));
        if !allowed {
            return Err(RoomError::Forbidden(
                "you may redact only your own events in this room".to_owned(),
            ));
        }
        if event.redacted_by.is_some() {
            return Ok(None);
        }
        Ok(Some(Arc::new(event.pdu.redacted(room.version)?)))
    }

    /// Have the two users a room in common?
    pub async fn share_a_room(&self, one: UserNid, other: UserNid) -> Result<bool> {
        Ok(self.0.db.read(ShareARoom { one, other }).await?)
    }
}

struct EventPage {
    room: RoomNid,
    direction: Direction,
    at: i64,
    limit: usize,
}

impl Work for EventPage {
    const NAME: &'static str = "rooms.event_page";
    type Out = Vec<FullRow>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Vec<FullRow>> {
        let statement = match self.direction {
            Direction::Backward => &EVENTS_BEFORE,
            Direction::Forward => &EVENTS_AFTER,
        };
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let rows = tx.all(statement, &[self.room.into(), self.at.into(), limit.into()]).await?;
        complete(tx, self.room, rows).await
    }
}

struct EventById {
    room: RoomNid,
    event_id: OwnedEventId,
}

impl Work for EventById {
    const NAME: &'static str = "rooms.event_by_id";
    type Out = Option<FullRow>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Option<FullRow>> {
        let args = [self.event_id.as_str().into(), self.room.into()];
        let Some(row) = tx.opt(&EVENT_BY_ID, &args).await? else { return Ok(None) };
        Ok(complete(tx, self.room, vec![row]).await?.pop())
    }
}

struct RoomOfEvent(OwnedEventId);

impl Work for RoomOfEvent {
    const NAME: &'static str = "rooms.room_of_event";
    type Out = Option<RoomNid>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Option<RoomNid>> {
        let found = tx.opt::<(RoomNid,)>(&ROOM_OF_EVENT, &[self.0.as_str().into()]).await?;
        Ok(found.map(|(room,)| room))
    }
}

struct EventNear {
    room: RoomNid,
    at: Millis,
    direction: Direction,
}

impl Work for EventNear {
    const NAME: &'static str = "rooms.event_near";
    type Out = Option<(Millis, i64, String)>;

    /// Halves the room until the time is found, which needs no index beside the one of places, then
    /// looks closely there.
    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Self::Out> {
        let room = self.room.into();
        let (last,) = tx.opt::<(i64,)>(&LAST_SEQ, &[room]).await?.unwrap_or((0,));
        let (mut before, mut after) = (0, last + 1);
        while after - before > 1 {
            let middle = i64::midpoint(before, after);
            let found = tx.opt::<(Millis,)>(&TIME_OF_SEQ, &[room, middle.into()]).await?;
            if found.is_none_or(|(at,)| at < self.at) {
                before = middle;
            } else {
                after = middle;
            }
        }
        let around = [room, (before - DISPLACED_MAX).into(), (after + DISPLACED_MAX).into()];
        let near = tx.all::<(Millis, i64, String)>(&TIMES_BETWEEN, &around).await?;
        Ok(match self.direction {
            Direction::Forward => near.into_iter().filter(|(at, ..)| *at >= self.at).min(),
            Direction::Backward => near.into_iter().filter(|(at, ..)| *at <= self.at).max(),
        })
    }
}

sql!(
    SHARED_ROOM,
    "SELECT a.room FROM member a JOIN member b ON b.room = a.room AND b.user_nid = ?2
     WHERE a.user_nid = ?1 AND a.membership = 'join' AND b.membership = 'join' LIMIT 1"
);

struct ShareARoom {
    one: UserNid,
    other: UserNid,
}

impl Work for ShareARoom {
    const NAME: &'static str = "rooms.share_a_room";
    type Out = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<bool> {
        let args = [self.one.into(), self.other.into()];
        Ok(tx.opt::<(RoomNid,)>(&SHARED_ROOM, &args).await?.is_some())
    }
}
