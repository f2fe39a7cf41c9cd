//! Appending events to a room: the one write that everything in a room comes down to.

use std::sync::Arc;

use haechi_base::{RoomNid, StreamPos, UserNid};
use haechi_matrix::{
    SigningKey,
    auth::Membership,
    client_event::{ClientEvent, CommonUnsigned},
    pdu::{Pdu, Place, Prepared},
};
use haechi_store::{Change, LockKey, Locks, Result, StoreError, Tx, Value, Work, sql};
use ruma::OwnedEventId;

use crate::{
    model::{Counts, Event, Txn},
    relations::{is_annotated, touch_thread},
    room::{Applied, Room},
};

sql!(
    ROOM_HEAD,
    "SELECT seq, head_event, depth, state_version, notify_total, notify_main FROM room WHERE nid = ?1"
);
sql!(
    ROOM_INSERT,
    "INSERT INTO room (room_id, version, seq, head_event, depth, head_pos, state_version,
        notify_total, notify_main, bump_at, published)
     VALUES (?1, ?2, 0, '', 0, 0, 0, 0, 0, 0, ?3) RETURNING nid"
);
sql!(
    ROOM_ADVANCE,
    "UPDATE room SET seq = ?2, head_event = ?3, depth = ?4, head_pos = ?5, state_version = ?6,
        notify_total = ?7, notify_main = ?8, bump_at = COALESCE(?9, bump_at)
     WHERE nid = ?1"
);
sql!(
    TXN_EVENT,
    "SELECT event_id FROM event
     WHERE sender = ?1 AND txn_device = ?2 AND txn_id = ?3 AND room = ?4 AND txn_id IS NOT NULL"
);
sql!(
    EVENT_INSERT,
    "INSERT INTO event (pos, room, seq, event_id, sender, type, state_key, origin_server_ts,
        notify_total, notify_main, counted, thread_root, txn_device, txn_id, json)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
);
sql!(STATE_SEQ, "SELECT seq FROM room_state WHERE room = ?1 AND type = ?2 AND state_key = ?3");
sql!(
    STATE_SET,
    "INSERT INTO room_state (room, type, state_key, seq, pos) VALUES (?1, ?2, ?3, ?4, ?5)
     ON CONFLICT (room, type, state_key) DO UPDATE SET seq = excluded.seq, pos = excluded.pos"
);
sql!(
    DELTA_INSERT,
    "INSERT INTO state_delta (room, seq, type, state_key, pos, replaces_seq, value)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
);
sql!(MEMBERSHIP, "SELECT membership FROM member WHERE room = ?1 AND user_nid = ?2");
sql!(
    MEMBER_SET,
    "INSERT INTO member (room, user_nid, membership, seq, pos) VALUES (?1, ?2, ?3, ?4, ?5)
     ON CONFLICT (room, user_nid) DO UPDATE SET
        membership = excluded.membership, seq = excluded.seq, pos = excluded.pos, forgotten = 0"
);
sql!(READ_TO,
    "INSERT INTO read_state (room, user_nid, thread, seq, notify_total, notify_main)
     VALUES (?1, ?2, '', ?3, ?4, ?5)
     ON CONFLICT (room, user_nid, thread) DO UPDATE SET
        seq = excluded.seq, notify_total = excluded.notify_total, notify_main = excluded.notify_main");
sql!(
    RELATION_INSERT,
    "INSERT INTO relation (room, parent, rel_type, seq, pos, event_id, sender, type, key)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
);
sql!(RELATION_DELETE, "DELETE FROM relation WHERE event_id = ?1");
sql!(
    PUSH_ACTION_INSERT,
    "INSERT INTO push_action (room, user_nid, seq, notify, highlight, thread_root)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
);
sql!(
    EVENT_REDACT,
    "UPDATE event SET json = ?3, redacted_by = ?4 WHERE event_id = ?1 AND room = ?2"
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
    pub(crate) client: ClientEvent,
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
}

impl Draft {
    fn render(&self, pdu: &Pdu) -> ClientEvent {
        let common = CommonUnsigned { replaces: self.replaces.as_deref(), redacted_because: None };
        ClientEvent::new(self.prepared.version(), pdu, common)
    }
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

/// Appends events to a room, all or none.
pub(crate) struct Append {
    pub(crate) room: Arc<Room>,
    pub(crate) base: Base,
    pub(crate) drafts: Vec<Draft>,
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
        if let Some(event_id) = earlier(tx, self.room.nid, &self.drafts).await? {
            return Ok(Appended::Duplicate(event_id));
        }
        for draft in &self.drafts {
            if is_annotated(tx, self.room.nid, draft).await? {
                return Ok(Appended::AnnotatedBefore);
            }
        }
        let (seq, event, depth, state_version, total, main) = tx
            .one::<(i64, String, i64, i64, i64, i64)>(&ROOM_HEAD, &[self.room.nid.into()])
            .await?;
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
        let applied = tail.append_all(tx, &self.drafts, &self.key).await?;
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

/// The event that this transaction id made before, if it did.
async fn earlier(tx: &mut Tx<'_>, room: RoomNid, drafts: &[Draft]) -> Result<Option<OwnedEventId>> {
    for draft in drafts {
        let Some(txn) = &draft.txn else { continue };
        let args = [draft.sender.into(), (&*txn.device).into(), (&*txn.id).into(), room.into()];
        if let Some((found,)) = tx.opt::<(String,)>(&TXN_EVENT, &args).await? {
            return event_id(found).map(Some);
        }
    }
    Ok(None)
}

fn event_id(text: String) -> Result<OwnedEventId> {
    text.try_into().map_err(|_| StoreError::Corrupt {
        statement: "event id",
        column: 0,
        reason: "not an event id".to_owned(),
    })
}

/// The end of the room while events are being added to it.
struct Tail {
    room: RoomNid,
    seq: i64,
    /// Is the end elsewhere than the drafts expected? Then they are signed anew.
    moved: bool,
    event: Option<OwnedEventId>,
    depth: i64,
    pos: StreamPos,
    bump_at: Option<i64>,
    state_version: i64,
    counts: Counts,
}

impl Tail {
    async fn append_all(
        &mut self,
        tx: &mut Tx<'_>,
        drafts: &[Draft],
        key: &SigningKey,
    ) -> Result<Vec<Applied>> {
        let mut applied = Vec::with_capacity(drafts.len());
        for draft in drafts {
            applied.push(self.append(tx, draft, key).await?);
        }
        tx.exec_one(
            &ROOM_ADVANCE,
            &[
                self.room.into(),
                self.seq.into(),
                self.event.as_ref().map(|id| id.as_str()).into(),
                self.depth.into(),
                self.pos.into(),
                self.state_version.into(),
                self.counts.total.into(),
                self.counts.main.into(),
                self.bump_at.into(),
            ],
        )
        .await?;
        Ok(applied)
    }

    async fn append(
        &mut self,
        tx: &mut Tx<'_>,
        draft: &Draft,
        key: &SigningKey,
    ) -> Result<Applied> {
        let (pdu, client) = self.place(draft, key)?;
        self.seq += 1;
        self.pos = tx.announce(Change::Event(self.room))?;
        self.event = Some(pdu.event_id().to_owned());
        self.depth = i64::try_from(pdu.depth()).unwrap_or(i64::MAX);
        if draft.counts {
            self.counts.total += 1;
            self.counts.main += i64::from(draft.thread_root.is_none());
        }
        if draft.bump {
            self.bump_at = Some(pdu.origin_server_ts());
        }
        self.insert(tx, draft, &pdu).await?;
        let member = self.set_state(tx, draft, &pdu).await?;
        self.note_reading(tx, draft).await?;
        self.refer(tx, draft, &pdu).await?;
        Ok(Applied {
            event: Arc::new(Event {
                pos: self.pos,
                seq: self.seq,
                pdu,
                replaced: draft.replaces.clone(),
                client,
                sender: draft.sender,
                counts: self.counts,
                thread_root: draft.thread_root.clone(),
                txn: draft.txn.clone(),
                redacted_by: None,
            }),
            member,
            bump: draft.bump,
            counted: draft.counts,
            push_actions: draft.push_actions.clone(),
            redacted: draft.redacted.clone(),
        })
    }

    /// The event at the place where it really comes to stand.
    fn place(&self, draft: &Draft, key: &SigningKey) -> Result<(Arc<Pdu>, ClientEvent)> {
        if !self.moved {
            return Ok((Arc::clone(&draft.pdu), draft.client.clone()));
        }
        let place = Place {
            prev_events: self.event.iter().cloned().collect(),
            auth_events: draft.auth_events.clone(),
            depth: u64::try_from(self.depth + 1).unwrap_or(1),
        };
        let pdu = draft.prepared.sign(&place, key).map_err(|error| StoreError::Driver {
            statement: "rooms.append",
            reason: error.to_string(),
        })?;
        let client = draft.render(&pdu);
        Ok((Arc::new(pdu), client))
    }

    async fn insert(&self, tx: &mut Tx<'_>, draft: &Draft, pdu: &Pdu) -> Result<()> {
        let kind = pdu.kind().to_string();
        let args = [
            self.pos.into(),
            self.room.into(),
            self.seq.into(),
            pdu.event_id().as_str().into(),
            draft.sender.into(),
            (&kind).into(),
            pdu.state_key().into(),
            pdu.origin_server_ts().into(),
            self.counts.total.into(),
            self.counts.main.into(),
            draft.counts.into(),
            draft.thread_root.as_ref().map(|id| id.as_str()).into(),
            draft.txn.as_ref().map(|txn| &*txn.device).into(),
            draft.txn.as_ref().map(|txn| &*txn.id).into(),
            Value::Blob(pdu.json().as_bytes()),
        ];
        tx.exec_one(&EVENT_INSERT, &args).await
    }

    /// Returns whose membership changed, from what, and to what.
    async fn set_state(
        &mut self,
        tx: &mut Tx<'_>,
        draft: &Draft,
        pdu: &Pdu,
    ) -> Result<Option<(UserNid, Membership, Membership)>> {
        let Some(state_key) = pdu.state_key() else { return Ok(None) };
        self.state_version += 1;
        let kind = pdu.kind().to_string();
        let key: [Value<'_>; 3] = [self.room.into(), (&kind).into(), state_key.into()];
        let replaces = tx.opt::<(i64,)>(&STATE_SEQ, &key).await?.map(|(seq,)| seq);
        let [room, kind, state_key] = key;
        tx.exec(&STATE_SET, &[room, kind, state_key, self.seq.into(), self.pos.into()]).await?;
        let value = draft.state_value.as_deref().into();
        let delta =
            [room, self.seq.into(), kind, state_key, self.pos.into(), replaces.into(), value];
        tx.exec(&DELTA_INSERT, &delta).await?;
        let Some((user, after)) = draft.member else { return Ok(None) };
        let before = tx
            .opt::<(String,)>(&MEMBERSHIP, &[room, user.into()])
            .await?
            .and_then(|(text,)| text.parse().ok())
            .unwrap_or(Membership::Leave);
        let args = [room, user.into(), after.as_str().into(), self.seq.into(), self.pos.into()];
        tx.exec(&MEMBER_SET, &args).await?;
        if after == Membership::Join && before != Membership::Join {
            // What was said before one came is not unread.
            self.read_to(tx, user).await?;
        }
        tx.announce(Change::Membership(self.room, user))?;
        Ok(Some((user, before, after)))
    }

    /// Who writes has read what stands above; and who is notified otherwise than by default.
    async fn note_reading(&self, tx: &mut Tx<'_>, draft: &Draft) -> Result<()> {
        if draft.counts {
            self.read_to(tx, draft.sender).await?;
        }
        for action in &draft.push_actions {
            let args = [
                self.room.into(),
                action.user.into(),
                self.seq.into(),
                i64::from(action.notify).into(),
                action.highlight.into(),
                draft.thread_root.as_ref().map(|id| id.as_str()).into(),
            ];
            tx.exec(&PUSH_ACTION_INSERT, &args).await?;
        }
        Ok(())
    }

    async fn read_to(&self, tx: &mut Tx<'_>, user: UserNid) -> Result<()> {
        let Counts { total, main } = self.counts;
        let args = [self.room.into(), user.into(), self.seq.into(), total.into(), main.into()];
        tx.exec(&READ_TO, &args).await.map(drop)
    }

    /// What the event refers to: a relation, or an event that it redacts.
    async fn refer(&self, tx: &mut Tx<'_>, draft: &Draft, pdu: &Pdu) -> Result<()> {
        let kind = pdu.kind().to_string();
        if let Some(relation) = &draft.relation {
            let args = [
                self.room.into(),
                relation.parent.as_str().into(),
                (&*relation.rel_type).into(),
                self.seq.into(),
                self.pos.into(),
                pdu.event_id().as_str().into(),
                draft.sender.into(),
                (&kind).into(),
                relation.key.as_deref().into(),
            ];
            tx.exec(&RELATION_INSERT, &args).await?;
        }
        if let Some(root) = &draft.thread_root {
            touch_thread(tx, self.room, root.as_str(), self.seq).await?;
        }
        if let Some(redacted) = &draft.redacted {
            let target = redacted.event_id().as_str();
            let json = Value::Blob(redacted.json().as_bytes());
            tx.exec(&EVENT_REDACT, &[target.into(), self.room.into(), json, self.pos.into()])
                .await?;
            tx.exec(&RELATION_DELETE, &[target.into()]).await?;
        }
        Ok(())
    }
}
