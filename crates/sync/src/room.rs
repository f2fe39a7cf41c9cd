//! Pieces of rooms that both forms of sync need: events for one viewer, receipts, typing, heroes.

use std::{collections::BTreeMap, sync::Arc};

use haechi_matrix::{
    auth::Membership,
    client_event::{ClientEvent, CommonUnsigned, UserUnsigned},
    pdu::Pdu,
};
use haechi_rooms::{Event, Receipt, Room, Snapshot, membership_of};
use ruma::{OwnedUserId, UserId};
use serde_json::{json, value::RawValue};

use crate::{Inner, Result, Viewer, v3::response::RawEvent};

/// Most heroes in a summary (spec, `m.heroes`).
const HEROES_MAX: usize = 5;

/// The event as the viewer is to see it: with their own transaction id, else the shared form.
pub(crate) fn event_for(viewer: &Viewer, event: &Event) -> RawEvent {
    let own = event.sender == viewer.user;
    let txn = event.txn.as_ref().filter(|txn| own && txn.device == viewer.device);
    match txn {
        None => Arc::clone(event.client.shared()),
        Some(txn) => event
            .client
            .for_user(&UserUnsigned { transaction_id: Some(&txn.id), ..UserUnsigned::MEMBER }),
    }
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
