//! Rooms: making them, being in them, writing to them, reading them.

mod aliases;
mod create;
mod directory;
mod history;
mod membership;
mod receipts;
mod relations;
mod reports;
mod search;
mod send;
mod state;
mod summary;

use std::sync::Arc;

use axum::Router;
use haechi_accounts::Ignored;
use haechi_http::{ApiError, Session};
use haechi_matrix::{auth::Membership, client_event::UserUnsigned};
use haechi_rooms::{Actor, Event, MemberProfile, Reader, Room};
use ruma::{OwnedRoomId, OwnedRoomOrAliasId, RoomId, UserId, serde::Raw};
use serde_json::value::RawValue;

use crate::{App, Result};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    let router = create::routes(router);
    let router = membership::routes(router);
    let router = send::routes(router);
    let router = state::routes(router);
    let router = history::routes(router);
    let router = receipts::routes(router);
    let router = relations::routes(router);
    let router = aliases::routes(router);
    let router = directory::routes(router);
    let router = summary::routes(router);
    let router = search::routes(router);
    reports::routes(router)
}

/// The caller as rooms know them.
pub(crate) fn actor(session: &Session) -> Actor {
    Actor {
        nid: session.user,
        user_id: session.user_id.clone(),
        device: Some(session.device_id.as_str().into()),
    }
}

/// The caller as one who reads and does not want to read of those whom they ignore.
pub(crate) fn reader<'a>(session: &'a Session, ignored: &'a Ignored) -> Reader<'a> {
    Reader { user: session.user, user_id: &session.user_id, ignored }
}

impl App {
    /// The room with this id.
    pub(crate) async fn room(&self, room_id: &RoomId) -> Result<Arc<Room>> {
        Ok(self.rooms.find(room_id).await?)
    }

    /// The room with this id or alias.
    pub(crate) async fn room_or_alias(&self, id: &OwnedRoomOrAliasId) -> Result<Arc<Room>> {
        match <&RoomId>::try_from(&**id) {
            Ok(room_id) => self.room(room_id).await,
            Err(alias) => {
                let nid = self.rooms.resolve_alias(alias).await?;
                let nid = nid.ok_or_else(|| ApiError::not_found("There is no such alias"))?;
                Ok(self.rooms.room(nid).await?)
            }
        }
    }

    /// How a user is to appear in rooms.
    pub(crate) async fn member_profile(&self, user: &UserId) -> Result<MemberProfile> {
        let profile = self.accounts.profile(user).await?.unwrap_or_default();
        let text = |field: &str| profile.get(field).and_then(|value| value.as_str());
        Ok(MemberProfile {
            displayname: text("displayname").map(str::to_owned),
            avatar_url: text("avatar_url").map(str::to_owned),
        })
    }

    /// Events as the viewer is to see them outside of sync, with what refers to them.
    pub(crate) async fn client_events(
        &self,
        viewer: &Session,
        room: &Arc<Room>,
        events: &[Arc<Event>],
    ) -> Result<Vec<Box<RawValue>>> {
        let ignored = self.accounts.ignored(viewer.user).await?;
        let bundles = self.rooms.bundles(room, &reader(viewer, &ignored), events).await?;
        let rendered = events
            .iter()
            .zip(bundles)
            .map(|(event, bundle)| client_event(viewer, &room.room_id, event, bundle.as_deref()));
        Ok(rendered.collect())
    }

    /// Writes the same as [`Self::client_events`] as a JSON array.
    pub(crate) async fn write_events(
        &self,
        out: &mut String,
        viewer: &Session,
        room: &Arc<Room>,
        events: &[Arc<Event>],
    ) -> Result<()> {
        let ignored = self.accounts.ignored(viewer.user).await?;
        let bundles = self.rooms.bundles(room, &reader(viewer, &ignored), events).await?;
        out.push('[');
        for (index, (event, bundle)) in events.iter().zip(bundles).enumerate() {
            if index > 0 {
                out.push(',');
            }
            let unsigned = unsigned(viewer, event, bundle.as_deref());
            event.write(out, &room.room_id, &unsigned);
        }
        out.push(']');
        Ok(())
    }
}

/// One event as the viewer is to see it outside of sync.
pub(crate) fn client_event(
    viewer: &Session,
    room_id: &OwnedRoomId,
    event: &Event,
    relations: Option<&str>,
) -> Box<RawValue> {
    event.client().with_room(room_id, &unsigned(viewer, event, relations))
}

fn unsigned<'a>(
    viewer: &Session,
    event: &'a Event,
    relations: Option<&'a str>,
) -> UserUnsigned<'a> {
    let own = event.sender == viewer.user;
    let txn = event.txn.as_ref().filter(|txn| own && *txn.device == *viewer.device_id.as_str());
    UserUnsigned {
        membership: Some(Membership::Join),
        transaction_id: txn.map(|txn| &*txn.id),
        age_ms: None,
        relations,
    }
}

/// The same JSON under the type that ruma expects there.
pub(crate) fn as_raw<T>(json: Box<RawValue>) -> Raw<T> {
    Raw::from_json(json)
}
