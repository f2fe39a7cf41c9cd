//! The rooms of a `/sync` answer.

use std::sync::Arc;

use haechi_base::RoomNid;
use haechi_matrix::{
    client_event::{STRIPPED_STATE_TYPES, stripped},
    pdu::Pdu,
};
use haechi_rooms::{Membership, PageToken, Room, RoomError, Snapshot, Stay};
use serde_json::value::RawValue;

use super::{
    Pass,
    response::{
        Counts, Events, InvitedRoom, JoinedRoom, KnockedRoom, RawEvent, Response, StrippedState,
        Summary, Timeline,
    },
    window::Window,
};
use crate::{
    Inner, Result, Viewer,
    device_lists::DeviceWatch,
    news::RoomNews,
    room::{account_data_event, heroes, needs_heroes, state_event},
};

const MEMBER: &str = "m.room.member";

impl Inner {
    pub(super) async fn add_rooms(
        &self,
        pass: &Pass<'_>,
        watch: &mut DeviceWatch,
        response: &mut Response,
    ) -> Result<()> {
        for (nid, news) in &pass.sorted.rooms {
            match self.add_room(pass, *nid, *news, watch, response).await {
                Ok(()) => {}
                // Unreadable here, readable tomorrow: one room must not take the others with it.
                Err(crate::SyncError::Room(RoomError::UnsupportedVersion(version))) => {
                    tracing::error!(room = nid.0, version, "left a room out of a sync");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn add_room(
        &self,
        pass: &Pass<'_>,
        nid: RoomNid,
        news: RoomNews,
        watch: &mut DeviceWatch,
        response: &mut Response,
    ) -> Result<()> {
        let viewer = &pass.request.viewer;
        let room = self.rooms.room(nid).await?;
        if !pass.request.filter.rooms.contains(&room.room_id) {
            return Ok(());
        }
        let joined = room.joined().contains(&viewer.user);
        if joined && !news.membership {
            let filled = self.joined(pass, &room, news, Stay::Unbroken, watch).await?;
            if let Some(filled) = filled {
                response.rooms.join.insert(room.room_id.clone(), filled);
            }
            return Ok(());
        }
        let standing = match &pass.whole {
            Some(whole) => whole.standings.get(&nid).copied(),
            None => self.rooms.standing(nid, viewer.user).await?,
        };
        let Some(standing) = standing else { return Ok(()) };
        // Also of a room that was forgotten at once the user's other clients must hear the leave.
        let is_known = if pass.is_initial {
            standing.forgotten
        } else {
            pass.since.positions.covers(standing.pos)
        };
        if is_known && standing.membership != Membership::Join {
            return Ok(());
        }
        let room_id = room.room_id.clone();
        match standing.membership {
            Membership::Join => {
                let stay = self.stay(pass, &room).await?;
                if stay != Stay::Unbroken && !pass.is_initial {
                    watch.joined_room(&room);
                }
                if let Some(filled) = self.joined(pass, &room, news, stay, watch).await? {
                    response.rooms.join.insert(room_id, filled);
                }
            }
            Membership::Invite if self.is_unwelcome(viewer, &room).await? => {}
            Membership::Invite => {
                let invite_state = stripped_state(&room, viewer);
                response.rooms.invite.insert(room_id, InvitedRoom { invite_state });
            }
            Membership::Knock => {
                let knock_state = stripped_state(&room, viewer);
                response.rooms.knock.insert(room_id, KnockedRoom { knock_state });
            }
            Membership::Leave | Membership::Ban => {
                if !pass.is_initial {
                    watch.left_room(&room);
                }
                let left = self.left(pass, &room, &standing).await?;
                response.rooms.leave.insert(room_id, left);
            }
        }
        Ok(())
    }

    /// How has the user come to be in the room since the client last asked?
    async fn stay(&self, pass: &Pass<'_>, room: &Arc<Room>) -> Result<Stay> {
        if pass.is_initial {
            return Ok(Stay::New);
        }
        let since = self.rooms.seq_at(room.nid, &pass.since.positions).await?;
        Ok(self.rooms.stay(room, &pass.request.viewer.user_id, since, i64::MAX).await?)
    }

    /// `None` when the client would learn nothing.
    async fn joined(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        news: RoomNews,
        stay: Stay,
        watch: &mut DeviceWatch,
    ) -> Result<Option<JoinedRoom>> {
        let viewer = &pass.request.viewer;
        let whole = stay != Stay::Unbroken;
        let mut out = JoinedRoom::default();
        let full = whole || pass.request.full_state;
        let window = if news.event || full {
            self.window(pass, room, stay).await?
        } else {
            Window::default()
        };
        let snapshot = room.snapshot();
        let recent = &window.recent;
        let first = recent.events.first().map_or(snapshot.seq + 1, |event| event.seq);
        let state = self.state(pass, room, &window, first, full).await?;
        if !pass.is_initial {
            watch.members(&viewer.user_id, recent.events.iter().map(|event| &**event));
            // Also who came and went in the gap, of which the client sees only the state.
            for pdu in state.iter().filter(|_| recent.limited) {
                watch.member(&viewer.user_id, pdu);
            }
        }
        let mut changed = recent.events.iter().map(|event| &event.pdu).chain(&state);
        if full || changed.any(|pdu| changes_summary(pdu)) {
            out.summary = summary(&snapshot, viewer);
        }
        let state = Self::lazy(pass, room, &snapshot, state, recent, &out.summary, full);
        let state: Vec<RawEvent> = state.iter().map(|pdu| state_event(room, pdu)).collect();
        out.timeline = Timeline {
            limited: recent.limited,
            prev_batch: (!recent.events.is_empty() || recent.limited)
                .then(|| PageToken(first - 1).to_string()),
            events: self.events_for(viewer, room, &recent.events).await?,
        };
        let has_state = !state.is_empty();
        let state = Some(Events { events: state });
        if pass.request.use_state_after {
            out.state_after = state;
        } else if has_state || full {
            out.state = state;
        }
        self.add_extras(pass, room, news, whole, &mut out).await?;
        self.add_unread(pass, room, &mut out).await?;
        let learns = full
            || news.read_state
            || news.receipt
            || has_state
            || !out.timeline.events.is_empty()
            || out.timeline.limited
            || !out.account_data.events.is_empty()
            || !out.ephemeral.events.is_empty();
        Ok(learns.then_some(out))
    }

    async fn add_unread(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        out: &mut JoinedRoom,
    ) -> Result<()> {
        let unread = self.rooms.unread(room, pass.request.viewer.user).await?;
        let by_thread = pass.request.filter.timeline.thread_counts();
        let counts = |(notify, highlight): (i64, i64)| Counts {
            notification_count: notify,
            highlight_count: highlight,
        };
        if by_thread {
            out.unread_notifications = counts((unread.notify, unread.highlight));
            for (root, notify, highlight) in unread.threads {
                out.unread_thread_notifications.insert(root, counts((notify, highlight)));
            }
        } else {
            out.unread_notifications = counts(unread.overall());
        }
        Ok(())
    }

    /// Receipts, typing, account data.
    async fn add_extras(
        &self,
        pass: &Pass<'_>,
        room: &Arc<Room>,
        news: RoomNews,
        whole: bool,
        out: &mut JoinedRoom,
    ) -> Result<()> {
        let viewer = &pass.request.viewer;
        let filter = &pass.request.filter;
        let since = (!whole).then(|| pass.since.positions.ranges_to(&pass.until));
        if (news.receipt || news.read_state || whole) && filter.ephemeral.passes_kind("m.receipt") {
            let read;
            let receipts = if let Some(whole) = &pass.whole {
                whole.receipts(room.nid)
            } else {
                read = self.rooms.receipts(room.nid, since.clone()).await?;
                &read
            };
            out.ephemeral.events.extend(self.receipt_event(viewer, receipts).await?);
        }
        let types = news.typing
            && (!whole || !self.rooms.typing().users(room.nid).is_empty())
            && filter.ephemeral.passes_kind("m.typing");
        if types {
            out.ephemeral.events.push(self.typing_event(room).await?);
        }
        if news.account_data || whole {
            let read;
            let data = if let Some(whole) = &pass.whole {
                whole.account_data(Some(room.nid))
            } else {
                read = match since {
                    None => self.accounts.account_data_of_room(viewer.user, room.nid).await?,
                    Some(ranges) => self.accounts.account_data_since(viewer.user, &ranges).await?,
                };
                &read
            };
            out.account_data.events = data
                .iter()
                .filter(|datum| datum.room == Some(room.nid))
                .filter(|datum| filter.room_account_data.passes_kind(&datum.kind))
                .map(|datum| account_data_event(&datum.kind, &datum.content))
                .collect();
        }
        Ok(())
    }
}

/// Does it bear on what the room is called?
pub(crate) fn changes_summary(pdu: &Pdu) -> bool {
    use ruma::events::TimelineEventType as Kind;
    matches!(pdu.kind(), Kind::RoomMember | Kind::RoomName | Kind::RoomCanonicalAlias)
}

pub(crate) fn summary(snapshot: &Snapshot, viewer: &Viewer) -> Summary {
    Summary {
        heroes: needs_heroes(snapshot).then(|| heroes(snapshot, &viewer.user_id)),
        joined: Some(snapshot.joined.len() as u64),
        invited: Some(u64::try_from(snapshot.invited).unwrap_or(0)),
    }
}

/// What somebody who is not in the room may know of it: enough to show the invitation.
pub(crate) fn stripped_state(room: &Room, viewer: &Viewer) -> StrippedState {
    let state = room.state();
    let mut events: Vec<Box<RawValue>> = STRIPPED_STATE_TYPES
        .iter()
        .filter_map(|kind| state.get(kind, ""))
        .map(|pdu| stripped(pdu))
        .collect();
    if let Some(own) = state.get(MEMBER, viewer.user_id.as_str()) {
        let inviter = own.sender().as_str();
        if inviter != viewer.user_id.as_str()
            && let Some(pdu) = state.get(MEMBER, inviter)
        {
            events.push(stripped(pdu));
        }
        events.push(stripped(own));
    }
    StrippedState { events }
}
