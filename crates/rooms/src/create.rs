//! Making a room (spec, "Creation"): all its first events in one commit.

use std::sync::{Arc, atomic::Ordering};

use haechi_base::RoomNid;
use haechi_matrix::RoomVersion;
use rand::{RngExt as _, distr::Alphanumeric};
use ruma::{
    OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId,
    api::client::room::create_room::v3::RoomPreset,
};
use serde_json::{Map, Value, json};

use crate::{
    Result, Room, RoomError, Rooms,
    append::NewEvent,
    membership::{MemberProfile, member_content},
    model::Actor,
    store::{CreateRoom, Created},
};

/// Random characters of a room id in versions before 12.
const ROOM_ID_CHARS: usize = 18;

/// Most users that may be invited while a room is made.
const INVITES_MAX: usize = 500;

/// What a new room is to be.
#[derive(Clone, Debug)]
pub struct NewRoom {
    /// Its version.
    pub version: RoomVersion,
    /// Join rule, history visibility, guest access.
    pub preset: RoomPreset,
    /// Is it shown in the public directory?
    pub published: bool,
    /// An alias for it, of this server.
    pub alias: Option<OwnedRoomAliasId>,
    /// More content for the create event.
    pub creation_content: Map<String, Value>,
    /// Replaces keys of the power levels.
    pub power_levels: Map<String, Value>,
    /// State events: type, state key, content.
    pub initial_state: Vec<(String, String, Value)>,
    /// Its name.
    pub name: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// Whom to invite, as they are to appear.
    pub invite: Vec<(OwnedUserId, MemberProfile)>,
    /// Is it a direct chat with those invited?
    pub is_direct: bool,
    /// How its creator appears.
    pub profile: MemberProfile,
}

impl Rooms {
    /// Makes a room and returns it once it is durable.
    pub async fn create(&self, actor: &Actor, new: NewRoom) -> Result<Arc<Room>> {
        if new.invite.len() > INVITES_MAX {
            return Err(RoomError::Invalid(format!("invite at most {INVITES_MAX} users at once")));
        }
        let version = new.version;
        let create = create_event(actor, &new)?;
        let mut room_id: Option<OwnedRoomId> =
            (!version.room_id_is_create_hash()).then(|| self.random_room_id());
        let mut pending = vec![self.prepare(version, room_id.clone(), actor, create).await?];
        let drafts = self.draft_first(version, &pending)?;
        let room_id = room_id.get_or_insert_with(|| drafts[0].pdu.room_id().to_owned()).clone();
        for event in first_events(actor, &new) {
            pending.push(self.prepare(version, Some(room_id.clone()), actor, event).await?);
        }
        let drafts = self.draft_first(version, &pending).map_err(|error| match error {
            RoomError::Forbidden(why) => RoomError::InvalidState(why),
            error => error,
        })?;
        let work = CreateRoom {
            room_id: room_id.to_string(),
            version: version.as_str(),
            published: new.published,
            alias: new.alias.as_ref().map(ToString::to_string),
            creator: actor.nid,
            drafts,
            key: Arc::clone(&self.0.key),
        };
        match self.0.db.write(work).await? {
            Created::Done(nid) => self.room(nid).await,
            Created::AliasInUse => Err(RoomError::AliasInUse),
        }
    }

    /// The number of a room, if it exists; for callers that ask after one that may not.
    pub async fn lookup(&self, room_id: &RoomId) -> Result<Option<RoomNid>> {
        match self.nid_of(room_id).await {
            Ok(nid) => Ok(Some(nid)),
            Err(RoomError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The time for a create event. No two are alike: from version 12 on, rooms made by one user in
    /// one millisecond would otherwise be the same room.
    pub(crate) fn creation_time(&self) -> i64 {
        let now = self.0.clock.now().0;
        let later = |last: i64| Some(now.max(last + 1));
        match self.0.last_created.fetch_update(Ordering::AcqRel, Ordering::Acquire, later) {
            Ok(last) | Err(last) => now.max(last + 1),
        }
    }

    fn random_room_id(&self) -> OwnedRoomId {
        let opaque: String =
            rand::rng().sample_iter(Alphanumeric).take(ROOM_ID_CHARS).map(char::from).collect();
        format!("!{opaque}:{}", self.0.server_name).try_into().expect("letters and a server name")
    }
}

fn create_event(actor: &Actor, new: &NewRoom) -> Result<NewEvent> {
    let mut content = new.creation_content.clone();
    content.insert("room_version".to_owned(), new.version.as_str().into());
    let names_creator = !new.version.rules().authorization.use_room_create_sender;
    if names_creator {
        content.insert("creator".to_owned(), actor.user_id.as_str().into());
    } else {
        content.remove("creator");
    }
    if is_trusted(new) && new.version.room_id_is_create_hash() {
        let creators = content.entry("additional_creators").or_insert_with(|| json!([]));
        let creators = creators.as_array_mut().ok_or_else(|| {
            RoomError::Invalid("additional_creators must be a list of user ids".to_owned())
        })?;
        for (user, _) in &new.invite {
            if !creators.iter().any(|known| known == user.as_str()) {
                creators.push(user.as_str().into());
            }
        }
    }
    Ok(NewEvent::state("m.room.create", "", &content))
}

fn is_trusted(new: &NewRoom) -> bool {
    matches!(new.preset, RoomPreset::TrustedPrivateChat)
}

/// All but the create event, in the order the spec gives.
fn first_events(actor: &Actor, new: &NewRoom) -> Vec<NewEvent> {
    let member = |user: &str, membership: &str, profile: &MemberProfile| {
        let mut content = member_content(membership, profile, None);
        if new.is_direct && membership == "invite" {
            content.insert("is_direct".to_owned(), true.into());
        }
        NewEvent::state("m.room.member", user, &content)
    };
    let mut events = vec![
        member(actor.user_id.as_str(), "join", &new.profile),
        NewEvent::state("m.room.power_levels", "", &power_levels(actor, new)),
    ];
    if let Some(alias) = &new.alias {
        events.push(NewEvent::state("m.room.canonical_alias", "", &json!({ "alias": alias })));
    }
    let given = |kind: &str| new.initial_state.iter().any(|(given, _, _)| given == kind);
    let is_public = matches!(new.preset, RoomPreset::PublicChat);
    let presets = [
        ("m.room.join_rules", json!({ "join_rule": if is_public { "public" } else { "invite" } })),
        ("m.room.history_visibility", json!({ "history_visibility": "shared" })),
        (
            "m.room.guest_access",
            json!({ "guest_access": if is_public { "forbidden" } else { "can_join" } }),
        ),
    ];
    for (kind, content) in presets {
        if !given(kind) {
            events.push(NewEvent::state(kind, "", &content));
        }
    }
    for (kind, key, content) in &new.initial_state {
        // These have been written already; a second one would undo the first.
        if !matches!(kind.as_str(), "m.room.create" | "m.room.member" | "m.room.power_levels") {
            events.push(NewEvent::state(kind, key, content));
        }
    }
    if let Some(name) = &new.name {
        events.push(NewEvent::state("m.room.name", "", &json!({ "name": name })));
    }
    if let Some(topic) = &new.topic {
        let content = json!({ "topic": topic, "m.topic": { "m.text": [{ "body": topic }] } });
        events.push(NewEvent::state("m.room.topic", "", &content));
    }
    for (user, profile) in &new.invite {
        if *user != actor.user_id {
            events.push(member(user.as_str(), "invite", profile));
        }
    }
    events
}

fn power_levels(actor: &Actor, new: &NewRoom) -> Map<String, Value> {
    let mut users = Map::new();
    if !new.version.room_id_is_create_hash() {
        users.insert(actor.user_id.to_string(), 100.into());
        if is_trusted(new) {
            for (user, _) in &new.invite {
                users.insert(user.to_string(), 100.into());
            }
        }
    }
    // The creators of version 12 stand above all levels, so that others may be kept from closing it.
    let tombstone = if new.version.room_id_is_create_hash() { 150 } else { 100 };
    let content = json!({
        "ban": 50, "kick": 50, "redact": 50, "invite": 0,
        "events_default": 0, "state_default": 50, "users_default": 0,
        "users": users,
        "events": {
            "m.room.name": 50, "m.room.avatar": 50, "m.room.topic": 50,
            "m.room.canonical_alias": 50, "m.room.power_levels": 100,
            "m.room.history_visibility": 100, "m.room.server_acl": 100,
            "m.room.encryption": 100, "m.room.tombstone": tombstone,
        },
        "notifications": { "room": 50 },
    });
    let Value::Object(mut content) = content else { unreachable!("an object literal") };
    let given = new
        .initial_state
        .iter()
        .filter(|(kind, key, _)| kind == "m.room.power_levels" && key.is_empty())
        .filter_map(|(_, _, content)| content.as_object());
    for (key, value) in given.flatten().chain(&new.power_levels) {
        content.insert(key.clone(), value.clone());
    }
    content
}
