//! An event as push rules see it.

use std::{borrow::Cow, cell::OnceCell};

use ruma::{UserId, push::ScalarJsonValue};

use crate::{
    json::{Json, Object},
    pdu::Pdu,
    relations::Mentions,
};

/// An event read once, for the rules of all members of its room.
#[derive(Debug)]
pub struct PushEvent<'a> {
    pdu: &'a Pdu,
    kind: String,
    content: Object<'a>,
    /// Whom it mentions, sorted.
    mentions: Vec<String>,
    /// The body in lower case, once a rule asked for it.
    lowercase_body: OnceCell<Option<String>>,
}

/// Where in an event a condition looks: keys separated by dots, a dot inside a key written `\.`
/// (spec, appendices, "Dot-separated property paths").
#[derive(Debug)]
pub struct Path(Box<[Box<str>]>);

impl Path {
    /// Reads a path.
    pub fn new(text: &str) -> Self {
        let mut keys = Vec::new();
        let mut key = String::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '\\' => match chars.next_if(|next| matches!(next, '.' | '\\')) {
                    Some(escaped) => key.push(escaped),
                    // Any other escape stands for itself.
                    None => key.push('\\'),
                },
                '.' => keys.push(std::mem::take(&mut key).into()),
                other => key.push(other),
            }
        }
        keys.push(key.into());
        Self(keys.into())
    }
}

impl<'a> PushEvent<'a> {
    /// Reads `pdu`.
    pub fn new(pdu: &'a Pdu) -> Self {
        // Stored contents were checked; one that is damaged counts as empty.
        let content = Object::parse(pdu.content()).unwrap_or_default();
        let mut mentions = Mentions::of_object(&content).unwrap_or_default().user_ids;
        mentions.sort_unstable();
        Self {
            pdu,
            kind: pdu.kind().to_string(),
            content,
            mentions,
            lowercase_body: OnceCell::new(),
        }
    }

    /// Who sent it.
    pub fn sender(&self) -> &UserId {
        self.pdu.sender()
    }

    /// Does the event name `user`, by a mention or as its state key? Only then do the default
    /// rules say anything of their own to that user.
    pub fn names(&self, user: &UserId) -> bool {
        self.has_state_key(user) || self.mentions(user)
    }

    /// Is `user` among those it mentions (spec, "User and room mentions")?
    pub fn mentions(&self, user: &UserId) -> bool {
        self.mentions.binary_search_by(|have| (**have).cmp(user.as_str())).is_ok()
    }

    /// Those it mentions, sorted; not all need be users.
    pub fn mentioned(&self) -> &[String] {
        &self.mentions
    }

    pub(super) fn has_state_key(&self, user: &UserId) -> bool {
        self.pdu.state_key() == Some(user.as_str())
    }

    /// The string at `path`.
    pub(super) fn text(&self, path: &Path) -> Option<Cow<'_, str>> {
        match &*path.0 {
            [key] => self.field(key).map(Cow::Borrowed),
            _ => self.value(path)?.as_str().map(Cow::Borrowed),
        }
    }

    /// The body in lower case, if there is one.
    pub(super) fn lowercase_body(&self) -> Option<&str> {
        self.lowercase_body
            .get_or_init(|| self.content.get_str("body").map(str::to_lowercase))
            .as_deref()
    }

    /// Is the value at `path` equal to `wanted`?
    pub(super) fn is(&self, path: &Path, wanted: &ScalarJsonValue) -> bool {
        match (&*path.0, wanted) {
            ([key], ScalarJsonValue::String(wanted)) => self.field(key) == Some(wanted),
            _ => self.value(path).is_some_and(|value| equals(value, wanted)),
        }
    }

    /// Is `wanted` in the array at `path`?
    pub(super) fn contains(&self, path: &Path, wanted: &ScalarJsonValue) -> bool {
        match self.value(path) {
            Some(Json::Array(items)) => items.iter().any(|item| equals(item, wanted)),
            _ => false,
        }
    }

    /// A string beside the content.
    fn field(&self, key: &str) -> Option<&str> {
        match key {
            "type" => Some(&self.kind),
            "sender" => Some(self.pdu.sender().as_str()),
            "room_id" => Some(self.pdu.room_id().as_str()),
            "state_key" => self.pdu.state_key(),
            "event_id" => Some(self.pdu.event_id().as_str()),
            _ => None,
        }
    }

    /// A value inside the content.
    fn value(&self, path: &Path) -> Option<&Json<'a>> {
        let (first, keys) = path.0.split_first()?;
        if **first != *"content" {
            return None;
        }
        let (first, keys) = keys.split_first()?;
        keys.iter().try_fold(self.content.get(first)?, |value, key| value.as_object()?.get(key))
    }
}

fn equals(value: &Json<'_>, wanted: &ScalarJsonValue) -> bool {
    match (value, wanted) {
        (Json::Null, ScalarJsonValue::Null) => true,
        (Json::Bool(value), ScalarJsonValue::Bool(wanted)) => value == wanted,
        (Json::Int(value), ScalarJsonValue::Integer(wanted)) => *value == i64::from(*wanted),
        (Json::Str(value), ScalarJsonValue::String(wanted)) => value == wanted,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_know_escapes() {
        let keys = |text| Path::new(text).0.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(keys("content.body"), ["content", "body"]);
        assert_eq!(keys(r"content.m\.mentions.room"), ["content", "m.mentions", "room"]);
        assert_eq!(keys(r"a\\.b\c."), [r"a\", r"b\c", ""]);
        assert_eq!(keys(""), [""]);
    }
}
