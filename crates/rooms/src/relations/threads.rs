//! The threads of a room (`GET /rooms/{roomId}/threads`).

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, OnceLock},
};

use super::{Reader, bundle::Bundle, store::LoadThreads};
use crate::{Result, Room, RoomError, Rooms, model::Event};

/// Threads read for one page at most, when few of them are wanted.
const SCANNED_THREADS_MAX: usize = 1_000;

/// Where to go on in a list of threads: at those whose last event has at most this number.
///
/// Written `t12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadToken(pub i64);

impl fmt::Display for ThreadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

impl FromStr for ThreadToken {
    type Err = RoomError;

    fn from_str(text: &str) -> Result<Self> {
        let number = text.strip_prefix('t').and_then(|number| number.parse().ok());
        number
            .map(Self)
            .ok_or_else(|| RoomError::Invalid("that is not a token of this list".to_owned()))
    }
}

/// Some threads of a room.
#[derive(Clone, Debug, Default)]
pub struct ThreadPage {
    /// Their first events, each with the text of its `m.relations`.
    pub roots: Vec<(Arc<Event>, String)>,
    /// Where to go on.
    pub next: Option<ThreadToken>,
}

impl Rooms {
    /// Threads for which `wanted` holds, those with the newest events first. It is asked whether
    /// the reader takes part in the thread.
    pub async fn threads(
        &self,
        room: &Arc<Room>,
        reader: &Reader<'_>,
        from: Option<ThreadToken>,
        limit: usize,
        wanted: impl Fn(bool) -> bool,
    ) -> Result<ThreadPage> {
        let view = self.ensure_may_look(room, reader.user_id).await?;
        let mut at = from.map_or(i64::MAX, |token| token.0);
        let mut page = ThreadPage::default();
        let mut scanned = 0;
        while scanned < SCANNED_THREADS_MAX {
            let chunk = limit.saturating_sub(page.roots.len()).clamp(1, 100);
            let chunk_size = i64::try_from(chunk).unwrap_or(i64::MAX);
            let work = LoadThreads { room: room.nid, at, limit: chunk_size };
            let rows = self.0.db.read(work).await?;
            let is_end = rows.len() < chunk;
            scanned += rows.len();
            let mut roots = Vec::with_capacity(rows.len());
            for (row, last_seq) in rows {
                at = last_seq - 1;
                roots.push(row.event(room.version)?);
            }
            let bundles = self.bundles_of(room, reader, &roots).await?;
            for (root, bundle) in roots.into_iter().zip(bundles) {
                // Without one the thread's events are gone, or the reader may not see them.
                let Some(Bundle { text, takes_part: Some(takes_part) }) = bundle else { continue };
                if view.sees(&root) && wanted(takes_part) {
                    page.roots.push((hidden_if_ignored(room, reader, root)?, text));
                }
            }
            if is_end {
                return Ok(page);
            }
            if page.roots.len() >= limit {
                break;
            }
        }
        page.next = Some(ThreadToken(at));
        Ok(page)
    }
}

/// The first event of a thread, which is shown without its content when its sender is ignored: a
/// client that puts threads together by itself would show it so.
fn hidden_if_ignored(room: &Room, reader: &Reader<'_>, root: Arc<Event>) -> Result<Arc<Event>> {
    if !reader.ignored.contains(root.sender) {
        return Ok(root);
    }
    let pdu = Arc::new(root.pdu.redacted(room.version)?);
    let event = Event::clone(&root);
    Ok(Arc::new(Event { pdu, replaced: None, redaction: None, client: OnceLock::new(), ..event }))
}
