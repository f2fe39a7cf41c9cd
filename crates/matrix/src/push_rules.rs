//! Push rules: who is told of an event, and how loudly (spec, "Push Rules").
//!
//! An event goes to all members of its room, and each has rules of their own, though nearly
//! everyone has the server's default ones. So the event is read once ([`PushEvent`]), each
//! user's rules are made ready once ([`PushRules`]), and all who have the default rules share
//! them: [`PlainOutcome`] settles an event for all of these at once, but for the few whom the
//! event names.

use std::sync::{Arc, LazyLock};

use ruma::{
    UserId,
    push::{
        Action, PushCondition, RoomMemberCountIs, Ruleset, ScalarJsonValue, SoundTweakValue, Tweak,
    },
    user_id,
};

use crate::auth::RoomAuth;

mod edit;
mod event;
mod pattern;

pub use edit::{EditError, insert, remove, set_actions, set_enabled};
pub use event::{Path, PushEvent};
use pattern::{Pattern, WordPattern};

/// What the rules say of one event to one user.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Whether the user is notified; counts as unread.
    pub notify: bool,
    /// Whether the event is set apart, as mentions are; counts as a highlight.
    pub highlight: bool,
    /// The sound to make, if any; `default` or a name the client knows.
    pub sound: Option<Box<str>>,
    /// The matching rule's actions as they are; empty if none matched.
    pub actions: Box<[Action]>,
}

/// No rule matched, or the event is the user's own.
static NOTHING: LazyLock<Outcome> = LazyLock::new(Outcome::default);

/// The server's default rules, shared by all who changed nothing.
static PLAIN: LazyLock<PushRules> = LazyLock::new(|| {
    let anyone = user_id!("@anyone:localhost");
    PushRules::compiled(compile(anyone, &Ruleset::server_default(anyone)), true)
});

/// A user's rules, ready to be evaluated. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PushRules(Arc<Compiled>);

#[derive(Debug)]
struct Compiled {
    rules: Box<[Rule]>,
    is_plain: bool,
    asks_display_name: bool,
}

/// A rule that is enabled.
#[derive(Debug)]
struct Rule {
    conditions: Box<[Condition]>,
    outcome: Outcome,
}

#[derive(Debug)]
enum Condition {
    /// A field as a whole matches.
    Match(Path, Pattern),
    /// The body has a matching word.
    BodyWord(WordPattern),
    /// The body has the user's display name as a word.
    DisplayName,
    MemberCount(RoomMemberCountIs),
    /// The sender has the power to notify the whole room.
    SenderMayNotifyRoom,
    PropertyIs(Path, ScalarJsonValue),
    PropertyContains(Path, ScalarJsonValue),
    /// The event's state key is the user.
    StateKeyIsUser,
    /// The event mentions the user.
    MentionsUser,
    /// A condition this server does not know.
    Never,
}

/// What the rules look at beside event and user.
#[derive(Clone, Copy, Debug)]
pub struct PushRoom<'a> {
    /// How many have joined the room.
    pub member_count: u64,
    /// The room's power levels; without them nobody may notify the whole room.
    pub auth: Option<&'a RoomAuth>,
}

/// The user whose rules are asked.
#[derive(Clone, Copy, Debug)]
pub struct PushMember<'a> {
    /// Their id.
    pub user: &'a UserId,
    /// Their display name in this room.
    pub display_name: Option<&'a str>,
}

impl PushRules {
    /// Makes the rules of `user` ready.
    pub fn new(user: &UserId, ruleset: &Ruleset) -> Self {
        // Rules compare by id only, so their JSON is compared.
        let as_json = |ruleset: &Ruleset| serde_json::to_value(ruleset).ok();
        if as_json(ruleset) == as_json(&Ruleset::server_default(user)) {
            return Self::plain();
        }
        Self::compiled(compile(user, ruleset), false)
    }

    fn compiled(rules: Box<[Rule]>, is_plain: bool) -> Self {
        let asks_display_name = rules
            .iter()
            .flat_map(|rule| &rule.conditions)
            .any(|condition| matches!(condition, Condition::DisplayName));
        Self(Arc::new(Compiled { rules, is_plain, asks_display_name }))
    }

    /// The server's default rules, which are the same for all who changed nothing.
    pub fn plain() -> Self {
        PLAIN.clone()
    }

    /// Are these the server's default rules? Then [`PlainOutcome`] holds for this user.
    pub fn is_plain(&self) -> bool {
        self.0.is_plain
    }

    /// Does it matter what the user is called in the room? Current rules do not ask.
    pub fn asks_display_name(&self) -> bool {
        self.0.asks_display_name
    }

    /// What these rules say of `event` to `member`.
    pub fn evaluate(
        &self,
        event: &PushEvent<'_>,
        room: PushRoom<'_>,
        member: PushMember<'_>,
    ) -> &Outcome {
        if event.sender() == member.user {
            return &NOTHING;
        }
        self.first_match(event, room, Some(member))
    }

    fn first_match(
        &self,
        event: &PushEvent<'_>,
        room: PushRoom<'_>,
        member: Option<PushMember<'_>>,
    ) -> &Outcome {
        let holds = |condition: &Condition| condition.holds(event, room, member);
        let rule = self.0.rules.iter().find(|rule| rule.conditions.iter().all(holds));
        rule.map_or(&NOTHING, |rule| &rule.outcome)
    }
}

/// What the default rules say of one event, for all who have them.
#[derive(Clone, Copy, Debug)]
pub struct PlainOutcome<'a> {
    event: &'a PushEvent<'a>,
    room: PushRoom<'a>,
    unnamed: &'static Outcome,
}

impl<'a> PlainOutcome<'a> {
    /// Settles `event` for all members with default rules.
    pub fn new(event: &'a PushEvent<'a>, room: PushRoom<'a>) -> Self {
        let rules: &'static PushRules = &PLAIN;
        Self { event, room, unnamed: rules.first_match(event, room, None) }
    }

    /// What holds for everyone whom the event does not name and who did not send it.
    pub fn unnamed(&self) -> &'static Outcome {
        self.unnamed
    }

    /// What holds for `user`, who must have the default rules.
    pub fn for_user(&self, user: &UserId) -> &'static Outcome {
        if self.event.sender() == user {
            &NOTHING
        } else if self.event.names(user) {
            let rules: &'static PushRules = &PLAIN;
            let member = PushMember { user, display_name: None };
            rules.first_match(self.event, self.room, Some(member))
        } else {
            self.unnamed
        }
    }
}

/// The enabled rules, most important first.
fn compile(user: &UserId, ruleset: &Ruleset) -> Box<[Rule]> {
    let mut rules = Vec::new();
    let mut add = |enabled: bool, actions: &[Action], conditions: Vec<Condition>| {
        if enabled {
            rules.push(Rule { conditions: conditions.into(), outcome: Outcome::new(actions) });
        }
    };
    let conditions = |conditions: &[PushCondition]| {
        conditions.iter().map(|condition| Condition::new(user, condition)).collect()
    };
    for rule in &ruleset.override_ {
        add(rule.enabled, &rule.actions, conditions(&rule.conditions));
    }
    for rule in &ruleset.content {
        let condition = Condition::BodyWord(WordPattern::new(&rule.pattern));
        add(rule.enabled, &rule.actions, vec![condition]);
    }
    for rule in &ruleset.room {
        add(rule.enabled, &rule.actions, vec![Condition::is("room_id", rule.rule_id.as_str())]);
    }
    for rule in &ruleset.sender {
        add(rule.enabled, &rule.actions, vec![Condition::is("sender", rule.rule_id.as_str())]);
    }
    for rule in &ruleset.underride {
        add(rule.enabled, &rule.actions, conditions(&rule.conditions));
    }
    rules.into()
}

impl Outcome {
    fn new(actions: &[Action]) -> Self {
        let sound = actions.iter().find_map(Action::sound).map(|sound| match sound {
            SoundTweakValue::Default => "default".into(),
            other => other.as_str().into(),
        });
        Self {
            notify: actions.iter().any(Action::should_notify),
            highlight: actions.iter().any(Action::is_highlight),
            sound,
            actions: actions.into(),
        }
    }

    /// The tweaks among the actions, for push gateways.
    pub fn tweaks(&self) -> impl Iterator<Item = &Tweak> {
        self.actions.iter().filter_map(|action| match action {
            Action::SetTweak(tweak) => Some(tweak),
            _ => None,
        })
    }
}

impl Condition {
    fn new(user: &UserId, condition: &PushCondition) -> Self {
        match condition {
            PushCondition::EventMatch(data) if data.key == "content.body" => {
                Self::BodyWord(WordPattern::new(&data.pattern))
            }
            PushCondition::EventMatch(data)
                if data.key == "state_key" && data.pattern == user.as_str() =>
            {
                Self::StateKeyIsUser
            }
            PushCondition::EventMatch(data) => {
                Self::Match(Path::new(&data.key), Pattern::new(&data.pattern))
            }
            #[expect(deprecated, reason = "old clients still write such rules")]
            PushCondition::ContainsDisplayName => Self::DisplayName,
            PushCondition::RoomMemberCount(data) => Self::MemberCount(data.is),
            PushCondition::SenderNotificationPermission(data) if data.key.as_str() == "room" => {
                Self::SenderMayNotifyRoom
            }
            PushCondition::EventPropertyIs(data) => {
                Self::PropertyIs(Path::new(&data.key), data.value.clone())
            }
            PushCondition::EventPropertyContains(data)
                if data.key == r"content.m\.mentions.user_ids"
                    && data.value.as_str() == Some(user.as_str()) =>
            {
                Self::MentionsUser
            }
            PushCondition::EventPropertyContains(data) => {
                Self::PropertyContains(Path::new(&data.key), data.value.clone())
            }
            _ => Self::Never,
        }
    }

    /// The field is exactly `value`, as in rules for a room or a sender.
    fn is(key: &str, value: &str) -> Self {
        Self::PropertyIs(Path::new(key), value.into())
    }

    /// Without a member, no condition about the user holds.
    fn holds(
        &self,
        event: &PushEvent<'_>,
        room: PushRoom<'_>,
        member: Option<PushMember<'_>>,
    ) -> bool {
        match self {
            Self::Match(path, pattern) => {
                event.text(path).is_some_and(|text| pattern.matches(&text))
            }
            Self::BodyWord(pattern) => {
                event.lowercase_body().is_some_and(|body| pattern.matches(body))
            }
            Self::DisplayName => member
                .and_then(|member| member.display_name)
                .zip(event.lowercase_body())
                .is_some_and(|(name, body)| pattern::has_word(body, &name.to_lowercase())),
            Self::MemberCount(range) => pattern::count_is(*range, room.member_count),
            Self::SenderMayNotifyRoom => room.auth.is_some_and(|auth| {
                auth.levels().user_can_trigger_room_notification(event.sender())
            }),
            Self::PropertyIs(path, value) => event.is(path, value),
            Self::PropertyContains(path, value) => event.contains(path, value),
            Self::StateKeyIsUser => member.is_some_and(|member| event.has_state_key(member.user)),
            Self::MentionsUser => member.is_some_and(|member| event.mentions(member.user)),
            Self::Never => false,
        }
    }
}

#[cfg(test)]
mod tests;
