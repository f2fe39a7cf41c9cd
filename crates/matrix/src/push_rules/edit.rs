//! Changing a user's push rules (spec, "Push Rules: API").

use haechi_base::limits::{PATTERN_BYTES_MAX, PUSH_RULES_BYTES_MAX, PUSH_RULES_MAX};
use ruma::push::{
    Action, AnyPushRuleRef, InsertPushRuleError, NewPushRule, PushCondition, RemovePushRuleError,
    RuleKind, Ruleset,
};

/// Why a change of push rules is refused. The rules then stay as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is no such rule (`M_NOT_FOUND`).
    #[error("there is no such push rule")]
    NotFound,
    /// The rule named by `before` or `after` does not exist (`M_NOT_FOUND`).
    #[error("the rule named by `before` or `after` does not exist")]
    NeighbourNotFound,
    /// The rule is one of the server's own (`M_INVALID_PARAM`).
    #[error("rules of the server, whose ids start with a dot, cannot be made, moved or removed")]
    ServerDefault,
    /// The id holds a slash or backslash (`M_INVALID_PARAM`).
    #[error("the id of a push rule must not hold a slash or backslash")]
    InvalidId,
    /// `before` names a rule above the one `after` names (`M_INVALID_PARAM`).
    #[error("`before` names a more important rule than `after`")]
    NoRoomBetween,
    /// A pattern is empty or longer than [`PATTERN_BYTES_MAX`] (`M_INVALID_PARAM`).
    #[error("a pattern of a push rule must be 1 to 512 bytes long")]
    Pattern,
    /// There would be more rules than [`PUSH_RULES_MAX`], or they would be larger than
    /// [`PUSH_RULES_BYTES_MAX`] (`M_LIMIT_EXCEEDED`).
    #[error("too many push rules")]
    TooMany,
}

/// Adds `rule`, or replaces the one with its id, which stays enabled or not. It comes next to
/// the rule that `after` or `before` names, else first of those the user made, or where it was.
pub fn insert(
    ruleset: &mut Ruleset,
    rule: NewPushRule,
    after: Option<&str>,
    before: Option<&str>,
) -> Result<(), EditError> {
    check_patterns(&rule)?;
    // Ruma's insert changes the rules before it finds them wrong, so a copy is changed.
    let mut changed = ruleset.clone();
    let (kind, id) = (rule.kind(), rule.rule_id().to_owned());
    if [after, before].contains(&Some(&*id)) {
        return Err(EditError::NeighbourNotFound);
    }
    let was_enabled = changed.get(kind.clone(), &id).map(AnyPushRuleRef::enabled);
    if was_enabled.is_some() && (after.is_some() || before.is_some()) {
        // Ruma reckons the new place as if the rule stood last.
        remove(&mut changed, kind.clone(), &id)?;
    }
    changed.insert(rule, after, before).map_err(|error| match error {
        InsertPushRuleError::UnknownRuleId => EditError::NeighbourNotFound,
        InsertPushRuleError::BeforeHigherThanAfter => EditError::NoRoomBetween,
        InsertPushRuleError::ServerDefaultRuleId
        | InsertPushRuleError::RelativeToServerDefaultRule => EditError::ServerDefault,
        _ => EditError::InvalidId,
    })?;
    if let Some(enabled) = was_enabled {
        set_enabled(&mut changed, kind, &id, enabled)?;
    }
    commit(ruleset, changed)
}

/// Removes a rule that the user made.
pub fn remove(ruleset: &mut Ruleset, kind: RuleKind, id: &str) -> Result<(), EditError> {
    ruleset.remove(kind, id).map_err(|error| match error {
        RemovePushRuleError::ServerDefault => EditError::ServerDefault,
        _ => EditError::NotFound,
    })
}

/// Switches a rule on or off.
pub fn set_enabled(
    ruleset: &mut Ruleset,
    kind: RuleKind,
    id: &str,
    enabled: bool,
) -> Result<(), EditError> {
    ruleset.set_enabled(kind, id, enabled).map_err(|_| EditError::NotFound)
}

/// Changes what a rule does.
pub fn set_actions(
    ruleset: &mut Ruleset,
    kind: RuleKind,
    id: &str,
    actions: Vec<Action>,
) -> Result<(), EditError> {
    let mut changed = ruleset.clone();
    changed.set_actions(kind, id, actions).map_err(|_| EditError::NotFound)?;
    commit(ruleset, changed)
}

/// Takes the changed rules over if they are not too many.
fn commit(ruleset: &mut Ruleset, changed: Ruleset) -> Result<(), EditError> {
    let count = changed.iter().filter(|rule| !rule.is_server_default()).count();
    let bytes = serde_json::to_vec(&changed).map_or(usize::MAX, |json| json.len());
    if count > PUSH_RULES_MAX || bytes > PUSH_RULES_BYTES_MAX {
        return Err(EditError::TooMany);
    }
    *ruleset = changed;
    Ok(())
}

fn check_patterns(rule: &NewPushRule) -> Result<(), EditError> {
    let fits = |pattern: &str| pattern.len() <= PATTERN_BYTES_MAX;
    let all_fit = |conditions: &[PushCondition]| {
        conditions.iter().all(|condition| match condition {
            PushCondition::EventMatch(data) => fits(&data.pattern),
            _ => true,
        })
    };
    let valid = match rule {
        NewPushRule::Content(rule) => !rule.pattern.is_empty() && fits(&rule.pattern),
        NewPushRule::Override(rule) | NewPushRule::Underride(rule) => all_fit(&rule.conditions),
        _ => true,
    };
    if valid { Ok(()) } else { Err(EditError::Pattern) }
}

#[cfg(test)]
mod tests {
    use ruma::{
        push::{NewConditionalPushRule, NewPatternedPushRule},
        user_id,
    };

    use super::*;

    fn keyword(id: &str, pattern: &str) -> NewPushRule {
        let rule = NewPatternedPushRule::new(id.to_owned(), pattern.to_owned(), vec![]);
        NewPushRule::Content(rule)
    }

    fn ids(ruleset: &Ruleset) -> String {
        ruleset.content.iter().map(|rule| rule.rule_id.as_str()).collect::<Vec<_>>().join(" ")
    }

    fn ruleset() -> Ruleset {
        Ruleset::server_default(user_id!("@u:d"))
    }

    #[test]
    fn rules_come_where_they_are_put() {
        let mut rules = ruleset();
        for (id, after, before, expected) in [
            ("a", None, None, "a"),
            ("b", None, None, "b a"),
            ("c", Some("b"), None, "b c a"),
            ("d", None, Some("a"), "b c d a"),
            ("b", None, None, "b c d a"),
            ("b", Some("a"), None, "c d a b"),
            ("a", None, Some("c"), "a c d b"),
            ("a", Some("c"), Some("d"), "c a d b"),
        ] {
            insert(&mut rules, keyword(id, "x"), after, before).unwrap();
            assert_eq!(ids(&rules), expected, "{id} after {after:?} before {before:?}");
        }
    }

    #[test]
    fn own_override_rules_come_after_the_master_rule() {
        let mut rules = ruleset();
        let rule = NewConditionalPushRule::new("mine".to_owned(), vec![], vec![]);
        insert(&mut rules, NewPushRule::Override(rule), None, None).unwrap();
        let first: Vec<&str> =
            rules.override_.iter().take(2).map(|rule| rule.rule_id.as_str()).collect();
        assert_eq!(first, [".m.rule.master", "mine"]);
    }

    #[test]
    fn refused_changes_change_nothing() {
        let mut rules = ruleset();
        insert(&mut rules, keyword("a", "x"), None, None).unwrap();
        insert(&mut rules, keyword("b", "x"), None, None).unwrap();
        let long = "x".repeat(PATTERN_BYTES_MAX + 1);
        for (rule, after, before, error) in [
            (keyword("c", "x"), Some("zz"), None, EditError::NeighbourNotFound),
            (keyword("a", "x"), Some("a"), None, EditError::NeighbourNotFound),
            (keyword("c", "x"), Some("a"), Some("b"), EditError::NoRoomBetween),
            (keyword(".c", "x"), None, None, EditError::ServerDefault),
            (keyword("c", "x"), None, Some(".m.rule.message"), EditError::ServerDefault),
            (keyword("c/d", "x"), None, None, EditError::InvalidId),
            (keyword("c", ""), None, None, EditError::Pattern),
            (keyword("c", &long), None, None, EditError::Pattern),
        ] {
            assert_eq!(insert(&mut rules, rule, after, before), Err(error));
            assert_eq!(ids(&rules), "b a");
        }
    }

    #[test]
    fn replaced_rules_stay_switched_off() {
        let mut rules = ruleset();
        insert(&mut rules, keyword("a", "x"), None, None).unwrap();
        insert(&mut rules, keyword("b", "x"), None, None).unwrap();
        set_enabled(&mut rules, RuleKind::Content, "a", false).unwrap();
        insert(&mut rules, keyword("a", "y"), None, Some("b")).unwrap();
        let rule = rules.content.get("a").unwrap();
        assert!(!rule.enabled && rule.pattern == "y");
        assert_eq!(ids(&rules), "a b");
    }

    #[test]
    fn only_what_is_there_is_changed() {
        let mut rules = ruleset();
        let missing = set_enabled(&mut rules, RuleKind::Content, "a", true);
        assert_eq!(missing, Err(EditError::NotFound));
        let missing = set_actions(&mut rules, RuleKind::Room, "!r:d", vec![]);
        assert_eq!(missing, Err(EditError::NotFound));
        assert_eq!(remove(&mut rules, RuleKind::Content, "a"), Err(EditError::NotFound));
        let default = remove(&mut rules, RuleKind::Override, ".m.rule.master");
        assert_eq!(default, Err(EditError::ServerDefault));
        let actions = vec![Action::Notify];
        set_actions(&mut rules, RuleKind::Override, ".m.rule.reaction", actions).unwrap();
        assert_eq!(rules.override_.get(".m.rule.reaction").unwrap().actions.len(), 1);
    }

    #[test]
    fn rules_are_limited() {
        let mut rules = ruleset();
        let pattern = "x".repeat(PATTERN_BYTES_MAX);
        let refused = (0..PUSH_RULES_MAX).find_map(|id| {
            insert(&mut rules, keyword(&id.to_string(), &pattern), None, None).err()
        });
        assert_eq!(refused, Some(EditError::TooMany));
    }
}
