//! Bringing a room into memory.

use haechi_base::{Millis, RoomNid, StreamPos, UserNid};
use haechi_store::{Result, Tx, Work, sql};

use super::row::{EventRow, FullRow, complete, event_columns};
use crate::{model::Counts, room::RECENT_EVENTS_MAX};

sql!(
    ROOM_BY_NID,
    "SELECT room_id, version, seq, head_event, depth, head_pos, bump_at, state_version
     FROM room WHERE nid = ?1"
);
sql!(ROOM_COUNTS, "SELECT notify_total, notify_main FROM room WHERE nid = ?1");
sql!(
    ROOM_STATE,
    concat!(
        "SELECT ",
        event_columns!(),
        " FROM room_state s JOIN event e ON e.pos = s.pos WHERE s.room = ?1"
    )
);
sql!(
    ROOM_RECENT,
    concat!(
        "SELECT ",
        event_columns!(),
        " FROM event e WHERE e.room = ?1 ORDER BY e.seq DESC LIMIT ?2"
    )
);
sql!(MEMBERS_JOINED, "SELECT user_nid FROM member WHERE room = ?1 AND membership = 'join'");
sql!(
    LAST_CLOSED,
    "SELECT seq FROM state_delta
     WHERE room = ?1 AND type = 'm.room.history_visibility' AND state_key = ''
        AND value IN ('invited', 'joined') ORDER BY seq DESC LIMIT 1"
);
sql!(
    FIRST_OPENED,
    "SELECT seq FROM state_delta
     WHERE room = ?1 AND type = 'm.room.history_visibility' AND state_key = '' AND seq > ?2
     ORDER BY seq LIMIT 1"
);
sql!(MEMBERS_INVITED, "SELECT count(*) FROM member WHERE room = ?1 AND membership = 'invite'");

/// Reads what memory holds of a room; `None` when there is no such room.
pub(crate) struct LoadRoom(pub(crate) RoomNid);

/// What memory holds of a room, not yet parsed.
pub(crate) struct Loaded {
    pub(crate) room_id: String,
    pub(crate) version: String,
    pub(crate) seq: i64,
    pub(crate) head_event: String,
    pub(crate) depth: i64,
    pub(crate) head_pos: StreamPos,
    pub(crate) bump_at: Millis,
    pub(crate) state_version: i64,
    pub(crate) counts: Counts,
    pub(crate) state: Vec<EventRow>,
    /// Newest first.
    pub(crate) recent: Vec<FullRow>,
    pub(crate) joined: Vec<UserNid>,
    pub(crate) invited: i64,
    /// The first event since which whoever is in the room may see everything.
    pub(crate) open_since: Option<i64>,
}

impl Work for LoadRoom {
    const NAME: &'static str = "rooms.load";
    type Out = Option<Loaded>;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Option<Loaded>> {
        let nid = self.0.into();
        let Some(row) = tx
            .opt::<(String, String, i64, String, i64, StreamPos, Millis, i64)>(&ROOM_BY_NID, &[nid])
            .await?
        else {
            return Ok(None);
        };
        let (room_id, version, seq, head_event, depth, head_pos, bump_at, state_version) = row;
        let (total, main) = tx.one(&ROOM_COUNTS, &[nid]).await?;
        let recent_max = i64::try_from(RECENT_EVENTS_MAX).unwrap_or(i64::MAX);
        let recent = tx.all(&ROOM_RECENT, &[nid, recent_max.into()]).await?;
        let joined = tx.all::<(UserNid,)>(&MEMBERS_JOINED, &[nid]).await?;
        let (invited,) = tx.one(&MEMBERS_INVITED, &[nid]).await?;
        Ok(Some(Loaded {
            room_id,
            version,
            seq,
            head_event,
            depth,
            head_pos,
            bump_at,
            state_version,
            counts: Counts { total, main },
            state: tx.all(&ROOM_STATE, &[nid]).await?,
            recent: complete(tx, self.0, recent).await?,
            joined: joined.into_iter().map(|(user,)| user).collect(),
            invited,
            open_since: open_since(tx, self.0).await?,
        }))
    }
}

async fn open_since(tx: &mut Tx<'_>, room: RoomNid) -> Result<Option<i64>> {
    let Some((closed,)) = tx.opt::<(i64,)>(&LAST_CLOSED, &[room.into()]).await? else {
        // A room that says nothing of it is open.
        return Ok(Some(1));
    };
    let opened = tx.opt::<(i64,)>(&FIRST_OPENED, &[room.into(), closed.into()]).await?;
    Ok(opened.map(|(seq,)| seq + 1))
}
