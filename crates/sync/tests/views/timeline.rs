//! A room's events as a client keeps them.

use std::collections::BTreeSet;

use haechi_testkit::Client;
use serde_json::Value as Json;

/// Type and key of state.
pub(crate) type Key = (String, String);

/// Events in order, without holes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    events: Vec<Json>,
    known: BTreeSet<String>,
    redacted: BTreeSet<String>,
    /// Who sent what was told, not asked for to fill a gap.
    pub(crate) senders: BTreeSet<String>,
    /// Was history refused that should have filled a gap?
    pub(crate) is_torn: bool,
}

/// May what is told be known already?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    May,
    MustNot,
}

pub(crate) fn text<'a>(json: &'a Json, field: &str) -> &'a str {
    json[field].as_str().unwrap_or_default()
}

pub(crate) fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn state_key(event: &Json) -> Option<Key> {
    let key = event["state_key"].as_str()?;
    Some((text(event, "type").to_owned(), key.to_owned()))
}

impl Timeline {
    /// Takes in what an answer says, after what lies between it and what was known.
    pub(crate) async fn extend(
        &mut self,
        client: &Client,
        room: &str,
        events: &[Json],
        gap: Option<&str>,
        known: Known,
    ) {
        let mut older = Vec::new();
        if let Some(from) = gap {
            match self.page_back(client, room, Some(from)).await {
                Some(found) => older = found,
                None => self.is_torn = true,
            }
        }
        for event in &older {
            self.push(event, Known::May);
        }
        for event in events {
            self.push(event, known);
            self.senders.insert(text(event, "sender").to_owned());
        }
    }

    /// All of the room as the client may see it now.
    pub(crate) async fn whole(client: &Client, room: &str) -> Option<Self> {
        let mut timeline = Self::default();
        for event in timeline.page_back(client, room, None).await? {
            timeline.push(&event, Known::MustNot);
        }
        Some(timeline)
    }

    /// What lies before `from` up to what is known, oldest first; `None` when that is refused.
    async fn page_back(
        &self,
        client: &Client,
        room: &str,
        from: Option<&str>,
    ) -> Option<Vec<Json>> {
        let mut older: Vec<Json> = Vec::new();
        let mut from = from.map(str::to_owned);
        loop {
            let start = from.map_or_else(String::new, |from| format!("&from={from}"));
            let path = format!("/v3/rooms/{room}/messages?dir=b&limit=7{start}");
            let (status, answer) = client.get(&path).await;
            if status == 403 {
                return None;
            }
            assert_eq!(status, 200, "{path}: {answer}");
            for event in list(&answer["chunk"]) {
                if self.known.contains(text(event, "event_id")) {
                    older.reverse();
                    return Some(older);
                }
                older.push(event.clone());
            }
            from = answer["end"].as_str().map(str::to_owned);
            if from.is_none() {
                older.reverse();
                return Some(older);
            }
        }
    }

    fn push(&mut self, event: &Json, known: Known) {
        let id = text(event, "event_id").to_owned();
        if event["unsigned"].get("redacted_because").is_some() {
            self.redacted.insert(id.clone());
        }
        if text(event, "type") == "m.room.redaction" {
            let target = event["redacts"].as_str().or_else(|| event["content"]["redacts"].as_str());
            self.redacted.extend(target.map(str::to_owned));
        }
        if self.known.insert(id.clone()) {
            self.events.push(event.clone());
        } else {
            assert_eq!(known, Known::May, "told twice: {id}");
        }
    }

    /// Fails unless both show the same. On the redaction of those in `loose` they may differ.
    pub(crate) fn check(&self, other: &Self, loose: &BTreeSet<String>, at: &str) {
        assert!(!self.is_torn, "no history of {at}");
        let ours: Vec<String> =
            self.events.iter().map(|event| self.shown_event(event, loose)).collect();
        let theirs: Vec<String> =
            other.events.iter().map(|event| other.shown_event(event, loose)).collect();
        let (ours, theirs) = (ours.join("\n"), theirs.join("\n"));
        assert!(ours == theirs, "timeline of {at}:\n{ours}\n\nis not\n\n{theirs}");
    }

    /// What only one of both shows as redacted.
    pub(crate) fn differently_redacted(&self, other: &Self) -> BTreeSet<String> {
        self.redacted.symmetric_difference(&other.redacted).cloned().collect()
    }

    /// One event without what is told to one client only.
    pub(crate) fn shown_event(&self, event: &Json, loose: &BTreeSet<String>) -> String {
        let id = text(event, "event_id");
        let is_empty = self.redacted.contains(id) || loose.contains(id);
        let what = if is_empty { "redacted".into() } else { event["content"].to_string() };
        let (kind, sender) = (text(event, "type"), text(event, "sender"));
        format!("{id} {kind} {} by {sender}: {what}", event["state_key"])
    }
}
