//! What people may know of a room before they join it.

use std::sync::Arc;

use haechi_base::UserNid;
use haechi_matrix::{
    auth::{JoinDecision, JoinRules, Membership, Visibility},
    pdu::Pdu,
};
use ruma::{
    OwnedRoomId, UserId,
    room::{JoinRule, JoinRuleKind, JoinRuleSummary, RoomSummary, RoomType},
};
use serde_json::Value;

use crate::{Result, Room, Rooms, model::State};

impl Room {
    /// The room in short (client-server API, "Room summary").
    pub fn summary(&self) -> RoomSummary {
        let snapshot = self.snapshot();
        let state = &snapshot.state;
        let joined = u32::try_from(snapshot.joined.len()).unwrap_or(u32::MAX);
        let guests = text(state, "m.room.guest_access", "guest_access");
        let mut summary = RoomSummary::new(
            self.room_id.clone(),
            join_rule(state),
            guests.is_some_and(|access| access == "can_join"),
            joined.into(),
            visibility(state) == Visibility::WorldReadable,
        );
        summary.name = text(state, "m.room.name", "name");
        summary.topic = text(state, "m.room.topic", "topic");
        summary.avatar_url = text(state, "m.room.avatar", "url").map(Into::into);
        summary.canonical_alias =
            text(state, "m.room.canonical_alias", "alias").and_then(|alias| alias.try_into().ok());
        summary.room_type = room_type(state).map(RoomType::from);
        summary.encryption = text(state, "m.room.encryption", "algorithm").map(Into::into);
        summary.room_version = Some(self.version.id());
        summary
    }
}

/// A text in the content of a state event with an empty key, unless it is empty.
pub(crate) fn text(state: &State, kind: &str, field: &str) -> Option<String> {
    text_of(state.get(kind, "")?, field)
}

pub(crate) fn text_of(pdu: &Pdu, field: &str) -> Option<String> {
    let content: Value = pdu.content_as().ok()?;
    content[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The `type` in the create event.
pub(crate) fn room_type(state: &State) -> Option<String> {
    text(state, "m.room.create", "type")
}

pub(crate) fn visibility(state: &State) -> Visibility {
    let event = state.get("m.room.history_visibility", "");
    event.map_or(Visibility::Shared, |pdu| Visibility::of_content(pdu.content()))
}

pub(crate) fn join_rules(state: &State) -> JoinRules {
    let event = state.get("m.room.join_rules", "");
    event.map_or_else(JoinRules::default, |pdu| JoinRules::of_content(pdu.content()))
}

fn join_rule(state: &State) -> JoinRuleSummary {
    let rule = state.get("m.room.join_rules", "").and_then(|pdu| pdu.content_as::<JoinRule>().ok());
    match rule.map(JoinRuleSummary::from) {
        // Rules that the spec does not know let nobody in.
        None | Some(JoinRuleSummary::_Custom(_)) => JoinRuleSummary::Invite,
        Some(rule) => rule,
    }
}

impl Rooms {
    /// May the user, or somebody unknown, see the summary of the room? Those in it and those who
    /// could come in or knock may, and everybody if all may read it.
    pub async fn may_preview(
        &self,
        room: &Arc<Room>,
        user: Option<(UserNid, &UserId)>,
    ) -> Result<bool> {
        let state = room.state();
        if visibility(&state) == Visibility::WorldReadable {
            return Ok(true);
        }
        let membership = user.map_or(Membership::Leave, |(_, id)| state.membership(id.as_str()));
        match membership {
            Membership::Join | Membership::Invite => return Ok(true),
            Membership::Ban => return Ok(false),
            Membership::Knock | Membership::Leave => {}
        }
        let rules = join_rules(&state);
        if *rules.kind() == JoinRuleKind::Public || rules.may_knock(room.version) {
            return Ok(true);
        }
        let Some((nid, _)) = user else { return Ok(false) };
        let joined = self.joined_of(&rules, nid).await?;
        let decision =
            rules.decide(room.version, membership, |other| joined.iter().any(|room| room == other));
        Ok(decision != JoinDecision::Refused)
    }

    /// Of the rooms that open this one by a restricted rule, those that the user has joined.
    pub(crate) async fn joined_of(
        &self,
        rules: &JoinRules,
        user: UserNid,
    ) -> Result<Vec<OwnedRoomId>> {
        let mut joined = Vec::new();
        for other in rules.rooms() {
            if let Some(nid) = self.lookup(other).await?
                && self.room(nid).await?.joined().contains(&user)
            {
                joined.push(other.clone());
            }
        }
        Ok(joined)
    }
}
