//! Pages of what refers to an event (`GET /rooms/{roomId}/relations/{eventId}`).

use std::sync::Arc;

use haechi_matrix::relations::Relates;
use ruma::{EventId, events::TimelineEventType};

use super::{
    Reader,
    store::{How, RelatedPage},
};
use crate::{
    Result, Room, Rooms,
    read::{Direction, Page},
};

/// How many relations may lie between an event and one that refers to it over others. The spec
/// recommends at least three.
const DEPTH_MAX: i64 = 3;

/// Events read for one page at most, when few of them are wanted.
const SCANNED_EVENTS_MAX: usize = 2_000;

/// Which of the events that refer to another are wanted, and from where on.
#[derive(Clone, Debug)]
pub struct Related {
    /// Only relations of this type.
    pub rel_type: Option<Box<str>>,
    /// Only events of this type.
    pub kind: Option<TimelineEventType>,
    /// Also those that refer to it over others?
    pub recurse: bool,
    /// Which way.
    pub direction: Direction,
    /// Behind which event to begin; at the end or the beginning of the room without.
    pub from: Option<i64>,
    /// Behind which event to stop.
    pub to: Option<i64>,
    /// How many.
    pub limit: usize,
}

impl Related {
    /// How deep relations are followed.
    pub fn depth_max(&self) -> i64 {
        if self.recurse { DEPTH_MAX } else { 1 }
    }

    fn how(&self) -> How {
        match &self.rel_type {
            Some(rel_type) if !self.recurse => How::By(rel_type.clone()),
            _ => How::Over(self.depth_max()),
        }
    }

    /// Has `seq` the place where to stop behind it?
    fn is_past_end(&self, seq: i64) -> bool {
        match (self.to, self.direction) {
            (None, _) => false,
            (Some(to), Direction::Backward) => seq <= to,
            (Some(to), Direction::Forward) => seq > to,
        }
    }

    fn wants(&self, pdu: &haechi_matrix::pdu::Pdu) -> bool {
        self.kind.as_ref().is_none_or(|kind| pdu.kind() == kind)
            && self.rel_type.as_ref().is_none_or(|wanted| {
                let relates = Relates::of_content(pdu.content());
                relates.relation.is_some_and(|relation| relation.rel_type == *wanted)
            })
    }
}

impl Rooms {
    /// A page of the events that refer to `parent`, which the reader must be able to see.
    pub async fn related(
        &self,
        room: &Arc<Room>,
        reader: &Reader<'_>,
        parent: &EventId,
        wanted: &Related,
    ) -> Result<Page> {
        self.event(room, reader.user_id, parent).await?;
        let view = self.view(room, reader.user_id).await?;
        let mut at = wanted.from.unwrap_or(match wanted.direction {
            Direction::Backward => i64::MAX,
            Direction::Forward => 0,
        });
        let mut page = Page::default();
        let mut scanned = 0;
        while page.events.len() < wanted.limit && scanned < SCANNED_EVENTS_MAX {
            let chunk = (wanted.limit - page.events.len()).clamp(1, 500);
            let work = RelatedPage {
                room: room.nid,
                parent: parent.to_owned(),
                how: wanted.how(),
                direction: wanted.direction,
                at,
                limit: i64::try_from(chunk).unwrap_or(i64::MAX),
            };
            let rows = self.0.db.read(work).await?;
            let is_end = rows.len() < chunk;
            scanned += rows.len();
            for row in rows {
                let event = row.event(room.version)?;
                if wanted.is_past_end(event.seq) {
                    return Ok(page);
                }
                at = match wanted.direction {
                    Direction::Backward => event.seq - 1,
                    Direction::Forward => event.seq,
                };
                let shown = !event.is_hidden_by(reader.ignored);
                if shown && wanted.wants(&event.pdu) && view.sees(&event) {
                    page.events.push(event);
                }
            }
            if is_end {
                return Ok(page);
            }
        }
        page.next = Some(at);
        Ok(page)
    }
}
