//! Who may join a room (spec, "`m.room.join_rules`").

use ruma::{OwnedRoomId, RoomId, room::JoinRuleKind};
use serde::Deserialize;

use super::Membership;
use crate::RoomVersion;

/// A room's join rules, read as the authorisation rules read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRules {
    kind: JoinRuleKind,
    rooms: Vec<OwnedRoomId>,
}

/// What comes of an attempt to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinDecision {
    /// The user may join as they are.
    Allowed,
    /// The user may join because of another room, and the join event must name a member with the
    /// power to invite in `join_authorised_via_users_server`; see [`super::RoomAuth::authoriser`].
    AllowedByRoom,
    /// The user must be invited first.
    Refused,
}

#[derive(Deserialize)]
struct Content {
    join_rule: JoinRuleKind,
    #[serde(default)]
    allow: serde_json::Value,
}

impl Default for JoinRules {
    /// What holds where there is no such event: nobody gets in without an invitation.
    fn default() -> Self {
        Self { kind: JoinRuleKind::Invite, rooms: Vec::new() }
    }
}

impl JoinRules {
    /// Reads the content of an `m.room.join_rules` event. What cannot be read lets nobody in.
    pub fn of_content(content: &str) -> Self {
        let Ok(content) = serde_json::from_str::<Content>(content) else {
            return Self::default();
        };
        let conditions = content.allow.as_array().map(Vec::as_slice).unwrap_or_default();
        let rooms = conditions
            .iter()
            .filter(|condition| condition["type"] == "m.room_membership")
            .filter_map(|condition| condition["room_id"].as_str()?.try_into().ok())
            .collect();
        Self { kind: content.join_rule, rooms }
    }

    /// The rule's kind.
    pub fn kind(&self) -> &JoinRuleKind {
        &self.kind
    }

    /// The rooms whose members may join by a restricted rule.
    pub fn rooms(&self) -> &[OwnedRoomId] {
        &self.rooms
    }

    /// May anyone ask to be let in?
    pub fn may_knock(&self, version: RoomVersion) -> bool {
        let rules = &version.rules().authorization;
        match self.kind {
            JoinRuleKind::Knock => rules.knocking,
            JoinRuleKind::KnockRestricted => rules.knock_restricted_join_rule,
            _ => false,
        }
    }

    /// Does membership of another room open this one?
    pub fn is_restricted(&self, version: RoomVersion) -> bool {
        let rules = &version.rules().authorization;
        match self.kind {
            JoinRuleKind::Restricted => rules.restricted_join_rule,
            JoinRuleKind::KnockRestricted => rules.knock_restricted_join_rule,
            _ => false,
        }
    }

    /// May a user whose membership is `membership` join? `is_member_of` tells whether they have
    /// joined one of [`Self::rooms`].
    pub fn decide(
        &self,
        version: RoomVersion,
        membership: Membership,
        is_member_of: impl FnMut(&RoomId) -> bool,
    ) -> JoinDecision {
        let mut is_member_of = is_member_of;
        match membership {
            Membership::Ban => return JoinDecision::Refused,
            Membership::Join => return JoinDecision::Allowed,
            Membership::Invite | Membership::Knock | Membership::Leave => {}
        }
        let is_invited = membership == Membership::Invite;
        let knocking = version.rules().authorization.knocking;
        let restricted = self.is_restricted(version);
        let invitation_counts = restricted
            || self.kind == JoinRuleKind::Invite
            || (knocking && self.kind == JoinRuleKind::Knock);
        if self.kind == JoinRuleKind::Public || (is_invited && invitation_counts) {
            JoinDecision::Allowed
        } else if restricted && self.rooms.iter().any(|room| is_member_of(room)) {
            JoinDecision::AllowedByRoom
        } else {
            JoinDecision::Refused
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(version: RoomVersion, rule: &str, membership: Membership) -> JoinDecision {
        let content = format!(
            r#"{{"join_rule":"{rule}","allow":[
                {{"type":"m.room_membership","room_id":"!other:d"}},
                {{"type":"org.example.payment"}}, {{"type":"m.room_membership"}}, 7]}}"#
        );
        let rules = JoinRules::of_content(&content);
        assert_eq!(rules.rooms(), ["!other:d"]);
        rules.decide(version, membership, |room| room == "!other:d")
    }

    #[test]
    fn each_rule_lets_in_whom_it_should() {
        use JoinDecision::{Allowed, AllowedByRoom, Refused};
        for version in RoomVersion::ALL {
            let restricted = version >= RoomVersion::V8;
            let knock_restricted = version >= RoomVersion::V10;
            let knock = version >= RoomVersion::V7;
            let by_room = |known: bool| if known { AllowedByRoom } else { Refused };
            let invited = |known: bool| if known { Allowed } else { Refused };
            for (rule, when_left, when_invited) in [
                ("public", Allowed, Allowed),
                ("invite", Refused, Allowed),
                ("knock", Refused, invited(knock)),
                ("restricted", by_room(restricted), invited(restricted)),
                ("knock_restricted", by_room(knock_restricted), invited(knock_restricted)),
                ("private", Refused, Refused),
                ("org.example", Refused, Refused),
            ] {
                let case = format!("{rule} in version {version}");
                assert_eq!(decide(version, rule, Membership::Leave), when_left, "{case}");
                assert_eq!(decide(version, rule, Membership::Invite), when_invited, "{case}");
                assert_eq!(decide(version, rule, Membership::Ban), Refused, "{case}");
                assert_eq!(decide(version, rule, Membership::Join), Allowed, "{case}");
            }
        }
    }

    #[test]
    fn unreadable_rules_let_nobody_in() {
        for content in ["{}", "", r#"{"join_rule":7}"#] {
            let rules = JoinRules::of_content(content);
            let decision = rules.decide(RoomVersion::V12, Membership::Leave, |_| true);
            assert_eq!(decision, JoinDecision::Refused);
        }
        assert!(!JoinRules::of_content(r#"{"join_rule":"knock"}"#).may_knock(RoomVersion::V6));
        assert!(JoinRules::of_content(r#"{"join_rule":"knock"}"#).may_knock(RoomVersion::V7));
    }
}
