//! Appending events: check, sign, queue; and again when the room has moved meanwhile.

use std::sync::Arc;

use haechi_base::UserNid;
use haechi_matrix::{
    RoomVersion, auth,
    auth::{Membership, Visibility},
    pdu::{Pdu, PduBuilder, Place, Prepared},
    relations::{Mentions, Relates},
};
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId, UserId,
    events::{StateEventType, TimelineEventType},
};

use crate::{
    Result, RoomError, Rooms,
    load::room_auth,
    model::{Actor, Txn},
    push::Appending,
    room::{Head, Room},
    store::{Append, Appended, Base, Draft, Relation},
};

/// How often an append is checked before it is queued; then it is settled inside the write.
const GUESSES_MAX: usize = 4;

/// An event as its sender wants it.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its `type`.
    pub kind: TimelineEventType,
    /// Its state key, if it is state.
    pub state_key: Option<Box<str>>,
    /// The text of a JSON object.
    pub content: String,
    /// What it redacts.
    pub redacts: Option<OwnedEventId>,
}

impl NewEvent {
    /// A message-like event.
    pub fn message(kind: TimelineEventType, content: String) -> Self {
        Self { kind, state_key: None, content, redacts: None }
    }

    /// A state event.
    pub fn state(kind: &str, state_key: &str, content: &impl serde::Serialize) -> Self {
        Self {
            kind: kind.into(),
            state_key: Some(state_key.into()),
            content: serde_json::to_string(content).unwrap_or_else(|_| "{}".to_owned()),
            redacts: None,
        }
    }
}

/// A new event, prepared once, to be checked and signed as often as it takes.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    prepared: Prepared,
    auth_types: Vec<(StateEventType, String)>,
    sender: UserNid,
    member: Option<(UserNid, Membership)>,
    named: Vec<(OwnedUserId, UserNid)>,
    state_value: Option<Box<str>>,
    thread_root: Option<OwnedEventId>,
    relation: Option<Relation>,
    redacted: Option<Arc<Pdu>>,
    txn: Option<Txn>,
}

impl Rooms {
    /// Appends one event and returns its id once it is durable.
    ///
    /// The same reaction of the same sender to the same event is refused
    /// ([`RoomError::AnnotatedBefore`]). With a transaction id, the same request again returns the id of the first. A state event that
    /// would change nothing returns the id of the one in force.
    pub async fn append(
        &self,
        room: &Arc<Room>,
        actor: &Actor,
        new: NewEvent,
        txn: Option<Txn>,
    ) -> Result<OwnedEventId> {
        let mut pending =
            self.prepare(room.version, Some(room.room_id.clone()), actor, new).await?;
        pending.txn = txn;
        if let Some(target) = pending.prepared.redacts().map(ToOwned::to_owned) {
            pending.redacted = self.redaction_target(room, actor, &target).await?;
        }
        for _ in 0..GUESSES_MAX {
            self.mend_head(room).await?;
            self.load_push_rules(room).await?;
            let outcome = {
                let mut head = room.head.lock();
                if let Some(same) = unchanged(&head, &pending) {
                    return Ok(same);
                }
                let base =
                    Base { event: Some(head.event.clone()), state_version: head.state_version };
                let draft = self.draft(room, &mut head, &pending)?;
                let event_id = draft.pdu.event_id().to_owned();
                let work =
                    Append { room: Arc::clone(room), base, draft, key: Arc::clone(&self.0.key) };
                self.0
                    .db
                    .submit(work)
                    .inspect_err(|_| head.valid = false)
                    .map(|out| (event_id, out))
            };
            let (_, out) = outcome?;
            match out.await.inspect_err(|_| room.head.lock().valid = false)? {
                Appended::Done { applied, .. } => {
                    return Ok(applied[0].event.pdu.event_id().to_owned());
                }
                Appended::Duplicate(event_id) => {
                    room.head.lock().valid = false;
                    return Ok(event_id);
                }
                Appended::AnnotatedBefore => {
                    room.head.lock().valid = false;
                    return Err(RoomError::AnnotatedBefore);
                }
                Appended::StateMoved => {
                    room.head.lock().valid = false;
                    self.refresh(room).await?;
                }
            }
        }
        self.settle(room, pending).await
    }

    /// All of a new event that does not depend on the room's present state.
    pub(crate) async fn prepare(
        &self,
        version: RoomVersion,
        room_id: Option<OwnedRoomId>,
        actor: &Actor,
        new: NewEvent,
    ) -> Result<Pending> {
        let is_state = new.state_key.is_some();
        let is_create = new.kind == TimelineEventType::RoomCreate;
        let now = if is_create { self.creation_time() } else { self.0.clock.now().0 };
        let prepared = PduBuilder {
            version,
            room_id,
            sender: actor.user_id.clone(),
            kind: new.kind,
            state_key: new.state_key,
            content: &new.content,
            redacts: new.redacts,
            origin_server_ts: now,
        }
        .prepare()?;
        let auth_types = auth::auth_types(
            version,
            prepared.kind(),
            &actor.user_id,
            prepared.state_key(),
            prepared.content(),
        )
        .map_err(|error| RoomError::Invalid(error.0))?;
        let mut member = None;
        let mut named = self.mentioned(prepared.content()).await?;
        let mut state_value = None;
        match prepared.kind() {
            TimelineEventType::RoomMember if is_state => {
                let target =
                    UserId::parse(prepared.state_key().unwrap_or_default()).map_err(|_| {
                        RoomError::Invalid("the state key must be a user id".to_owned())
                    })?;
                let membership = Membership::of_content(prepared.content())
                    .map_err(|error| RoomError::Invalid(error.to_string()))?;
                let nid = self.0.users.nid_of(&target).await?;
                member = Some((nid, membership));
                named.push((target, nid));
                state_value = Some(membership.as_str().into());
            }
            TimelineEventType::RoomHistoryVisibility if is_state => {
                state_value = Some(Visibility::of_content(prepared.content()).as_str().into());
            }
            _ => {}
        }
        let relates = Relates::of_content(prepared.content());
        Ok(Pending {
            auth_types,
            sender: actor.nid,
            member,
            named,
            state_value,
            thread_root: relates.thread_root().map(ToOwned::to_owned),
            relation: relates.relation.map(|relation| Relation {
                parent: relation.event_id,
                rel_type: relation.rel_type,
                key: relation.key,
            }),
            redacted: None,
            txn: None,
            prepared,
        })
    }

    /// The users whom a content mentions, as far as this server has heard of them.
    async fn mentioned(&self, content: &str) -> Result<Vec<(OwnedUserId, UserNid)>> {
        let mentions = Mentions::of_content(content).unwrap_or_default();
        let users: Vec<OwnedUserId> =
            mentions.user_ids.into_iter().filter_map(|user| user.try_into().ok()).collect();
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let nids = self.0.users.find_many(&users).await?;
        Ok(users.into_iter().zip(nids).filter_map(|(user, nid)| Some((user, nid?))).collect())
    }

    pub(crate) async fn load_push_rules(&self, room: &Arc<Room>) -> Result<()> {
        match self.0.push.get() {
            Some(push) if !push.is_ready(room) => push.load(room).await,
            _ => Ok(()),
        }
    }

    /// Checks `pending` at the end of `head`, signs it there and moves the head on.
    pub(crate) fn draft(
        &self,
        room: &Arc<Room>,
        head: &mut Head,
        pending: &Pending,
    ) -> Result<Draft> {
        let draft = place(room.version, head, pending, &self.0.key)?;
        check(room.version, head, &draft.pdu)?;
        let mut draft = draft;
        if let Some(push) = self.0.push.get() {
            let verdict = push.judge(&Appending {
                room,
                pdu: &draft.pdu,
                sender: pending.sender,
                named: &pending.named,
                state: &head.state,
                auth: head.auth.as_deref(),
            });
            draft.counts = verdict.counts;
            draft.push_actions = verdict.actions;
        }
        advance(room.version, head, &draft);
        Ok(draft)
    }

    /// Checks and signs the first events of a new room, one upon the other.
    pub(crate) fn draft_first(
        &self,
        version: RoomVersion,
        pending: &[Pending],
    ) -> Result<Vec<Draft>> {
        let mut head: Option<Head> = None;
        let mut drafts = Vec::with_capacity(pending.len());
        for one in pending {
            let base = head.get_or_insert_with(|| Head {
                valid: true,
                event: OwnedEventId::try_from("$none").expect("a fixed id"),
                depth: 0,
                state_version: 0,
                state: crate::State::default(),
                auth: None,
            });
            let draft = place(version, base, one, &self.0.key)?;
            check(version, base, &draft.pdu)?;
            advance(version, base, &draft);
            drafts.push(draft);
        }
        Ok(drafts)
    }
}

/// The state event in force, if the new one would be the same.
pub(crate) fn unchanged(head: &Head, pending: &Pending) -> Option<OwnedEventId> {
    let prepared = &pending.prepared;
    let key = prepared.state_key()?;
    let current = head.state.get(&prepared.kind().to_string(), key)?;
    let same =
        current.content() == prepared.content() && current.sender() == prepared.sender().as_str();
    same.then(|| current.event_id().to_owned())
}

/// Signs the event at the end of `head`.
fn place(
    version: RoomVersion,
    head: &Head,
    pending: &Pending,
    key: &haechi_matrix::SigningKey,
) -> Result<Draft> {
    let auth_events: Box<[OwnedEventId]> = pending
        .auth_types
        .iter()
        .filter_map(|(kind, key)| head.state.get(&kind.to_string(), key))
        .filter(|pdu| {
            // From version 12 the create event is implied by the room id.
            !(version.room_id_is_create_hash() && *pdu.kind() == TimelineEventType::RoomCreate)
        })
        .map(|pdu| pdu.event_id().to_owned())
        .collect();
    let is_first = head.depth == 0;
    let place = Place {
        prev_events: if is_first { Box::default() } else { Box::new([head.event.clone()]) },
        auth_events: auth_events.clone(),
        depth: u64::try_from(head.depth + 1).unwrap_or(1),
    };
    let pdu = Arc::new(pending.prepared.sign(&place, key)?);
    let replaces =
        pdu.state_key().and_then(|key| head.state.get(&pdu.kind().to_string(), key)).cloned();
    Ok(Draft {
        bump: bumps(pdu.kind(), pending.relation.as_ref()),
        prepared: pending.prepared.clone(),
        auth_events,
        replaces,
        pdu,
        sender: pending.sender,
        txn: pending.txn.clone(),
        member: pending.member,
        state_value: pending.state_value.clone(),
        counts: false,
        thread_root: pending.thread_root.clone(),
        relation: pending.relation.clone(),
        push_actions: Vec::new(),
        redacted: pending.redacted.clone(),
        // Never 0, which is the version of a room without state.
        state_version: rand::random_range(1..=i64::MAX),
    })
}

/// Do the room's rules allow the event at the end of `head`?
fn check(version: RoomVersion, head: &Head, pdu: &Pdu) -> Result<()> {
    let forbidden = |error: auth::Forbidden| RoomError::Forbidden(error.0);
    if let Some(auth) = &head.auth
        && auth::is_ordinary(pdu.kind())
    {
        let membership = head
            .state
            .get("m.room.member", pdu.sender().as_str())
            .map(|member| crate::membership_of(member));
        return auth
            .check_ordinary(pdu.sender(), membership, pdu.kind(), pdu.state_key())
            .map_err(forbidden);
    }
    auth::check(version, pdu, |kind, key| head.state.get(&kind.to_string(), key).map(Arc::clone))
        .map_err(forbidden)
}

/// Moves the head behind the event.
fn advance(version: RoomVersion, head: &mut Head, draft: &Draft) {
    let pdu = &draft.pdu;
    head.event = pdu.event_id().to_owned();
    head.depth += 1;
    if pdu.state_key().is_some() {
        head.state_version = draft.state_version;
        head.state.insert(Arc::clone(pdu));
        if matches!(pdu.kind(), TimelineEventType::RoomCreate | TimelineEventType::RoomPowerLevels)
        {
            head.auth = room_auth(version, &head.state);
        }
    }
}

/// Does the event lift its room in a room list (the types Element X lists as bump events)?
fn bumps(kind: &TimelineEventType, relation: Option<&Relation>) -> bool {
    let is_edit = relation.is_some_and(|relation| &*relation.rel_type == "m.replace");
    !is_edit
        && (matches!(
            kind,
            TimelineEventType::RoomMessage
                | TimelineEventType::RoomEncrypted
                | TimelineEventType::RoomCreate
                | TimelineEventType::Sticker
                | TimelineEventType::CallInvite
        ) || matches!(
            kind.to_string().as_str(),
            "m.poll.start" | "org.matrix.msc3381.poll.start"
        ))
}
