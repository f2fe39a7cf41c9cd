//! Appending events to a room: the one write that everything in a room comes down to.

use std::{slice, sync::Arc};

use haechi_base::{RoomNid, StreamPos, UserNid};
use haechi_matrix::{
    SigningKey,
    auth::Membership,
    pdu::{Pdu, Prepared},
};
use haechi_store::{LockKey, Locks, Result, StoreError, Tx, Work, sql};
use ruma::OwnedEventId;

use super::tail::Tail;
use crate::{
    model::{Counts, Txn},
    relations::is_annotated,
    room::{Applied, Room},
};

sql!(
    ROOM_HEAD,
    "SELECT seq, head_event, depth, state_version, notify_total, notify_main,
        (SELECT event_id FROM event
         WHERE sender = ?2 AND txn_device = ?3 AND txn_id = ?4 AND room = ?1 AND txn_id IS NOT NULL)
     FROM room WHERE nid = ?1"
);
sql!(
    ROOM_INSERT,
    "INSERT INTO room (room_id, version, seq, head_event, depth, head_pos, state_version,
        notify_total, notify_main, bump_at, published)
     VALUES (?1, ?2, 0, '', 0, 0, 0, 0, 0, 0, ?3) RETURNING nid"
);
sql!(
    ALIAS_INSERT,
    "INSERT INTO room_alias (alias, room, creator) VALUES (?1, ?2, ?3)
     ON CONFLICT (alias) DO NOTHING"
);

/// What the drafts were checked against and link to.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    pub(crate) event: Option<OwnedEventId>,
    pub(crate) state_version: i64,
}

/// An event ready to be appended.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) prepared: Prepared,
    pub(crate) auth_events: Box<[OwnedEventId]>,
    /// Signed at the expected place.
    pub(crate) pdu: Arc<Pdu>,
    /// The state event it replaces.
    pub(crate) replaces: Option<Arc<Pdu>>,
    pub(crate) sender: UserNid,
    pub(crate) txn: Option<Txn>,
    /// Whose membership it sets, and to what.
    pub(crate) member: Option<(UserNid, Membership)>,
    /// Goes into `state_delta.value`.
    pub(crate) state_value: Option<Box<str>>,
    /// Does it notify by the default rules?
    pub(crate) counts: bool,
    /// Does it lift the room in a room list?
    pub(crate) bump: bool,
    pub(crate) thread_root: Option<OwnedEventId>,
    pub(crate) relation: Option<Relation>,
    pub(crate) push_actions: Vec<PushAction>,
    /// For a redaction: the event that it empties, already emptied.
    pub(crate) redacted: Option<Arc<Pdu>>,
    /// The version of the state behind it, if it is a state event that comes to stand where it is
    /// expected. Drawn by chance: were it counted, two nodes would give two states one number, and
    /// what was checked against the one would be let in behind the other.
    pub(crate) state_version: i64,
}

/// What an event refers to.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    pub(crate) parent: OwnedEventId,
    pub(crate) rel_type: Box<str>,
    pub(crate) key: Option<Box<str>>,
}

/// How an event notifies one user, where that differs from the default rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushAction {
    /// The user.
    pub user: UserNid,
    /// +1: notifies though it is not counted. -1: does not though it is. 0: as counted.
    pub notify: i8,
    /// Is it a highlight?
    pub highlight: bool,
}

/// Appends an event to a room.
pub(crate) struct Append {
    pub(crate) room: Arc<Room>,
    pub(crate) base: Base,
    pub(crate) draft: Draft,
    pub(crate) key: Arc<SigningKey>,
}

/// What came of an [`Append`].
#[derive(Debug)]
pub(crate) enum Appended {
    /// They are in the room.
    Done { applied: Vec<Applied>, state_version: i64 },
    /// This transaction id has made this event before.
    Duplicate(OwnedEventId),
    /// The sender has set this mark on this event before; nothing was written.
    AnnotatedBefore,
    /// The state is not what the rules were checked against; nothing was written.
    StateMoved,
}

impl Work for Append {
    const NAME: &'static str = "rooms.append";
    type Out = Appended;

    fn locks(&self) -> Locks {
        Locks::one(LockKey::Room(self.room.nid))
    }

    fn order_key(&self) -> i64 {
        self.room.nid.0
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Appended> {
        let txn = self.draft.txn.as_ref();
        let head = [
            self.room.nid.into(),
            self.draft.sender.into(),
            txn.map(|txn| &*txn.device).into(),
            txn.map(|txn| &*txn.id).into(),
        ];
        let (seq, event, depth, state_version, total, main, earlier) =
            tx.one::<(i64, String, i64, i64, i64, i64, Option<String>)>(&ROOM_HEAD, &head).await?;
        if let Some(earlier) = earlier {
            return Ok(Appended::Duplicate(event_id(earlier)?));
        }
        if is_annotated(tx, self.room.nid, &self.draft).await? {
            return Ok(Appended::AnnotatedBefore);
        }
        if state_version != self.base.state_version {
            return Ok(Appended::StateMoved);
        }
        let mut tail = Tail {
            room: self.room.nid,
            seq,
            moved: self.base.event.as_ref().is_none_or(|base| base.as_str() != event),
            event: Some(event_id(event)?),
            depth,
            pos: StreamPos::default(),
            bump_at: None,
            state_version,
            counts: Counts { total, main },
        };
        let applied = tail.append_all(tx, slice::from_ref(&self.draft), &self.key).await?;
        Ok(Appended::Done { applied, state_version: tail.state_version })
    }

    fn committed(&self, out: &Appended) {
        if let Appended::Done { applied, state_version } = out {
            self.room.apply(applied, *state_version);
        }
    }
}

/// Makes a room with its first events, all or nothing.
pub(crate) struct CreateRoom {
    pub(crate) room_id: String,
    pub(crate) version: &'static str,
    pub(crate) published: bool,
    pub(crate) alias: Option<String>,
    pub(crate) creator: UserNid,
    pub(crate) drafts: Vec<Draft>,
    pub(crate) key: Arc<SigningKey>,
}

/// What came of a [`CreateRoom`].
#[derive(Debug)]
pub(crate) enum Created {
    /// The room is there.
    Done(RoomNid),
    /// The alias belongs to another room; nothing was written.
    AliasInUse,
}

sql!(ALIAS_TAKEN, "SELECT room FROM room_alias WHERE alias = ?1");

impl Work for CreateRoom {
    const NAME: &'static str = "rooms.create";
    type Out = Created;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Created> {
        if let Some(alias) = &self.alias
            && tx.opt::<(i64,)>(&ALIAS_TAKEN, &[alias.into()]).await?.is_some()
        {
            return Ok(Created::AliasInUse);
        }
        let (room,) = tx
            .one::<(RoomNid,)>(
                &ROOM_INSERT,
                &[(&self.room_id).into(), self.version.into(), self.published.into()],
            )
            .await?;
        if let Some(alias) = &self.alias {
            tx.exec_one(&ALIAS_INSERT, &[alias.into(), room.into(), self.creator.into()]).await?;
        }
        let mut tail = Tail {
            room,
            seq: 0,
            moved: false,
            event: None,
            depth: 0,
            pos: StreamPos::default(),
            bump_at: None,
            state_version: 0,
            counts: Counts::default(),
        };
        tail.append_all(tx, &self.drafts, &self.key).await?;
        Ok(Created::Done(room))
    }
}

fn event_id(text: String) -> Result<OwnedEventId> {
    text.try_into().map_err(|_| StoreError::Corrupt {
        statement: "event id",
        column: 0,
        reason: "not an event id".to_owned(),
    })
}
