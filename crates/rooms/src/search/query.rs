//! Asking the index.

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    fmt,
    str::FromStr,
    sync::Arc,
};

use haechi_base::RoomNid;
use haechi_matrix::{
    auth::Membership,
    relations::{SearchField, searchable},
};

use super::{
    index::field_number,
    store::{FindMatches, Match},
    terms::Wanted,
};
use crate::{
    Reader, Result, Room, RoomError, Rooms, model::Event, relations::EventsBySeq, visibility::View,
};

/// Events that one search can find. Those beyond are there, but nobody pages that far.
const MATCHES_MAX: i64 = 2_000;

/// Events looked at at once.
const CHUNK_EVENTS: usize = 50;

/// In which order events are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchOrder {
    /// The newest first.
    Recent,
    /// First those that say little else.
    Rank,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// Words; all of them must be there.
    pub text: String,
    /// Where they stand.
    pub fields: Vec<SearchField>,
    /// In which order.
    pub order: SearchOrder,
    /// Behind which event to begin.
    pub from: Option<SearchToken>,
    /// How many.
    pub limit: usize,
}

/// Behind an event that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchToken(Match);

impl fmt::Display for SearchToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Match { room, seq, at, size } = self.0;
        write!(f, "q{}_{seq}_{at}_{size}", room.0)
    }
}

impl FromStr for SearchToken {
    type Err = RoomError;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let mut numbers = text.strip_prefix('q')?.split('_').map(str::parse::<i64>);
            let mut next = || numbers.next()?.ok();
            Some(Match { room: RoomNid(next()?), seq: next()?, at: next()?, size: next()? })
        };
        parse()
            .map(Self)
            .ok_or_else(|| RoomError::Invalid("that is not a token of this search".to_owned()))
    }
}

/// An event that was found.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The room it is in.
    pub room: Arc<Room>,
    /// The event.
    pub event: Arc<Event>,
    /// How much of it is what was looked for, up to 1.
    pub rank: f64,
}

/// Some of the events that were found.
#[derive(Clone, Debug, Default)]
pub struct SearchPage {
    /// In the order asked for.
    pub hits: Vec<Hit>,
    /// About how many there are altogether.
    pub total: usize,
    /// Where to go on.
    pub next: Option<SearchToken>,
    /// The words that were looked for.
    pub highlights: Vec<String>,
}

impl SearchOrder {
    /// By which matches are sorted, as the statement sorts them.
    fn key(self, found: &Match) -> (i64, i64, RoomNid, i64) {
        let size = if self == Self::Rank { found.size } else { 0 };
        (size, -found.at, found.room, -found.seq)
    }
}

/// What is known of a room during a search.
struct Place {
    room: Arc<Room>,
    view: View,
}

impl Rooms {
    /// Events that the reader may see in which all words stand, in rooms for which `searched` holds
    /// and of which the event is `wanted`.
    pub async fn search(
        &self,
        reader: &Reader<'_>,
        query: &SearchQuery,
        searched: impl Fn(&Room) -> bool,
        wanted: impl Fn(&Event) -> bool,
    ) -> Result<SearchPage> {
        let words = Wanted::of(&query.text);
        let mut page = SearchPage { highlights: words.highlights.clone(), ..SearchPage::default() };
        if words.terms.is_empty() {
            return Ok(page);
        }
        self.await_index().await;
        let rooms = self.searched_rooms(reader, searched).await?;
        let work = FindMatches {
            rooms,
            terms: words.terms.clone(),
            fields: query.fields.iter().map(|field| field_number(*field)).collect(),
            by_rank: query.order == SearchOrder::Rank,
            limit: MATCHES_MAX,
        };
        let found = self.0.db.read(work).await?;
        page.total = found.len();
        let start = query.from.map_or(0, |SearchToken(last)| {
            let last = query.order.key(&last);
            found.partition_point(|other| query.order.key(other) <= last)
        });
        let mut places = BTreeMap::new();
        for chunk in found[start..].chunks(CHUNK_EVENTS) {
            let events = self.events_of(reader, chunk, &mut places).await?;
            for one in chunk {
                let Some((place, event)) = places
                    .get(&one.room)
                    .and_then(|place| Some((place, events.get(&(one.room, one.seq))?)))
                else {
                    continue;
                };
                let shown = place.view.sees(event)
                    && !event.is_hidden_by(reader.ignored)
                    && searchable(&event.pdu).is_some_and(|(_, text)| words.is_in(&text));
                if !shown || !wanted(event) {
                    continue;
                }
                let (room, event) = (Arc::clone(&place.room), Arc::clone(event));
                page.hits.push(Hit { room, event, rank: rank(words.terms.len(), one.size) });
                if page.hits.len() == query.limit {
                    let is_last = found.last() == Some(one);
                    page.next = (!is_last).then_some(SearchToken(*one));
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    /// The rooms in which the reader is or was.
    async fn searched_rooms(
        &self,
        reader: &Reader<'_>,
        searched: impl Fn(&Room) -> bool,
    ) -> Result<Vec<i64>> {
        let mut rooms = Vec::new();
        for standing in self.standings(reader.user).await? {
            let was_inside = matches!(
                standing.membership,
                Membership::Join | Membership::Leave | Membership::Ban
            );
            if was_inside && searched(&*self.room(standing.room).await?) {
                rooms.push(standing.room.0);
            }
        }
        Ok(rooms)
    }

    /// The events that were found, by room and number; makes sure of their rooms in `places`.
    async fn events_of(
        &self,
        reader: &Reader<'_>,
        found: &[Match],
        places: &mut BTreeMap<RoomNid, Place>,
    ) -> Result<HashMap<(RoomNid, i64), Arc<Event>>> {
        let mut by_room: BTreeMap<RoomNid, Vec<i64>> = BTreeMap::new();
        for one in found {
            by_room.entry(one.room).or_default().push(one.seq);
        }
        let mut events = HashMap::new();
        for (nid, seqs) in by_room {
            let place = match places.entry(nid) {
                Entry::Occupied(place) => place.into_mut(),
                Entry::Vacant(place) => {
                    let room = self.room(nid).await?;
                    let view = self.view(&room, reader.user_id).await?;
                    place.insert(Place { room, view })
                }
            };
            for row in self.0.db.read(EventsBySeq { room: nid, seqs }).await? {
                let event = row.event(place.room.version)?;
                events.insert((nid, event.seq), event);
            }
        }
        Ok(events)
    }
}

#[expect(clippy::cast_precision_loss, reason = "terms are counted in hundreds")]
fn rank(wanted: usize, size: i64) -> f64 {
    (wanted as f64 / size.max(1) as f64).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_they_are_written() {
        let token = SearchToken(Match { room: RoomNid(3), seq: 14, at: 1_700, size: 5 });
        assert_eq!(token.to_string().parse::<SearchToken>().unwrap(), token);
        for bad in ["", "q", "q1_2_3", "p1_2_3_4", "qx_1_1_1"] {
            assert!(bad.parse::<SearchToken>().is_err(), "{bad}");
        }
    }
}
