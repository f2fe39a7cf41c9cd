//! What an event means to one user, and what a gateway is told of it.

use haechi_base::UserNid;
use haechi_matrix::{
    json::Object,
    push_rules::{Outcome, PlainOutcome, PushEvent, PushRoom},
};
use haechi_rooms::{Event, Membership, Room, State, membership_of};
use ruma::{
    OwnedUserId, UInt, UserId,
    api::push_gateway::send_event_notification::v1::{
        Device, Notification, NotificationCounts, NotificationPriority, PusherData,
    },
    events::TimelineEventType,
    push::{HighlightTweakValue, PushFormat, Tweak},
};
use serde_json::value::RawValue;

use crate::{
    Push, Result,
    book::{UserRules, display_name},
    desks::Item,
    model::{BadgeCounts, StoredPusher},
};

/// An event read once for all whom it may notify.
pub(crate) struct Reading<'a> {
    event: &'a PushEvent<'a>,
    room: PushRoom<'a>,
    plain: PlainOutcome<'a>,
    state: &'a State,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(event: &'a PushEvent<'a>, room: PushRoom<'a>, state: &'a State) -> Self {
        Self { event, room, plain: PlainOutcome::new(event, room), state }
    }

    /// What it does for the user; `None` when it does not notify.
    pub(crate) fn outcome<'b>(
        &'b self,
        user: &UserId,
        rules: &'b UserRules,
    ) -> Option<&'b Outcome> {
        if rules.is_plain() {
            return Some(self.plain.for_user(user)).filter(|outcome| outcome.notify);
        }
        rules.outcome(self.event, self.room, self.state, user)
    }
}

impl Push {
    /// Those of `users` whom the event notifies, with what their rules say.
    pub(crate) async fn outcomes<T>(
        &self,
        room: &Room,
        event: &Event,
        users: &[UserNid],
        take: impl Fn(UserNid, &Outcome) -> T,
    ) -> Result<Vec<T>> {
        let rules = self.0.book.of_all(users).await?;
        let nids: Vec<UserNid> = rules.iter().map(|(user, _)| *user).collect();
        let ids = self.0.book.users().ids_of(&nids).await?;
        let (state, auth) = (room.state(), room.auth());
        let push_event = PushEvent::new(&event.pdu);
        let push_room = PushRoom {
            member_count: u64::try_from(room.joined().len()).unwrap_or(u64::MAX),
            auth: auth.as_deref(),
        };
        let reading = Reading::new(&push_event, push_room, &state);
        let outcomes = rules.iter().zip(&ids).filter_map(|((user, rules), id)| {
            reading.outcome(id, rules).map(|outcome| take(*user, outcome))
        });
        Ok(outcomes.collect())
    }

    /// Does the event still concern the user, and is it unread?
    pub(crate) async fn is_news(&self, item: &Item, user: UserNid) -> Result<bool> {
        if item.room.joined().contains(&user) {
            return Ok(!self.0.rooms.has_read(&item.room, user, &item.event).await?);
        }
        let user_id = self.0.book.users().id_of(user).await?;
        let membership = item.room.state().membership(user_id.as_str());
        Ok(membership == Membership::Invite && invited(&item.event).as_ref() == Some(&*user_id))
    }

    /// The number on the badge of the user's devices.
    pub(crate) async fn badge(&self, user: UserNid) -> Result<i64> {
        let rooms = self.0.rooms.unread_rooms(user).await?;
        Ok(match self.0.settings.badge {
            BadgeCounts::Rooms => i64::try_from(rooms.len()).unwrap_or(i64::MAX),
            BadgeCounts::Messages => rooms.iter().map(|room| room.notify).sum(),
        })
    }
}

/// Whom the event invites.
pub(crate) fn invited(event: &Event) -> Option<OwnedUserId> {
    let pdu = &event.pdu;
    let is_invite =
        *pdu.kind() == TimelineEventType::RoomMember && membership_of(pdu) == Membership::Invite;
    if is_invite { pdu.state_key()?.try_into().ok() } else { None }
}

/// What the gateway of `pusher` is told of the event.
pub(crate) fn notification(
    item: &Item,
    user: &UserId,
    pusher: &StoredPusher,
    badge: i64,
) -> Notification {
    let pdu = &item.event.pdu;
    let mut notification = bare(pusher, badge);
    notification.event_id = Some(pdu.event_id().to_owned());
    notification.room_id = Some(item.room.room_id.clone());
    let is_loud = item.tweaks.iter().any(|tweak| match tweak {
        Tweak::Sound(_) => true,
        Tweak::Highlight(value) => *value == HighlightTweakValue::Yes,
        _ => false,
    });
    if !is_loud && *pdu.kind() != TimelineEventType::RoomEncrypted {
        notification.prio = NotificationPriority::Low;
    }
    if pusher.data.format == Some(PushFormat::EventIdOnly) {
        return notification;
    }
    let state = item.room.state();
    notification.event_type = Some(pdu.kind().clone());
    notification.sender = Some(pdu.sender().to_owned());
    notification.sender_display_name = display_name(&state, pdu.sender());
    notification.room_name = field(&state, "m.room.name", "name");
    notification.room_alias =
        field(&state, "m.room.canonical_alias", "alias").and_then(|alias| alias.try_into().ok());
    notification.user_is_target =
        *pdu.kind() == TimelineEventType::RoomMember && pdu.state_key() == Some(user.as_str());
    notification.content = RawValue::from_string(pdu.content().to_owned()).ok();
    for device in &mut notification.devices {
        device.tweaks = item.tweaks.to_vec();
    }
    notification
}

/// The number on the badge alone.
pub(crate) fn bare(pusher: &StoredPusher, badge: i64) -> Notification {
    let mut device = Device::new(pusher.ids.app_id.clone(), pusher.ids.pushkey.clone());
    device.pushkey_ts =
        UInt::try_from(pusher.updated.0 / 1_000).ok().map(ruma::SecondsSinceUnixEpoch);
    device.data = PusherData::from(pusher.data.clone());
    let mut notification = Notification::new(vec![device]);
    let unread = UInt::try_from(badge).unwrap_or_default();
    notification.counts = NotificationCounts::new(unread, UInt::default());
    notification
}

fn field(state: &State, kind: &str, name: &str) -> Option<String> {
    let pdu = state.get(kind, "")?;
    Object::parse(pdu.content()).ok()?.get_str(name).map(str::to_owned)
}
