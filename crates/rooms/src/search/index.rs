//! Keeping the index up with the events.

use std::time::Duration;

use haechi_base::{Positions, RoomNid, StreamPos};
use haechi_matrix::{
    RoomVersion,
    pdu::Pdu,
    relations::{SearchField, searchable},
};
use serde::Deserialize;
use tokio::sync::{Notify, watch};

use super::{
    store::{Doc, LoadNew, LoadProgress, NewRow, WriteIndex},
    terms::terms,
};
use crate::{Result, Rooms};

/// How long events may wait for others before they are taken into the index.
const TICK: Duration = Duration::from_millis(200);

/// Places by which the lanes move in one tick when the server has better things to do.
const BUSY_PLACES: i64 = 200;

/// Ticks of which a busy server gives one to the index.
const BUSY_TICKS: u32 = 5;

/// Events written into the index at once: the writer must stay free.
const BATCH_EVENTS: i64 = 50;

/// Places of a lane looked at in one read.
const BATCH_PLACES: i64 = 20_000;

/// How long to wait when the store fails.
const PAUSE: Duration = Duration::from_secs(5);

/// Longest a search waits for the index to catch up with what was there before it.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);

/// How far the index is, and how to hurry it.
#[derive(Debug)]
pub(crate) struct Progress {
    handled: watch::Sender<Positions>,
    wanted: Notify,
}

impl Default for Progress {
    fn default() -> Self {
        Self { handled: watch::Sender::new(Positions::default()), wanted: Notify::new() }
    }
}

impl Rooms {
    /// Keeps the full-text index up with the events until `closing` turns true. Once on each node;
    /// nodes do not disturb one another.
    pub async fn keep_search_index(self, mut closing: watch::Receiver<bool>) {
        let kept = async {
            loop {
                if let Err(error) = self.follow().await {
                    tracing::warn!(%error, "the search index waits");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        tokio::select! {
            () = kept => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
    }

    /// Waits until the index has all that is there now, but not for long.
    pub(super) async fn await_index(&self) {
        let now = self.0.db.horizon().borrow().clone();
        let mut handled = self.0.search.handled.subscribe();
        self.0.search.wanted.notify_one();
        let reached = handled.wait_for(|handled| handled.reaches(&now));
        // What is missing then is found by a later search.
        let _ = tokio::time::timeout(CATCH_UP_MAX, reached).await;
    }

    async fn follow(&self) -> Result<()> {
        let mut horizon = self.0.db.horizon();
        let mut handled = self.0.db.read(LoadProgress).await?;
        let mut before = handled.clone();
        let mut busy_ticks = 0;
        self.0.search.handled.send_replace(handled.clone());
        loop {
            if handled.reaches(&horizon.borrow_and_update()) {
                let gone = horizon.changed().await.is_err();
                if gone {
                    // The store is closing; whoever called us ends us.
                    std::future::pending::<()>().await;
                }
            }
            let hurried = tokio::time::timeout(TICK, self.0.search.wanted.notified()).await.is_ok();
            let now = horizon.borrow().clone();
            let is_busy = places(&now) - places(&before) > BUSY_PLACES;
            before.clone_from(&now);
            if is_busy && !hurried && busy_ticks < BUSY_TICKS {
                busy_ticks += 1;
                continue;
            }
            busy_ticks = 0;
            while self.take_in(&mut handled, &now).await? {
                self.0.search.handled.send_replace(handled.clone());
                let moved = places(&horizon.borrow()) - places(&before);
                if is_busy || moved > BUSY_PLACES {
                    break;
                }
            }
        }
    }

    /// Takes one batch into the index; `false` when there is nothing left.
    async fn take_in(&self, handled: &mut Positions, until: &Positions) -> Result<bool> {
        let Some((from, end)) = handled.ranges_to(until).first().copied() else {
            return Ok(false);
        };
        let near = StreamPos::new(from.lane(), from.offset() + BATCH_PLACES);
        let mut to = end.min(near);
        let rows = self.0.db.read(LoadNew { after: from, to, limit: BATCH_EVENTS }).await?;
        if rows.len() >= usize::try_from(BATCH_EVENTS).unwrap_or(usize::MAX)
            && let Some(last) = rows.last()
        {
            to = last.pos;
        }
        let redacted = rows.iter().filter_map(redaction).collect();
        let docs = rows.into_iter().filter_map(doc).collect();
        if self.0.db.write(WriteIndex { from, to, docs, redacted }).await? {
            handled.set(to.lane(), to.offset());
        } else {
            // Another node was here.
            *handled = self.0.db.read(LoadProgress).await?;
        }
        Ok(true)
    }
}

fn places(positions: &Positions) -> i64 {
    positions.iter().map(|(_, offset)| offset).sum()
}

/// As the index writes it.
pub(super) fn field_number(field: SearchField) -> i64 {
    match field {
        SearchField::Body => 0,
        SearchField::Name => 1,
        SearchField::Topic => 2,
    }
}

fn doc(row: NewRow) -> Option<Doc> {
    if row.kind == "m.room.redaction" {
        return None;
    }
    let event_id = row.event_id.try_into().ok()?;
    let json = String::from_utf8(row.json).ok()?;
    // What is read of it is the same in all versions.
    let pdu = Pdu::parse(RoomVersion::V11, event_id, json).ok()?;
    let (field, text) = searchable(&pdu)?;
    let terms: Vec<String> = terms(&text).into_iter().collect();
    let field = field_number(field);
    (!terms.is_empty()).then_some(Doc { room: row.room, seq: row.seq, field, at: row.at, terms })
}

/// What an event redacts, wherever its room version puts that.
fn redaction(row: &NewRow) -> Option<(RoomNid, String)> {
    #[derive(Deserialize)]
    struct Redaction {
        redacts: Option<String>,
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        redacts: Option<String>,
    }
    if row.kind != "m.room.redaction" {
        return None;
    }
    let Redaction { redacts, content } = serde_json::from_slice(&row.json).ok()?;
    Some((row.room, redacts.or(content.redacts)?))
}
