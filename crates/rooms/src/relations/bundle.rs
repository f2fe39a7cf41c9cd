//! Bundled aggregations: what is shown with an event of that which refers to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use haechi_matrix::{
    client_event::UserUnsigned,
    json::write_str,
    relations::{REFERENCE, REPLACE, Relates, THREAD, replaces},
};
use ruma::OwnedEventId;

use super::{
    Reader,
    store::{Bundles, LoadBundles, Referred},
};
use crate::{Result, Room, Rooms, model::Event, visibility::View};

/// What is shown with one event of that which refers to it.
#[derive(Clone, Debug)]
pub(super) struct Bundle {
    /// The JSON object for `m.relations`.
    pub(super) text: String,
    /// Does the reader take part in the thread that begins with the event, if one does?
    pub(super) takes_part: Option<bool>,
}

impl Rooms {
    /// For each of `events`, which `reader` may see, the text of its `m.relations`, if anything
    /// refers to it that is bundled: its latest edit, its thread, references to it.
    ///
    /// One statement for all of them, none where memory knows that nothing refers to them.
    pub async fn bundles(
        &self,
        room: &Arc<Room>,
        reader: &Reader<'_>,
        events: &[Arc<Event>],
    ) -> Result<Vec<Option<String>>> {
        let bundles = self.bundles_of(room, reader, events).await?;
        Ok(bundles.into_iter().map(|bundle| bundle.map(|bundle| bundle.text)).collect())
    }

    /// As [`Self::bundles`], saying also of threads whether the reader takes part.
    pub(super) async fn bundles_of(
        &self,
        room: &Arc<Room>,
        reader: &Reader<'_>,
        events: &[Arc<Event>],
    ) -> Result<Vec<Option<Bundle>>> {
        let nothing = || events.iter().map(|_| None).collect();
        let parents = room.perhaps_referred(events);
        if parents.is_empty() {
            return Ok(nothing());
        }
        let mut view = None;
        let mut until = i64::MAX;
        if !room.live.read().joined.contains(&reader.user) {
            let of_stranger = self.view(room, reader.user_id).await?;
            until = of_stranger.state_limit().unwrap_or(i64::MAX);
            view = Some(of_stranger);
        }
        let work = LoadBundles {
            room: room.nid,
            parents,
            reader: reader.user,
            ignored: reader.ignored.iter().map(|user| user.0).collect(),
            until,
        };
        let bundles = self.0.db.read(work).await?;
        if bundles.referred.is_empty() {
            return Ok(nothing());
        }
        let view = match view {
            Some(view) => view,
            None => self.view(room, reader.user_id).await?,
        };
        let found = Found::new(room, reader, &view, bundles)?;
        Ok(events.iter().map(|event| found.bundle(event)).collect())
    }
}

impl Room {
    /// Those of `events` to which something may refer. What refers to an event comes after it, so
    /// where memory holds all that came after, it knows.
    fn perhaps_referred(&self, events: &[Arc<Event>]) -> Vec<OwnedEventId> {
        let id = |event: &Arc<Event>| event.pdu.event_id().to_owned();
        let Some(first) = events.iter().map(|event| event.seq).min() else { return Vec::new() };
        let recent: Vec<Arc<Event>> = {
            let live = self.live.read();
            let reaches_back = live.recent.front().is_some_and(|oldest| oldest.seq <= first);
            if live.stale || !reaches_back {
                return events.iter().map(id).collect();
            }
            live.recent.iter().filter(|event| event.seq > first).map(Arc::clone).collect()
        };
        let referred: BTreeSet<OwnedEventId> = recent
            .iter()
            .filter_map(|event| Relates::of_content(event.pdu.content()).relation)
            .map(|relation| relation.event_id)
            .collect();
        events.iter().map(id).filter(|id| referred.contains(id)).collect()
    }
}

/// What refers to some events, ready to be shown to one reader.
struct Found<'a> {
    room: &'a Room,
    reader: &'a Reader<'a>,
    threads: BTreeMap<String, (Referred, Arc<Event>)>,
    edits: BTreeMap<OwnedEventId, Arc<Event>>,
    references: BTreeMap<String, Vec<String>>,
}

impl<'a> Found<'a> {
    fn new(room: &'a Room, reader: &'a Reader<'a>, view: &View, bundles: Bundles) -> Result<Self> {
        let mut latest = BTreeMap::new();
        for row in bundles.latest {
            let event = row.event(room.version)?;
            if view.sees(&event) {
                latest.insert(event.seq, event);
            }
        }
        let mut edits = BTreeMap::new();
        for row in bundles.edits {
            let event = row.event(room.version)?;
            let target = Relates::of_content(event.pdu.content()).target(REPLACE).map(Into::into);
            if let Some(target) = target
                && view.sees(&event)
            {
                edits.insert(target, event);
            }
        }
        let mut references: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (parent, child) in bundles.references {
            references.entry(parent).or_default().push(child);
        }
        let threads = bundles
            .referred
            .into_iter()
            .filter(|referred| referred.rel_type == THREAD)
            .filter_map(|thread| {
                let event = latest.get(&thread.last_seq).map(Arc::clone)?;
                Some((thread.parent.clone(), (thread, event)))
            })
            .collect();
        Ok(Self { room, reader, threads, edits, references })
    }

    fn edit_of(&self, event: &Event) -> Option<&Event> {
        let edit = self.edits.get(event.pdu.event_id())?;
        let counts = event.redacted_by.is_none() && replaces(&edit.pdu, &event.pdu);
        counts.then_some(&**edit)
    }

    fn bundle(&self, event: &Event) -> Option<Bundle> {
        let mut takes_part = None;
        let mut out = String::new();
        if let Some(edit) = self.edit_of(event) {
            begin(&mut out, REPLACE);
            self.write(&mut out, edit, None);
        }
        if let Some(children) = self.references.get(event.pdu.event_id().as_str()) {
            begin(&mut out, REFERENCE);
            write_references(&mut out, children);
        }
        if let Some((thread, latest)) = self.threads.get(event.pdu.event_id().as_str()) {
            begin(&mut out, THREAD);
            let joins_in = thread.own > 0 || event.sender == self.reader.user;
            takes_part = Some(joins_in);
            self.write_thread(&mut out, thread, joins_in, latest);
        }
        if out.is_empty() {
            return None;
        }
        out.push('}');
        Some(Bundle { text: out, takes_part })
    }

    fn write_thread(&self, out: &mut String, thread: &Referred, takes_part: bool, latest: &Event) {
        let head = format!(
            "{{\"count\":{},\"current_user_participated\":{takes_part},\"latest_event\":",
            thread.count
        );
        out.push_str(&head);
        let edit = self.edit_of(latest).map(|edit| {
            let mut inner = String::new();
            begin(&mut inner, REPLACE);
            self.write(&mut inner, edit, None);
            inner.push('}');
            inner
        });
        self.write(out, latest, edit.as_deref());
        out.push('}');
    }

    fn write(&self, out: &mut String, event: &Event, relations: Option<&str>) {
        let unsigned = UserUnsigned { relations, ..UserUnsigned::MEMBER };
        event.write(out, &self.room.room_id, &unsigned);
    }
}

/// Begins an entry of `m.relations`.
fn begin(out: &mut String, rel_type: &str) {
    out.push(if out.is_empty() { '{' } else { ',' });
    write_str(out, rel_type);
    out.push(':');
}

fn write_references(out: &mut String, children: &[String]) {
    out.push_str("{\"chunk\":[");
    for (index, child) in children.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str("{\"event_id\":");
        write_str(out, child);
        out.push('}');
    }
    out.push_str("]}");
}
