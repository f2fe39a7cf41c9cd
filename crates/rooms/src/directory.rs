//! The public directory: rooms that want to be found (client-server API, "Published room
//! directory").

use std::{cmp::Reverse, collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use haechi_base::RoomNid;
use haechi_store::{Result as StoreResult, Tx, Value, Work, sql};
use ruma::room::RoomSummary;
use serde_json::Value as Json;

use crate::{
    Result, Room, RoomError, Rooms,
    model::{Actor, State},
    summary::{room_type, text},
};

sql!(PUBLISHED, "SELECT nid FROM room WHERE published = 1 AND nid > ?1 ORDER BY nid LIMIT ?2");
sql!(pub(crate) IS_PUBLISHED, "SELECT published FROM room WHERE nid = ?1");
sql!(pub(crate) SET_PUBLISHED, "UPDATE room SET published = ?2 WHERE nid = ?1");
// Lists of numbers: an array on PostgreSQL, which SQLite does not have. The same holds below.
sql!(
    MEMBER_COUNTS,
    sqlite: "SELECT room, count(*) FROM member
        WHERE room IN (SELECT value FROM json_each(?1)) AND membership = 'join' GROUP BY room",
    pg: "SELECT room, count(*) FROM member
        WHERE room = ANY($1) AND membership = 'join' GROUP BY room"
);
// Split for the same list of rooms.
sql!(
    DESCRIPTIONS,
    sqlite: "SELECT s.room, s.type, e.json FROM room_state s JOIN event e ON e.pos = s.pos
        WHERE s.room IN (SELECT value FROM json_each(?1)) AND s.state_key = '' AND s.type IN
            ('m.room.create', 'm.room.name', 'm.room.topic', 'm.room.canonical_alias')",
    pg: "SELECT s.room, s.type, e.json FROM room_state s JOIN event e ON e.pos = s.pos
        WHERE s.room = ANY($1) AND s.state_key = '' AND s.type IN
            ('m.room.create', 'm.room.name', 'm.room.topic', 'm.room.canonical_alias')"
);

/// Rooms in the directory that can be found.
const PUBLISHED_MAX: i64 = 50_000;

/// Which rooms of the directory are wanted.
#[derive(Clone, Debug, Default)]
pub struct DirectoryQuery {
    /// Part of the name, the topic or the alias.
    pub term: Option<String>,
    /// Only of these types; `None` among them stands for rooms without a type.
    pub types: Vec<Option<String>>,
    /// Behind or before which room.
    pub from: Option<DirectoryToken>,
    /// How many.
    pub limit: usize,
}

/// A place in the directory, which is sorted by how many have joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryToken {
    /// Does it lead back to what comes before?
    back: bool,
    place: Place,
}

/// Rooms with more members come first.
type Place = (Reverse<i64>, RoomNid);

impl fmt::Display for DirectoryToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Reverse(joined), RoomNid(nid)) = self.place;
        write!(f, "{}{joined}_{nid}", if self.back { 'b' } else { 'n' })
    }
}

impl FromStr for DirectoryToken {
    type Err = RoomError;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let back = match text.chars().next()? {
                'b' => true,
                'n' => false,
                _ => return None,
            };
            let (joined, nid) = text[1..].split_once('_')?;
            let place = (Reverse(joined.parse().ok()?), RoomNid(nid.parse().ok()?));
            Some(Self { back, place })
        };
        parse().ok_or_else(|| RoomError::Invalid("that is not a token of this list".to_owned()))
    }
}

/// Some rooms of the directory.
#[derive(Clone, Debug, Default)]
pub struct DirectoryPage {
    /// Those with the most members first.
    pub rooms: Vec<RoomSummary>,
    /// Where to go on.
    pub next: Option<DirectoryToken>,
    /// Where to go back.
    pub previous: Option<DirectoryToken>,
    /// How many rooms match.
    pub total: usize,
}

/// What is looked at to find a room.
#[derive(Debug, Default)]
struct Entry {
    joined: i64,
    kind: Option<String>,
    /// Name, topic and alias in lower case.
    texts: Vec<String>,
}

impl Entry {
    fn of(room: &Room) -> Self {
        let snapshot = room.snapshot();
        let state: &State = &snapshot.state;
        let texts = FIELDS.iter().filter_map(|(kind, field)| text(state, kind, field));
        Self {
            joined: i64::try_from(snapshot.joined.len()).unwrap_or(i64::MAX),
            kind: room_type(state),
            texts: texts.map(|text| text.to_lowercase()).collect(),
        }
    }

    fn describe(&mut self, kind: &str, json: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Json>(json) else { return };
        let content = &event["content"];
        let text = |field: &str| {
            content[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
        };
        if kind == "m.room.create" {
            self.kind = text("type");
        } else if let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == kind) {
            self.texts.extend(text(field).map(|text| text.to_lowercase()));
        }
    }

    fn matches(&self, query: &DirectoryQuery, term: Option<&str>) -> bool {
        (query.types.is_empty() || query.types.contains(&self.kind))
            && term.is_none_or(|term| self.texts.iter().any(|text| text.contains(term)))
    }
}

const FIELDS: [(&str, &str); 3] =
    [("m.room.name", "name"), ("m.room.topic", "topic"), ("m.room.canonical_alias", "alias")];

impl Rooms {
    /// A page of the public directory.
    pub async fn directory(&self, query: &DirectoryQuery) -> Result<DirectoryPage> {
        let term = query.term.as_deref().map(str::to_lowercase).filter(|term| !term.is_empty());
        let entries = self.entries().await?;
        let mut places: Vec<Place> = entries
            .iter()
            .filter(|(_, entry)| entry.matches(query, term.as_deref()))
            .map(|(nid, entry)| (Reverse(entry.joined), *nid))
            .collect();
        places.sort_unstable();
        let range = match query.from {
            None => 0..places.len().min(query.limit),
            Some(DirectoryToken { back: false, place }) => {
                let start = places.partition_point(|other| *other <= place);
                start..places.len().min(start + query.limit)
            }
            Some(DirectoryToken { back: true, place }) => {
                let end = places.partition_point(|other| *other < place);
                end.saturating_sub(query.limit)..end
            }
        };
        let edge = |index: usize, back: bool| DirectoryToken { back, place: places[index] };
        let shown = !range.is_empty();
        let mut page = DirectoryPage {
            next: (shown && range.end < places.len()).then(|| edge(range.end - 1, false)),
            previous: (shown && range.start > 0).then(|| edge(range.start, true)),
            total: places.len(),
            rooms: Vec::with_capacity(range.len()),
        };
        for (_, nid) in &places[range] {
            page.rooms.push(self.room(*nid).await?.summary());
        }
        Ok(page)
    }

    /// All rooms of the directory. Those in memory are read there: there they are never old.
    async fn entries(&self) -> Result<BTreeMap<RoomNid, Entry>> {
        let mut entries = BTreeMap::new();
        let mut unknown = Vec::new();
        for nid in self.0.db.read(ListPublished).await? {
            match self.0.cache.fresh(nid) {
                Some(room) => drop(entries.insert(nid, Entry::of(&room))),
                None => unknown.push(nid.0),
            }
        }
        if !unknown.is_empty() {
            entries.append(&mut self.0.db.read(Describe(unknown)).await?);
        }
        Ok(entries)
    }

    /// Is the room in the public directory?
    pub async fn is_published(&self, room: RoomNid) -> Result<bool> {
        Ok(self.0.db.read(IsPublished(room)).await?)
    }

    /// Puts the room into the public directory, or takes it out. Only who may change the room's
    /// main alias may do so.
    pub async fn set_published(
        &self,
        room: &Arc<Room>,
        actor: &Actor,
        published: bool,
    ) -> Result<()> {
        Self::ensure_joined(room, actor.nid)?;
        if !may_rename(room, actor) {
            return Err(RoomError::Forbidden(
                "you may not change how this room is found".to_owned(),
            ));
        }
        Ok(self.0.db.write(SetPublished { room: room.nid, published }).await?)
    }
}

/// May the user set the room's main alias?
pub(crate) fn may_rename(room: &Room, actor: &Actor) -> bool {
    let state = room.state();
    crate::load::room_auth(room.version, &state).is_some_and(|auth| {
        auth.may_send(&actor.user_id, &ruma::events::TimelineEventType::RoomCanonicalAlias, true)
    })
}

struct ListPublished;

impl Work for ListPublished {
    const NAME: &'static str = "rooms.list_published";
    type Out = Vec<RoomNid>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Vec<RoomNid>> {
        let rows = tx.all::<(RoomNid,)>(&PUBLISHED, &[0_i64.into(), PUBLISHED_MAX.into()]).await?;
        Ok(rows.into_iter().map(|(nid,)| nid).collect())
    }
}

struct Describe(Vec<i64>);

impl Work for Describe {
    const NAME: &'static str = "rooms.describe";
    type Out = BTreeMap<RoomNid, Entry>;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<Self::Out> {
        let rooms = Value::Ints(&self.0);
        let mut entries: BTreeMap<RoomNid, Entry> = BTreeMap::new();
        for (room, joined) in tx.all::<(RoomNid, i64)>(&MEMBER_COUNTS, &[rooms]).await? {
            entries.entry(room).or_default().joined = joined;
        }
        for (room, kind, json) in
            tx.all::<(RoomNid, String, Vec<u8>)>(&DESCRIPTIONS, &[rooms]).await?
        {
            entries.entry(room).or_default().describe(&kind, &json);
        }
        Ok(entries)
    }
}

struct IsPublished(RoomNid);

impl Work for IsPublished {
    const NAME: &'static str = "rooms.is_published";
    type Out = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<bool> {
        let found = tx.opt::<(bool,)>(&IS_PUBLISHED, &[self.0.into()]).await?;
        Ok(found.is_some_and(|(published,)| published))
    }
}

struct SetPublished {
    room: RoomNid,
    published: bool,
}

impl Work for SetPublished {
    const NAME: &'static str = "rooms.set_published";
    type Out = ();

    async fn run(&self, tx: &mut Tx<'_>) -> StoreResult<()> {
        tx.put(&SET_PUBLISHED, &[self.room.into(), self.published.into()]).await
    }
}
