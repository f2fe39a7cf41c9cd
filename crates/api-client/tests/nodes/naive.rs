//! The rules of a room, written down a second time and as simply as can be.

use std::collections::HashMap;

use rand::{RngExt as _, rngs::StdRng};
use serde_json::{Value as Json, json};

/// Power levels by chance: mina stays above all.
pub(crate) fn levels(rng: &mut StdRng, users: &[&str]) -> Json {
    let mut of = serde_json::Map::new();
    of.insert("@mina:haechi.example".to_owned(), 100.into());
    for user in users {
        of.insert(format!("@{user}:haechi.example"), (25 * rng.random_range(0..4)).into());
    }
    json!({
        "users": of, "users_default": 0, "state_default": 50, "events_default": 25,
        "kick": 50, "ban": 50, "invite": 0, "redact": 50,
    })
}

/// A room as its events have left it.
#[derive(Default)]
pub(crate) struct Room {
    levels: Json,
    members: HashMap<String, String>,
    creator: String,
}

impl Room {
    fn level_of(&self, user: &str) -> i64 {
        if self.levels.is_null() {
            return if user == self.creator { 100 } else { 0 };
        }
        let default = self.levels["users_default"].as_i64().unwrap_or(0);
        self.levels["users"][user].as_i64().unwrap_or(default)
    }

    fn required(&self, key: &str, default: i64) -> i64 {
        self.levels[key].as_i64().unwrap_or(default)
    }

    fn is(&self, user: &str, membership: &str) -> bool {
        self.members.get(user).map_or("leave", String::as_str) == membership
    }

    /// Takes the next event, or says which rule forbids it.
    pub(crate) fn apply(&mut self, event: &Json) -> Result<(), &'static str> {
        let sender = event["sender"].as_str().unwrap();
        match event["type"].as_str().unwrap() {
            "m.room.create" => sender.clone_into(&mut self.creator),
            "m.room.member" => return self.member(event, sender),
            kind => self.other(event, sender, kind)?,
        }
        Ok(())
    }

    fn other(&mut self, event: &Json, sender: &str, kind: &str) -> Result<(), &'static str> {
        if !self.is(sender, "join") {
            return Err("the sender is not in the room");
        }
        let (default, key) = if event.get("state_key").is_some() {
            (if self.levels.is_null() { 0 } else { 50 }, "state_default")
        } else {
            (0, "events_default")
        };
        let specific = self.levels["events"][kind].as_i64();
        let required = specific.unwrap_or_else(|| self.required(key, default));
        let own = self.level_of(sender);
        if own < required {
            return Err("the sender has too little power");
        }
        if kind == "m.room.power_levels" {
            if !self.levels.is_null() {
                self.check_levels(&event["content"], sender, own)?;
            }
            self.levels = event["content"].clone();
        }
        Ok(())
    }

    fn check_levels(&self, new: &Json, sender: &str, own: i64) -> Result<(), &'static str> {
        let names = |levels: &Json| -> Vec<String> {
            levels["users"].as_object().map(|of| of.keys().cloned().collect()).unwrap_or_default()
        };
        for user in names(&self.levels).into_iter().chain(names(new)) {
            let (before, after) = (&self.levels["users"][&user], &new["users"][&user]);
            if before == after {
                continue;
            }
            if after.as_i64().is_some_and(|after| after > own) {
                return Err("the sender raises somebody above himself");
            }
            if user != sender && before.as_i64().is_some_and(|before| before >= own) {
                return Err("the sender changes somebody of his own power");
            }
        }
        Ok(())
    }

    fn member(&mut self, event: &Json, sender: &str) -> Result<(), &'static str> {
        let user = event["state_key"].as_str().unwrap();
        let membership = event["content"]["membership"].as_str().unwrap();
        let above = self.level_of(sender) > self.level_of(user);
        let allowed = match membership {
            "join" => sender == user && !self.is(user, "ban"),
            "leave" if sender == user => self.is(user, "join"),
            "leave" if self.is(user, "ban") => {
                self.is(sender, "join") && self.level_of(sender) >= self.required("ban", 50)
            }
            "leave" => {
                self.is(sender, "join")
                    && self.level_of(sender) >= self.required("kick", 50)
                    && above
            }
            "ban" => {
                self.is(sender, "join")
                    && self.level_of(sender) >= self.required("ban", 50)
                    && above
            }
            _ => false,
        };
        if !allowed {
            return Err("this membership is not allowed");
        }
        self.members.insert(user.to_owned(), membership.to_owned());
        Ok(())
    }
}
