//! May this event enter the room? (spec, room versions, "Authorisation rules")
//!
//! [`check`] applies all rules through ruma. [`RoomAuth`] holds what the rules read of a room's
//! create and power levels events, read once: it answers questions of power, and it checks
//! ordinary events without reading any JSON again.

use std::sync::Arc;

use ruma::{
    EventId, Int, OwnedUserId, UserId,
    events::{
        StateEventType, TimelineEventType,
        room::power_levels::{RoomPowerLevels, RoomPowerLevelsSource},
    },
    power_levels::NotificationPowerLevels,
    state_res::{
        Event, auth_types_for_event, check_state_dependent_auth_rules,
        check_state_independent_auth_rules,
        events::{RoomCreateEvent, RoomPowerLevelsEvent, RoomPowerLevelsIntField as Field},
    },
};
use serde_json::value::RawValue;

use crate::{RoomVersion, pdu::Pdu};

mod join;
mod membership;
mod visibility;

pub use join::{JoinDecision, JoinRules};
pub use membership::Membership;
pub use visibility::{Sight, Visibility, may_see};

/// An event that the rules do not allow (`M_FORBIDDEN`), with the rule it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Forbidden(pub String);

/// Which state events must be named as the `auth_events` of an event, as far as they exist.
///
/// An error means that the content has not the form its type demands (`M_BAD_JSON`).
pub fn auth_types(
    version: RoomVersion,
    kind: &TimelineEventType,
    sender: &UserId,
    state_key: Option<&str>,
    content: &str,
) -> Result<Vec<(StateEventType, String)>, Forbidden> {
    let content: &RawValue =
        serde_json::from_str(content).map_err(|error| Forbidden(error.to_string()))?;
    let rules = &version.rules().authorization;
    auth_types_for_event(kind, sender, state_key, content, rules).map_err(Forbidden)
}

/// Checks `event` against the state before it.
///
/// For a create event, which has no state before it, the rules for create events are checked.
pub fn check<E: Event>(
    version: RoomVersion,
    event: &impl Event,
    state: impl Fn(&StateEventType, &str) -> Option<E>,
) -> Result<(), Forbidden> {
    let rules = &version.rules().authorization;
    if *event.event_type() == TimelineEventType::RoomCreate {
        let no_event = |_: &EventId| None::<Arc<Pdu>>;
        return check_state_independent_auth_rules(rules, event, no_event).map_err(Forbidden);
    }
    check_state_dependent_auth_rules(rules, event, state).map_err(Forbidden)
}

/// Checks the `auth_events` of an event that another server built.
pub fn check_auth_events<E: Event>(
    version: RoomVersion,
    event: &impl Event,
    fetch: impl Fn(&EventId) -> Option<E>,
) -> Result<(), Forbidden> {
    let rules = &version.rules().authorization;
    check_state_independent_auth_rules(rules, event, fetch).map_err(Forbidden)
}

/// Can [`RoomAuth::check_ordinary`] check events of this type?
pub fn is_ordinary(kind: &TimelineEventType) -> bool {
    !matches!(
        kind,
        TimelineEventType::RoomCreate
            | TimelineEventType::RoomMember
            | TimelineEventType::RoomPowerLevels
            | TimelineEventType::RoomThirdPartyInvite
    )
}

/// What the rules read of a room's create and power levels events.
#[derive(Clone, Debug)]
pub struct RoomAuth {
    version: RoomVersion,
    creator: OwnedUserId,
    federate: bool,
    levels: RoomPowerLevels,
}

impl RoomAuth {
    /// Reads the room's `m.room.create` and, if there is one, its `m.room.power_levels`.
    pub fn new(
        version: RoomVersion,
        create: &Pdu,
        power_levels: Option<&Pdu>,
    ) -> Result<Self, Forbidden> {
        let rules = &version.rules().authorization;
        let create = RoomCreateEvent::new(create);
        let creators = create.creators(rules).map_err(Forbidden)?;
        let mut levels = RoomPowerLevels::new(RoomPowerLevelsSource::None, rules, creators);
        if let Some(event) = power_levels {
            read_levels(&mut levels, &RoomPowerLevelsEvent::new(event), version)
                .map_err(Forbidden)?;
        }
        Ok(Self {
            version,
            creator: create.sender().to_owned(),
            federate: create.federate().map_err(Forbidden)?,
            levels,
        })
    }

    /// The room's version.
    pub fn version(&self) -> RoomVersion {
        self.version
    }

    /// Who made the room: the sender of its create event.
    pub fn creator(&self) -> &UserId {
        &self.creator
    }

    /// The power levels, with the questions ruma answers of them (`user_can_…`).
    pub fn levels(&self) -> &RoomPowerLevels {
        &self.levels
    }

    /// The level needed to send events of type `kind`.
    pub fn level_to_send(&self, kind: &TimelineEventType, is_state: bool) -> Int {
        let default = if is_state { self.levels.state_default } else { self.levels.events_default };
        self.levels.events.get(kind).copied().unwrap_or(default)
    }

    /// May `user`, who must be joined, send events of type `kind`?
    pub fn may_send(&self, user: &UserId, kind: &TimelineEventType, is_state: bool) -> bool {
        self.levels.for_user(user) >= self.level_to_send(kind, is_state)
    }

    /// May `user` redact an event that `author` sent? Everyone who may send redactions at all may
    /// redact their own.
    pub fn may_redact(&self, user: &UserId, author: &UserId) -> bool {
        self.may_send(user, &TimelineEventType::RoomRedaction, false)
            && (user == author || self.levels.for_user(user) >= self.levels.redact)
    }

    /// Checks an event of a type for which [`is_ordinary`] holds; the same rules as [`check`].
    pub fn check_ordinary(
        &self,
        sender: &UserId,
        membership: Option<Membership>,
        kind: &TimelineEventType,
        state_key: Option<&str>,
    ) -> Result<(), Forbidden> {
        debug_assert!(is_ordinary(kind), "{kind} has rules of its own");
        if !self.federate && self.creator.server_name() != sender.server_name() {
            return Err(Forbidden("the room is closed to users of other servers".to_owned()));
        }
        if membership != Some(Membership::Join) {
            return Err(Forbidden("sender's membership is not `join`".to_owned()));
        }
        if !self.may_send(sender, kind, state_key.is_some()) {
            return Err(Forbidden(format!(
                "sender does not have enough power to send event of type `{kind}`"
            )));
        }
        if state_key.is_some_and(|key| key.starts_with('@') && key != sender.as_str()) {
            return Err(Forbidden(
                "sender cannot send event with `state_key` matching another user's ID".to_owned(),
            ));
        }
        Ok(())
    }

    /// Of the given joined users of this server, one who may let others in by a restricted join
    /// rule: the `join_authorised_via_users_server` of the join event.
    pub fn authoriser<'a>(
        &self,
        joined_here: impl IntoIterator<Item = &'a UserId>,
    ) -> Option<&'a UserId> {
        joined_here.into_iter().find(|user| self.levels.user_can_invite(user))
    }
}

/// Reads a power levels event as the authorisation rules do, which forgive more than the schema.
fn read_levels(
    levels: &mut RoomPowerLevels,
    event: &RoomPowerLevelsEvent<&Pdu>,
    version: RoomVersion,
) -> Result<(), String> {
    let rules = &version.rules().authorization;
    levels.users_default = event.get_as_int_or_default(Field::UsersDefault, rules)?;
    levels.events_default = event.get_as_int_or_default(Field::EventsDefault, rules)?;
    levels.state_default = event.get_as_int_or_default(Field::StateDefault, rules)?;
    levels.ban = event.get_as_int_or_default(Field::Ban, rules)?;
    levels.redact = event.get_as_int_or_default(Field::Redact, rules)?;
    levels.kick = event.get_as_int_or_default(Field::Kick, rules)?;
    levels.invite = event.get_as_int_or_default(Field::Invite, rules)?;
    levels.users = event.users(rules)?.cloned().unwrap_or_default();
    levels.events = event.events(rules)?.unwrap_or_default();
    levels.notifications = NotificationPowerLevels::default();
    if let Some(room) = event.notifications(rules)?.and_then(|levels| levels.get("room").copied()) {
        levels.notifications.room = room;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
