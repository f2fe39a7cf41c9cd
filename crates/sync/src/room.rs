//! Pieces of rooms that both forms of sync need: events for one viewer, receipts, typing, heroes.

use std::{collections::BTreeMap, sync::Arc};

use haechi_matrix::{
    auth::Membership,
    client_event::{ClientEvent, CommonUnsigned, UserUnsigned},
    pdu::Pdu,
};
use haechi_rooms::{Event, Reader, Receipt, Room, Snapshot, membership_of};
use ruma::{OwnedUserId, UserId};
use serde_json::{json, value::RawValue};

use crate::{Inner, Result, Viewer, v3::response::RawEvent};

/// Most heroes in a summary (spec, `m.heroes`).
const HEROES_MAX: usize = 5;

/// The event as the viewer is to see it: with their own transaction id and with what refers to it,
/// else the shared form.
fn event_for(viewer: &Viewer, event: &Event, relations: Option<&str>) -> RawEvent {
    let own = event.sender == viewer.user;
    let txn = event.txn.as_ref().filter(|txn| own && txn.device == viewer.device);
    if txn.is_none() && relations.is_none() {
        return Arc::clone(event.client().shared());
    }
    let transaction_id = txn.map(|txn| &*txn.id);
    event.client().for_user(&UserUnsigned { transaction_id, relations, ..UserUnsigned::MEMBER })
}

/// A state event outside the timeline.
pub(crate) fn state_event(room: &Room, pdu: &Pdu) -> RawEvent {
    let client = ClientEvent::new(room.version, pdu, CommonUnsigned::default());
    Arc::clone(client.shared())
}

pub(crate) fn raw(value: &serde_json::Value) -> RawEvent {
    let text = value.to_string();
    RawValue::from_string(text).expect("serde_json writes JSON").into()
}

/// An account data event.
pub(crate) fn account_data_event(kind: &str, content: &RawValue) -> RawEvent {
    #[derive(serde::Serialize)]
    struct Datum<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        content: &'a RawValue,
    }
    let text = serde_json::to_string(&Datum { kind, content }).expect("JSON made of JSON");
    RawValue::from_string(text).expect("serde_json writes JSON").into()
}

/// Some others in the room, those who are in it first, after whom it may be named.
pub(crate) fn heroes(snapshot: &Snapshot, viewer: &UserId) -> Vec<OwnedUserId> {
    let mut present = Vec::new();
    let mut gone = Vec::new();
    for (user, pdu) in snapshot.state.of_type("m.room.member") {
        if user == viewer.as_str() {
            continue;
        }
        let Ok(id) = OwnedUserId::try_from(user) else { continue };
        match membership_of(pdu) {
            Membership::Join | Membership::Invite => present.push(id),
            Membership::Leave | Membership::Ban => gone.push(id),
            Membership::Knock => {}
        }
        if present.len() == HEROES_MAX {
            break;
        }
    }
    let mut heroes = if present.is_empty() { gone } else { present };
    heroes.truncate(HEROES_MAX);
    heroes
}

/// Must clients be told heroes? Not of a room that says itself what it is called.
pub(crate) fn needs_heroes(snapshot: &Snapshot) -> bool {
    let said = |kind: &str, field: &str| {
        snapshot.state.get(kind, "").is_some_and(|pdu| {
            pdu.content_as::<serde_json::Value>()
                .is_ok_and(|content| content[field].as_str().is_some_and(|text| !text.is_empty()))
        })
    };
    !said("m.room.name", "name") && !said("m.room.canonical_alias", "alias")
}

impl Inner {
    /// The events as the viewer is to see them.
    pub(crate) async fn events_for(
        &self,
        viewer: &Viewer,
        room: &Arc<Room>,
        events: &[Arc<Event>],
    ) -> Result<Vec<RawEvent>> {
        let ignored = self.accounts.ignored(viewer.user).await?;
        let reader = Reader { user: viewer.user, user_id: &viewer.user_id, ignored: &ignored };
        let bundles = self.rooms.bundles(room, &reader, events).await?;
        let shown = events.iter().zip(bundles);
        Ok(shown.map(|(event, bundle)| event_for(viewer, event, bundle.as_deref())).collect())
    }

    /// Takes out what users sent whom the viewer ignores.
    pub(crate) async fn drop_ignored(
        &self,
        viewer: &Viewer,
        events: &mut Vec<Arc<Event>>,
    ) -> Result<()> {
        let ignored = self.accounts.ignored(viewer.user).await?;
        if !ignored.is_empty() {
            events.retain(|event| !event.is_hidden_by(&ignored));
        }
        Ok(())
    }

    /// Was the viewer invited to the room by somebody whom they ignore?
    pub(crate) async fn is_unwelcome(&self, viewer: &Viewer, room: &Room) -> Result<bool> {
        let ignored = self.accounts.ignored(viewer.user).await?;
        if ignored.is_empty() {
            return Ok(false);
        }
        let state = room.state();
        let Some(invitation) = state.get("m.room.member", viewer.user_id.as_str()) else {
            return Ok(false);
        };
        let inviter = self.users.find(invitation.sender()).await?;
        Ok(inviter.is_some_and(|inviter| ignored.contains(inviter)))
    }

    /// An `m.receipt` event of these receipts, as far as the viewer may see them.
    pub(crate) async fn receipt_event(
        &self,
        viewer: &Viewer,
        receipts: &[Receipt],
    ) -> Result<Option<RawEvent>> {
        let mine = |receipt: &&Receipt| !receipt.private || receipt.user == viewer.user;
        let shown: Vec<&Receipt> = receipts.iter().filter(mine).collect();
        if shown.is_empty() {
            return Ok(None);
        }
        let nids: Vec<_> = shown.iter().map(|receipt| receipt.user).collect();
        let ids = self.users.ids_of(&nids).await?;
        let mut content: BTreeMap<&str, BTreeMap<&str, BTreeMap<String, serde_json::Value>>> =
            BTreeMap::new();
        for (receipt, user) in shown.iter().zip(ids) {
            let mut body = json!({ "ts": receipt.at.0 });
            if !receipt.thread.is_empty() {
                body["thread_id"] = receipt.thread.as_str().into();
            }
            let kind = if receipt.private { "m.read.private" } else { "m.read" };
            content
                .entry(&receipt.event_id)
                .or_default()
                .entry(kind)
                .or_default()
                .insert(user.to_string(), body);
        }
        Ok(Some(raw(&json!({ "type": "m.receipt", "content": content }))))
    }

    /// An `m.typing` event of who types in the room now.
    pub(crate) async fn typing_event(&self, room: &Room) -> Result<RawEvent> {
        let users = self.users.ids_of(&self.rooms.typing().users(room.nid)).await?;
        let users: Vec<&UserId> = users.iter().map(|user| &***user).collect();
        Ok(raw(&json!({ "type": "m.typing", "content": { "user_ids": users } })))
    }
}
