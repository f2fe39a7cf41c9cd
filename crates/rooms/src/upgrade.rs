//! Moving to a new room of another version (client-server API, "Room upgrades").

use std::sync::Arc;

use haechi_base::RoomNid;
use haechi_matrix::{RoomVersion, auth::Membership};
use haechi_store::{LockKey, Locks, Result as StoreResult, Tx, Work, sql};
use ruma::{
    OwnedUserId, UserId, api::client::room::create_room::v3::RoomPreset, events::TimelineEventType,
};
use serde_json::{Map, Value, json};

use crate::{
    Result, Room, RoomError, Rooms,
    append::NewEvent,
    create::NewRoom,
    directory::{IS_PUBLISHED, SET_PUBLISHED},
    load::room_auth,
    membership::MemberProfile,
    model::{Actor, State},
};

sql!(ALIASES_MOVE, "UPDATE room_alias SET room = ?2 WHERE room = ?1");

/// State that the new room takes over, all with an empty state key.
const COPIED: [&str; 9] = [
    "m.room.server_acl",
    "m.room.encryption",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.guest_access",
    "m.room.history_visibility",
    "m.room.join_rules",
    "m.room.canonical_alias",
];

/// Bans that the new room takes over.
const BANS_MAX: usize = 5_000;

const POWER_LEVELS: &str = "m.room.power_levels";

impl Rooms {
    /// Makes a room of `version` that takes the place of `old`, and returns it.
    ///
    /// What the rules allow the user of the rest (closing the old room) is done; that they may
    /// send the tombstone is checked first.
    pub async fn upgrade(
        &self,
        old: &Arc<Room>,
        actor: &Actor,
        profile: MemberProfile,
        version: RoomVersion,
        additional_creators: &[OwnedUserId],
    ) -> Result<Arc<Room>> {
        Self::ensure_joined(old, actor.nid)?;
        let state = old.state();
        let may = room_auth(old.version, &state).is_some_and(|auth| {
            auth.may_send(&actor.user_id, &TimelineEventType::RoomTombstone, true)
        });
        if !may {
            return Err(RoomError::Forbidden("you may not upgrade this room".to_owned()));
        }
        let levels = levels_of(old, &state, actor, version, additional_creators);
        let new = self
            .create(actor, replacement(old, &state, profile, version, additional_creators, &levels))
            .await?;
        if levels.first != levels.last {
            let event = NewEvent::state(POWER_LEVELS, "", &levels.last);
            self.append(&new, actor, event, None).await?;
        }
        self.copy_bans(&state, &new, actor).await?;
        self.0.db.write(MoveNames { from: old.nid, to: new.nid }).await?;
        let tombstone = json!({
            "body": "This room has been replaced", "replacement_room": new.room_id });
        let tombstone = NewEvent::state("m.room.tombstone", "", &tombstone);
        self.append(old, actor, tombstone, None).await?;
        if state.get("m.room.canonical_alias", "").is_some() {
            self.try_append(old, actor, "m.room.canonical_alias", &Map::new()).await?;
        }
        if let Some(closed) = closed_levels(&state) {
            self.try_append(old, actor, POWER_LEVELS, &closed).await?;
        }
        Ok(new)
    }

    /// Sets state where the rules allow it.
    async fn try_append(
        &self,
        room: &Arc<Room>,
        actor: &Actor,
        kind: &str,
        content: &Map<String, Value>,
    ) -> Result<()> {
        match self.append(room, actor, NewEvent::state(kind, "", content), None).await {
            Ok(_) | Err(RoomError::Forbidden(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn copy_bans(&self, state: &State, new: &Arc<Room>, actor: &Actor) -> Result<()> {
        let banned = state
            .of_type("m.room.member")
            .filter(|(_, pdu)| crate::membership_of(pdu) == Membership::Ban)
            .take(BANS_MAX);
        for (user, pdu) in banned {
            let mut content = json!({ "membership": "ban" });
            if let Ok(before) = pdu.content_as::<Value>()
                && before["reason"].is_string()
            {
                content["reason"] = before["reason"].clone();
            }
            let event = NewEvent::state("m.room.member", user, &content);
            match self.append(new, actor, event, None).await {
                // Whoever upgrades may be allowed to close the room, but not to ban.
                Err(RoomError::Forbidden(_)) => return Ok(()),
                outcome => drop(outcome?),
            }
        }
        Ok(())
    }
}

/// The power levels of the new room.
struct Levels {
    /// While it is being set up.
    first: Map<String, Value>,
    /// After that.
    last: Map<String, Value>,
}

fn levels_of(
    old: &Room,
    state: &State,
    actor: &Actor,
    version: RoomVersion,
    additional_creators: &[OwnedUserId],
) -> Levels {
    let mut last = content(state, POWER_LEVELS).unwrap_or_default();
    // What the old room does not say must not become what new rooms say.
    last.entry("events").or_insert_with(|| json!({}));
    let users = last.entry("users").or_insert_with(|| json!({}));
    if !users.is_object() {
        *users = json!({});
    }
    let users = users.as_object_mut().expect("made an object above");
    if version.room_id_is_create_hash() {
        // Creators stand above all levels and must not be named.
        users.remove(actor.user_id.as_str());
        for creator in additional_creators {
            users.remove(creator.as_str());
        }
        return Levels { first: last.clone(), last };
    }
    for creator in creators(old, state) {
        // They stood above all levels, so the levels do not name them.
        users.entry(creator).or_insert_with(|| 100.into());
    }
    let mut first = last.clone();
    let most = most(&first).max(100);
    if let Some(users) = first.get_mut("users").and_then(Value::as_object_mut) {
        users.insert(actor.user_id.to_string(), most.into());
    }
    Levels { first, last }
}

/// Those of the old room who stand above all levels.
fn creators(old: &Room, state: &State) -> Vec<String> {
    if !old.version.room_id_is_create_hash() {
        return Vec::new();
    }
    let mut creators = Vec::new();
    if let Some(create) = state.get("m.room.create", "") {
        creators.push(create.sender().to_string());
    }
    let create = content(state, "m.room.create").unwrap_or_default();
    let more = create.get("additional_creators").and_then(Value::as_array);
    let more = more.into_iter().flatten().filter_map(Value::as_str);
    creators.extend(more.filter(|id| <&UserId>::try_from(*id).is_ok()).map(str::to_owned));
    creators
}

/// The highest level that anything in there needs or has.
fn most(levels: &Map<String, Value>) -> i64 {
    levels
        .values()
        .map(|value| match value {
            Value::Object(inner) => most(inner),
            other => other.as_i64().unwrap_or(0),
        })
        .max()
        .unwrap_or(0)
}

fn content(state: &State, kind: &str) -> Option<Map<String, Value>> {
    state.get(kind, "")?.content_as().ok()
}

fn replacement(
    old: &Room,
    state: &State,
    profile: MemberProfile,
    version: RoomVersion,
    additional_creators: &[OwnedUserId],
    levels: &Levels,
) -> NewRoom {
    let mut creation = content(state, "m.room.create").unwrap_or_default();
    for key in ["creator", "room_version", "additional_creators", "predecessor"] {
        creation.remove(key);
    }
    if version.room_id_is_create_hash() && !additional_creators.is_empty() {
        creation.insert("additional_creators".to_owned(), json!(additional_creators));
    }
    let last = old.live.read().head_event.clone();
    let predecessor = json!({ "room_id": old.room_id, "event_id": last });
    creation.insert("predecessor".to_owned(), predecessor);
    let mut initial_state: Vec<(String, String, Value)> = COPIED
        .iter()
        .filter_map(|kind| {
            Some(((*kind).to_owned(), String::new(), Value::Object(content(state, kind)?)))
        })
        .collect();
    // The rooms of a space are as much its content as messages are of a room.
    let children = state.of_type("m.space.child").filter_map(|(key, pdu)| {
        let content: Map<String, Value> = pdu.content_as().ok()?;
        let is_child = content.contains_key("via");
        is_child.then(|| ("m.space.child".to_owned(), key.to_owned(), Value::Object(content)))
    });
    initial_state.extend(children);
    NewRoom {
        version,
        preset: RoomPreset::PrivateChat,
        published: false,
        alias: None,
        creation_content: creation,
        power_levels: levels.first.clone(),
        initial_state,
        name: None,
        topic: None,
        invite: Vec::new(),
        is_direct: false,
        profile,
    }
}

/// Levels at which ordinary members of the old room can neither write nor invite.
fn closed_levels(state: &State) -> Option<Map<String, Value>> {
    let mut levels = content(state, POWER_LEVELS)?;
    let level = |key: &str| levels.get(key).and_then(Value::as_i64).unwrap_or(0);
    let closed = 50.max(level("users_default") + 1);
    let (events, invite) = (level("events_default"), level("invite"));
    levels.insert("events_default".to_owned(), events.max(closed).into());
    levels.insert("invite".to_owned(), invite.max(closed).into());
    Some(levels)
}

/// Gives one room's aliases and place in the directory to another.
struct MoveNames {
    from: RoomNid,
    to: RoomNid,
}

impl Work for MoveNames {
    const NAME: &'static str = "rooms.move_names";
    type Out = ();

    fn locks(&self) -> Locks {
        Locks::all([LockKey::Room(self.from), LockKey::Room(self.to)])
    }

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<()> {
        let (from, to) = (self.from.into(), self.to.into());
        tx.put(&ALIASES_MOVE, &[from, to]).await?;
        let (published,) = tx.one::<(bool,)>(&IS_PUBLISHED, &[from]).await?;
        if published {
            tx.put(&SET_PUBLISHED, &[from, false.into()]).await?;
            tx.put(&SET_PUBLISHED, &[to, true.into()]).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_level_is_found_wherever_it_is() {
        let levels = json!({
            "ban": 50, "events": { "m.room.name": 70 }, "users": { "@a:b": 90 }, "x": "y" });
        let Value::Object(levels) = levels else { unreachable!("an object literal") };
        assert_eq!(most(&levels), 90);
    }
}
