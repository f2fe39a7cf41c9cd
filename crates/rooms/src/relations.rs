//! What an event refers to, read from its content.

use ruma::OwnedEventId;
use serde::Deserialize;

use crate::store::Relation;

#[derive(Deserialize, Default)]
struct Content {
    #[serde(rename = "m.relates_to", default)]
    relates_to: Option<RelatesTo>,
}

#[derive(Deserialize)]
struct RelatesTo {
    rel_type: Option<Box<str>>,
    event_id: Option<OwnedEventId>,
    key: Option<Box<str>>,
}

/// The relation in `content`, if it has a well-formed one.
pub(crate) fn of_content(content: &str) -> Option<Relation> {
    if !content.contains("m.relates_to") {
        return None;
    }
    let relates_to = serde_json::from_str::<Content>(content).ok()?.relates_to?;
    Some(Relation {
        parent: relates_to.event_id?,
        rel_type: relates_to.rel_type?,
        key: relates_to.key,
    })
}
