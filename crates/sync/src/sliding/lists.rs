//! Which rooms a request wants to see, and with how much.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use haechi_base::{RoomNid, limits::SYNC_TIMELINE_EVENTS_MAX};
use haechi_rooms::{Membership, Room, Standing};
use ruma::{
    OwnedRoomId,
    api::client::sync::sync_events::v5::request::{List, ListFilters},
    directory::RoomTypeFilter,
    events::StateEventType,
    room::RoomType,
};
use serde::Deserialize;

use super::{
    Pass,
    conn::Conn,
    response::{self, Response},
    room::bump_at,
};
use crate::{Inner, Result, SyncError, Viewer};

/// Lists in one request.
const LISTS_MAX: usize = 64;

/// Rooms subscribed to in one request.
const SUBSCRIPTIONS_MAX: usize = 1_000;

/// How much of a room is wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Details {
    pub(super) timeline_limit: usize,
    /// Types and keys, with `*`, `$LAZY` and `$ME`.
    pub(super) required: Vec<(String, String)>,
}

impl Details {
    fn add(&mut self, required: &[(StateEventType, String)], timeline_limit: ruma::UInt) {
        let limit = usize::try_from(u64::from(timeline_limit)).unwrap_or(usize::MAX);
        self.timeline_limit = self.timeline_limit.max(limit.min(SYNC_TIMELINE_EVENTS_MAX));
        for (kind, key) in required {
            let pair = (kind.to_string(), key.clone());
            if !self.required.contains(&pair) {
                self.required.push(pair);
            }
        }
    }
}

#[derive(Deserialize)]
struct Direct(BTreeMap<String, Vec<OwnedRoomId>>);

impl Inner {
    /// Makes sure that the connection knows the user's rooms as they are now.
    pub(super) async fn refresh_rooms(&self, pass: &Pass<'_>, conn: &mut Conn) -> Result<()> {
        let user = pass.viewer().user;
        let moved = pass.sorted.rooms.values().any(|news| news.membership);
        if moved || pass.sorted.account_data || conn.rooms.is_none() {
            conn.rooms = Some(Arc::new(self.welcome_rooms(pass).await?));
        }
        if pass.sorted.account_data || conn.direct.is_none() {
            let direct = self.accounts.account_data(user, None, "m.direct").await?;
            let direct = direct
                .and_then(|content| serde_json::from_str::<Direct>(content.get()).ok())
                .map(|direct| direct.0.into_values().flatten().collect())
                .unwrap_or_default();
            conn.direct = Some(Arc::new(direct));
        }
        Ok(())
    }

    /// The user's rooms without those to which they were invited by somebody whom they ignore.
    async fn welcome_rooms(&self, pass: &Pass<'_>) -> Result<Vec<Standing>> {
        let viewer = pass.viewer();
        let mut rooms = self.rooms.standings(viewer.user).await?;
        if self.accounts.ignored(viewer.user).await?.is_empty() {
            return Ok(rooms);
        }
        let mut unwelcome = BTreeSet::new();
        for standing in rooms.iter().filter(|one| one.membership == Membership::Invite) {
            if self.is_unwelcome(viewer, &*self.rooms.room(standing.room).await?).await? {
                unwelcome.insert(standing.room);
            }
        }
        rooms.retain(|standing| !unwelcome.contains(&standing.room));
        Ok(rooms)
    }

    /// The rooms in all windows and subscriptions with what is wanted of them.
    pub(super) async fn wanted_rooms(
        &self,
        pass: &Pass<'_>,
        conn: &mut Conn,
        response: &mut Response,
    ) -> Result<BTreeMap<RoomNid, Details>> {
        let body = &pass.request.body;
        if body.lists.len() > LISTS_MAX || body.room_subscriptions.len() > SUBSCRIPTIONS_MAX {
            return Err(SyncError::Invalid("too many lists or subscriptions".to_owned()));
        }
        let mut wanted: BTreeMap<RoomNid, Details> = BTreeMap::new();
        let sorted = if body.lists.is_empty() {
            Vec::new()
        } else {
            self.by_time(pass.viewer(), conn).await?
        };
        for (name, list) in &body.lists {
            let inside: Vec<&(Standing, Arc<Room>)> = sorted
                .iter()
                .filter(|(standing, room)| passes(list, standing, room, conn))
                .collect();
            let count = inside.len() as u64;
            if conn.counts.insert(name.clone(), count) != Some(count) {
                response.lists_changed = true;
            }
            response.lists.insert(name.clone(), response::List { count });
            for (standing, _) in windows(list, &inside) {
                let details = wanted.entry(standing.room).or_default();
                details.add(&list.room_details.required_state, list.room_details.timeline_limit);
            }
        }
        for (room_id, subscription) in &body.room_subscriptions {
            // A room that does not exist, or that the user has nothing to do with, is left out.
            let Some(nid) = self.rooms.lookup(room_id).await? else { continue };
            let known = conn.rooms.iter().flat_map(|rooms| rooms.iter());
            if known.into_iter().any(|standing| standing.room == nid) {
                let details = wanted.entry(nid).or_default();
                details.add(&subscription.required_state, subscription.timeline_limit);
            }
        }
        for (nid, news) in &pass.sorted.rooms {
            // No list holds it any more, but the client must hear of it.
            if news.membership && conn.sent.contains_key(nid) && !may_be_listed(conn, *nid) {
                wanted.entry(*nid).or_default();
            }
        }
        Ok(wanted)
    }

    /// The user's rooms, the ones with the latest news first.
    async fn by_time(&self, viewer: &Viewer, conn: &Conn) -> Result<Vec<(Standing, Arc<Room>)>> {
        let standings = conn.rooms.clone().unwrap_or_default();
        let mut rooms = Vec::with_capacity(standings.len());
        for standing in standings.iter() {
            if stays(standing) {
                let room = self.rooms.room(standing.room).await?;
                let at = bump_at(&room, viewer, standing.membership);
                rooms.push((at, *standing, room));
            }
        }
        rooms.sort_by_key(|(at, standing, _)| (std::cmp::Reverse(*at), standing.room));
        Ok(rooms.into_iter().map(|(_, standing, room)| (standing, room)).collect())
    }
}

/// Is the user in the room, or about to be?
fn stays(standing: &Standing) -> bool {
    matches!(standing.membership, Membership::Join | Membership::Invite | Membership::Knock)
}

fn may_be_listed(conn: &Conn, nid: RoomNid) -> bool {
    let mut rooms = conn.rooms.iter().flat_map(|rooms| rooms.iter());
    rooms.any(|standing| standing.room == nid && stays(standing))
}

fn windows<'a>(list: &List, rooms: &[&'a (Standing, Arc<Room>)]) -> Vec<&'a (Standing, Arc<Room>)> {
    let index = |at: ruma::UInt| usize::try_from(u64::from(at)).unwrap_or(usize::MAX);
    let mut inside = Vec::new();
    for (first, last) in &list.ranges {
        let take = index(*last).saturating_add(1).saturating_sub(index(*first));
        inside.extend(rooms.iter().skip(index(*first)).take(take));
    }
    inside
}

fn passes(list: &List, standing: &Standing, room: &Room, conn: &Conn) -> bool {
    let Some(filters) = &list.filters else { return true };
    let ListFilters { is_dm, is_encrypted, is_invite, room_types, not_room_types, .. } = filters;
    let direct = || conn.direct.iter().any(|direct| direct.contains(&room.room_id));
    if is_dm.is_some_and(|wanted| wanted != direct())
        || is_invite.is_some_and(|wanted| wanted != (standing.membership == Membership::Invite))
    {
        return false;
    }
    if is_encrypted.is_none() && room_types.is_empty() && not_room_types.is_empty() {
        return true;
    }
    let state = room.state();
    if is_encrypted.is_some_and(|wanted| wanted != state.get("m.room.encryption", "").is_some()) {
        return false;
    }
    let kind = state.get("m.room.create", "").and_then(|pdu| {
        #[derive(Deserialize)]
        struct Create {
            #[serde(rename = "type")]
            kind: Option<RoomType>,
        }
        pdu.content_as::<Create>().ok()?.kind
    });
    let kind = RoomTypeFilter::from(kind);
    (room_types.is_empty() || room_types.contains(&kind)) && !not_room_types.contains(&kind)
}
