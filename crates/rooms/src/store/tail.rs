//! The end of a room while events are being added to it.

use std::sync::{Arc, OnceLock};

use haechi_base::{RoomNid, StreamPos, UserNid};
use haechi_matrix::{
    SigningKey,
    auth::Membership,
    pdu::{Pdu, Place},
};
use haechi_store::{Change, Result, StoreError, Tx, Value, sql};
use ruma::OwnedEventId;

use crate::{
    model::{Counts, Event},
    relations::touch_thread,
    room::{Applied, Redacted},
    store::append::Draft,
};

sql!(
    ROOM_ADVANCE,
    "UPDATE room SET seq = ?2, head_event = ?3, depth = ?4, head_pos = ?5, state_version = ?6,
        notify_total = ?7, notify_main = ?8, bump_at = COALESCE(?9, bump_at)
     WHERE nid = ?1"
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
    "UPDATE event SET json = ?3, redacted_by = ?4
     WHERE event_id = ?1 AND room = ?2 AND redacted_by IS NULL
     RETURNING seq, counted, thread_root"
);

/// The end of the room while events are being added to it.
pub(super) struct Tail {
    pub(super) room: RoomNid,
    pub(super) seq: i64,
    /// Is the end elsewhere than the drafts expected? Then they are signed anew.
    pub(super) moved: bool,
    pub(super) event: Option<OwnedEventId>,
    pub(super) depth: i64,
    pub(super) pos: StreamPos,
    pub(super) bump_at: Option<i64>,
    pub(super) state_version: i64,
    pub(super) counts: Counts,
}

impl Tail {
    pub(super) async fn append_all(
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
        let pdu = self.place(draft, key)?;
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
        let redacted = self.redact(tx, draft).await?;
        Ok(Applied {
            event: Arc::new(Event {
                pos: self.pos,
                seq: self.seq,
                pdu,
                version: draft.prepared.version(),
                replaced: draft.replaces.clone(),
                redaction: None,
                client: OnceLock::new(),
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
            redacted,
        })
    }

    /// The event at the place where it really comes to stand.
    fn place(&self, draft: &Draft, key: &SigningKey) -> Result<Arc<Pdu>> {
        if !self.moved {
            return Ok(Arc::clone(&draft.pdu));
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
        Ok(Arc::new(pdu))
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
        // Signed again it has another id, which those queued behind it do not name.
        let expected = !self.moved;
        self.state_version =
            if expected { draft.state_version } else { rand::random_range(1..=i64::MAX) };
        let kind = pdu.kind().to_string();
        let key: [Value<'_>; 3] = [self.room.into(), (&kind).into(), state_key.into()];
        let replaces = tx.opt::<(i64,)>(&STATE_SEQ, &key).await?.map(|(seq,)| seq);
        let [room, kind, state_key] = key;
        tx.put(&STATE_SET, &[room, kind, state_key, self.seq.into(), self.pos.into()]).await?;
        let value = draft.state_value.as_deref().into();
        let delta =
            [room, self.seq.into(), kind, state_key, self.pos.into(), replaces.into(), value];
        tx.put(&DELTA_INSERT, &delta).await?;
        let Some((user, after)) = draft.member else { return Ok(None) };
        let before = tx
            .opt::<(String,)>(&MEMBERSHIP, &[room, user.into()])
            .await?
            .and_then(|(text,)| text.parse().ok())
            .unwrap_or(Membership::Leave);
        let args = [room, user.into(), after.as_str().into(), self.seq.into(), self.pos.into()];
        tx.put(&MEMBER_SET, &args).await?;
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
            tx.put(&PUSH_ACTION_INSERT, &args).await?;
        }
        Ok(())
    }

    async fn read_to(&self, tx: &mut Tx<'_>, user: UserNid) -> Result<()> {
        let Counts { total, main } = self.counts;
        let args = [self.room.into(), user.into(), self.seq.into(), total.into(), main.into()];
        tx.put(&READ_TO, &args).await
    }

    /// What the event refers to.
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
            tx.put(&RELATION_INSERT, &args).await?;
        }
        if let Some(root) = &draft.thread_root {
            touch_thread(tx, self.room, root.as_str(), self.seq).await?;
        }
        Ok(())
    }

    /// Empties what the event redacts, unless somebody else did while this one waited.
    async fn redact(&self, tx: &mut Tx<'_>, draft: &Draft) -> Result<Option<Redacted>> {
        let Some(pdu) = &draft.redacted else { return Ok(None) };
        let target = pdu.event_id().as_str();
        let json = Value::Blob(pdu.json().as_bytes());
        let args = [target.into(), self.room.into(), json, self.pos.into()];
        let emptied = tx.opt::<(i64, bool, Option<String>)>(&EVENT_REDACT, &args).await?;
        let Some((seq, counted, thread_root)) = emptied else { return Ok(None) };
        tx.put(&RELATION_DELETE, &[target.into()]).await?;
        let counted = counted && thread_root.is_none();
        Ok(Some(Redacted { pdu: Arc::clone(pdu), seq, counted }))
    }
}
