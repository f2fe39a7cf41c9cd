//! Who may see which event (spec, "Room History Visibility").

use std::{borrow::Cow, str::FromStr, sync::Arc};

use haechi_base::RoomNid;
use haechi_matrix::auth::{Membership, Sight, Visibility, may_see};
use haechi_store::{Result as StoreResult, Tx, Work, sql};
use ruma::UserId;

use crate::{Result, Room, RoomError, Rooms, model::Event, room::Recent};

sql!(
    DELTAS_OF_KEY,
    "SELECT seq, value FROM state_delta
     WHERE room = ?1 AND type = ?2 AND state_key = ?3 ORDER BY seq"
);

/// What one user may see of one room.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// From which event on which visibility holds.
    visibilities: Cow<'static, [(i64, Visibility)]>,
    /// From which event on which membership of the user holds.
    memberships: Cow<'static, [(i64, Membership)]>,
}

impl View {
    /// Of a member from whom nothing is hidden.
    const ALL: Self = Self {
        visibilities: Cow::Borrowed(&[]),
        memberships: Cow::Borrowed(&[(0, Membership::Join)]),
    };

    /// Is the user in the room now?
    pub(crate) fn is_joined(&self) -> bool {
        self.memberships.last().is_some_and(|(_, membership)| *membership == Membership::Join)
    }

    /// May the user look at the room at all: are they, or were they, in it, or can anybody?
    pub(crate) fn may_look(&self) -> bool {
        self.memberships.iter().any(|(_, membership)| *membership == Membership::Join)
            || self.is_world_readable()
    }

    fn is_world_readable(&self) -> bool {
        self.visibilities.last().is_some_and(|(_, now)| *now == Visibility::WorldReadable)
    }

    /// The last event the state of which the user may see: none after a leave.
    pub(crate) fn state_limit(&self) -> Option<i64> {
        if self.is_joined() || self.is_world_readable() {
            return None;
        }
        // What ended the last stay in the room.
        let last_join =
            self.memberships.iter().rposition(|(_, membership)| *membership == Membership::Join)?;
        self.memberships.get(last_join + 1).map(|(seq, _)| *seq)
    }

    /// May the user see this event?
    pub(crate) fn sees(&self, event: &Event) -> bool {
        let (visibility, visibility_after) = around(&self.visibilities, event.seq);
        let (membership, membership_after) = around(&self.memberships, event.seq);
        // What happened to oneself: without it nobody would learn of a ban after a kick.
        if membership_after.is_some() {
            return true;
        }
        may_see(&Sight {
            visibility: visibility.unwrap_or(Visibility::Shared),
            visibility_after,
            membership: membership.unwrap_or(Membership::Leave),
            membership_after,
            joined_since: self.memberships.iter().enumerate().any(|(index, (_, membership))| {
                let until = self.memberships.get(index + 1).map_or(i64::MAX, |(seq, _)| *seq);
                *membership == Membership::Join && until > event.seq
            }),
        })
    }
}

/// How a user who is in a room has come to be in it since some earlier event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// They were in it all the time.
    Unbroken,
    /// They were in it then, and have been out of it since.
    Broken,
    /// They were not in it then.
    New,
}

/// What held before the event, and what it changed it to, if it did.
fn around<T: Copy>(changes: &[(i64, T)], seq: i64) -> (Option<T>, Option<T>) {
    let after = changes.partition_point(|(at, _)| *at < seq);
    let before = after.checked_sub(1).map(|index| changes[index].1);
    (before, changes.get(after).filter(|(at, _)| *at == seq).map(|(_, value)| *value))
}

impl Rooms {
    /// What the user may see of the room. For a member of a room that never hid anything from its
    /// members, which is most of them, memory knows.
    pub(crate) async fn view(&self, room: &Arc<Room>, user: &UserId) -> Result<View> {
        if room.is_open_since(1)
            && room.live.read().state.membership(user.as_str()) == Membership::Join
        {
            return Ok(View::ALL);
        }
        self.load_view(room, user).await
    }

    /// The same with every change of membership in it.
    async fn load_view(&self, room: &Room, user: &UserId) -> Result<View> {
        Ok(self.0.db.read(LoadView { room: room.nid, user: user.to_string() }).await?)
    }

    /// What of a timeline the user may see. It begins after the last change of state in it that they
    /// may not see, so that the state before its first event and the events make up the state after.
    pub async fn visible_end(
        &self,
        room: &Arc<Room>,
        user: &UserId,
        recent: Recent,
    ) -> Result<Recent> {
        if sees_all(room, user, &recent.events) {
            return Ok(recent);
        }
        let view = self.view(room, user).await?;
        let Recent { mut events, mut limited } = recent;
        let is_hidden_state =
            |event: &Arc<Event>| event.pdu.state_key().is_some() && !view.sees(event);
        if let Some(last) = events.iter().rposition(is_hidden_state) {
            limited |= events.drain(..=last).any(|event| view.sees(&event));
        }
        events.retain(|event| view.sees(event));
        Ok(Recent { events, limited })
    }

    /// Those of `events`, oldest first, that the user may see. In most rooms whoever is in the room
    /// may see everything, and nothing has to be looked up.
    pub async fn visible(
        &self,
        room: &Arc<Room>,
        user: &UserId,
        events: Vec<Arc<Event>>,
    ) -> Result<Vec<Arc<Event>>> {
        if sees_all(room, user, &events) {
            return Ok(events);
        }
        let view = self.view(room, user).await?;
        Ok(events.into_iter().filter(|event| view.sees(event)).collect())
    }

    /// How the user, who is in the room after event number `until`, has come to be in it since event
    /// number `since`.
    pub async fn stay(
        &self,
        room: &Arc<Room>,
        user: &UserId,
        since: i64,
        until: i64,
    ) -> Result<Stay> {
        let view = self.load_view(room, user).await?;
        let end = view.memberships.partition_point(|(seq, _)| *seq <= until);
        let memberships = &view.memberships[..end];
        let (before, after) =
            memberships.split_at(memberships.partition_point(|(seq, _)| *seq <= since));
        let is_joined = |(_, membership): &(i64, Membership)| *membership == Membership::Join;
        Ok(match before.last() {
            Some(last) if is_joined(last) && after.iter().all(is_joined) => Stay::Unbroken,
            Some(last) if is_joined(last) => Stay::Broken,
            _ => Stay::New,
        })
    }

    /// Fails unless the user may look at the room at all.
    pub(crate) async fn ensure_may_look(&self, room: &Arc<Room>, user: &UserId) -> Result<View> {
        let view = self.view(room, user).await?;
        let may_look = view.is_joined()
            || view.is_world_readable()
            || (view.may_look() && !self.has_forgotten(room, user).await?);
        if may_look { Ok(view) } else { Err(RoomError::not_joined()) }
    }

    async fn has_forgotten(&self, room: &Room, user: &UserId) -> Result<bool> {
        let Some(user) = self.0.users.find(user).await? else { return Ok(false) };
        let standing = self.standing(room.nid, user).await?;
        Ok(standing.is_some_and(|standing| standing.forgotten))
    }
}

/// Is the user in the room, and are these events, oldest first, from when all members saw everything?
fn sees_all(room: &Room, user: &UserId, events: &[Arc<Event>]) -> bool {
    events.first().is_none_or(|first| room.is_open_since(first.seq))
        && room.live.read().state.membership(user.as_str()) == Membership::Join
}

struct LoadView {
    room: RoomNid,
    user: String,
}

impl Work for LoadView {
    const NAME: &'static str = "rooms.view";
    type Out = View;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<View> {
        let room = self.room.into();
        let visibilities = tx
            .all::<(i64, Option<String>)>(
                &DELTAS_OF_KEY,
                &[room, "m.room.history_visibility".into(), "".into()],
            )
            .await?;
        let memberships = tx
            .all::<(i64, Option<String>)>(
                &DELTAS_OF_KEY,
                &[room, "m.room.member".into(), (&self.user).into()],
            )
            .await?;
        Ok(View {
            visibilities: parsed(visibilities, Visibility::Shared).into(),
            memberships: parsed(memberships, Membership::Leave).into(),
        })
    }
}

fn parsed<T: FromStr + Copy>(rows: Vec<(i64, Option<String>)>, default: T) -> Vec<(i64, T)> {
    rows.into_iter()
        .map(|(seq, text)| (seq, text.and_then(|text| text.parse().ok()).unwrap_or(default)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_held_around_an_event() {
        let changes = [(1, 'a'), (5, 'b')];
        assert_eq!(around(&changes, 1), (None, Some('a')));
        assert_eq!(around(&changes, 3), (Some('a'), None));
        assert_eq!(around(&changes, 5), (Some('a'), Some('b')));
        assert_eq!(around(&changes, 9), (Some('b'), None));
    }
}
