//! The push rules of one user, as its client reads and changes them.
//!
//! They are the account data `m.push_rules`, so that they sync like any other. Whoever never changed
//! them has no such entry; the default rules are put in where they are shown.

use std::sync::Arc;

use haechi_base::UserNid;
use haechi_matrix::push_rules::{EditError, insert, remove, set_actions, set_enabled};
use parking_lot::Mutex;
use ruma::{
    UserId,
    push::{Action, AnyPushRule, NewPushRule, RuleKind, Ruleset},
};
use serde_json::{
    Value as Json, json,
    value::{RawValue, to_raw_value},
};

use crate::{
    Push, Refusal, Result,
    book::{PUSH_RULES, ruleset},
};

/// The content of the account data `m.push_rules` as clients are to see it, made from what is stored,
/// if anything is: with the server's default rules as they are now.
///
/// For `/sync`, which must show it to everybody, and for `GET …/account_data/m.push_rules`.
pub fn push_rules_content(user: &UserId, stored: Option<&RawValue>) -> Box<RawValue> {
    let content = json!({ "global": ruleset(user, stored) });
    to_raw_value(&content).expect("rules of strings and numbers are JSON")
}

impl Push {
    /// The user's push rules.
    pub async fn ruleset(&self, user: UserNid, user_id: &UserId) -> Result<Ruleset> {
        let accounts = self.0.book.accounts();
        let stored = accounts.account_data(user, None, PUSH_RULES).await?;
        Ok(ruleset(user_id, stored.as_deref()))
    }

    /// One of the user's push rules.
    pub async fn rule(
        &self,
        user: UserNid,
        user_id: &UserId,
        kind: RuleKind,
        rule_id: &str,
    ) -> Result<AnyPushRule> {
        let ruleset = self.ruleset(user, user_id).await?;
        let rule = ruleset.get(kind, rule_id).ok_or(Refusal::NoSuchRule)?;
        Ok(rule.to_owned())
    }

    /// Adds a rule, or replaces the one with its id, next to the rule that `after` or `before` names.
    pub async fn set_rule(
        &self,
        user: UserNid,
        user_id: &UserId,
        rule: NewPushRule,
        after: Option<String>,
        before: Option<String>,
    ) -> Result<()> {
        self.edit(user, user_id, move |ruleset| {
            insert(ruleset, rule.clone(), after.as_deref(), before.as_deref())
        })
        .await
    }

    /// Deletes a rule that the user made.
    pub async fn delete_rule(
        &self,
        user: UserNid,
        user_id: &UserId,
        kind: RuleKind,
        rule_id: String,
    ) -> Result<()> {
        self.edit(user, user_id, move |ruleset| remove(ruleset, kind.clone(), &rule_id)).await
    }

    /// Switches a rule on or off.
    pub async fn set_rule_enabled(
        &self,
        user: UserNid,
        user_id: &UserId,
        kind: RuleKind,
        rule_id: String,
        enabled: bool,
    ) -> Result<()> {
        self.edit(user, user_id, move |ruleset| {
            set_enabled(ruleset, kind.clone(), &rule_id, enabled)
        })
        .await
    }

    /// Changes what a rule does.
    pub async fn set_rule_actions(
        &self,
        user: UserNid,
        user_id: &UserId,
        kind: RuleKind,
        rule_id: String,
        actions: Vec<Action>,
    ) -> Result<()> {
        self.edit(user, user_id, move |ruleset| {
            set_actions(ruleset, kind.clone(), &rule_id, actions.clone())
        })
        .await
    }

    async fn edit<F>(&self, user: UserNid, user_id: &UserId, change: F) -> Result<()>
    where
        F: Fn(&mut Ruleset) -> Result<(), EditError> + Send + Sync + 'static,
    {
        let outcome = Arc::new(Mutex::new(Ok(())));
        let (id, refused) = (user_id.to_owned(), Arc::clone(&outcome));
        let edit = move |before: Option<Json>| {
            let stored = before.and_then(|before| to_raw_value(&before).ok());
            let mut ruleset = ruleset(&id, stored.as_deref());
            let changed = change(&mut ruleset);
            *refused.lock() = changed;
            changed.is_ok().then(|| json!({ "global": ruleset }))
        };
        self.0.book.accounts().edit_account_data(user, None, PUSH_RULES, edit).await?;
        // Heard again from the feed; here, so that who was answered finds it done.
        self.0.book.forget(user);
        let outcome = *outcome.lock();
        Ok(outcome?)
    }
}
