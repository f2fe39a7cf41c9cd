//! Spaces: rooms whose state names other rooms (client-server API, "Spaces").

use std::{cmp::Ordering, collections::HashSet, fmt, str::FromStr, sync::Arc};

use haechi_base::UserNid;
use haechi_matrix::{
    json::{write_int, write_str},
    pdu::Pdu,
};
use ruma::{OwnedRoomId, UserId, room::RoomSummary};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{Result, Room, RoomError, Rooms, summary::room_type};

/// How deep spaces are followed at most.
const DEPTH_MAX: u32 = 50;

/// Rooms of one space that are looked at at most.
const ROOMS_MAX: usize = 10_000;

/// Longest `order` that counts (spec, `m.space.child`).
const ORDER_CHARS_MAX: usize = 50;

/// Which rooms of a space are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HierarchyQuery {
    /// Only those that the space suggests?
    pub suggested_only: bool,
    /// How deep; the space itself is at 0.
    pub max_depth: Option<u32>,
    /// How many.
    pub limit: usize,
}

/// Where to go on in the list of a space's rooms, which must be asked for in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HierarchyToken {
    offset: usize,
    suggested_only: bool,
    max_depth: Option<u32>,
}

impl fmt::Display for HierarchyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, suggested_only, max_depth } = self;
        let depth = max_depth.map_or(-1, i64::from);
        write!(f, "h{offset}_{depth}_{}", u8::from(*suggested_only))
    }
}

impl FromStr for HierarchyToken {
    type Err = RoomError;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let mut parts = text.strip_prefix('h')?.split('_');
            let offset = parts.next()?.parse().ok()?;
            let depth: i64 = parts.next()?.parse().ok()?;
            let suggested_only = parts.next()? == "1";
            Some(Self { offset, suggested_only, max_depth: u32::try_from(depth).ok() })
        };
        parse().ok_or_else(|| RoomError::Invalid("that is not a token of this list".to_owned()))
    }
}

/// A room of a space.
#[derive(Clone, Debug)]
pub struct HierarchyRoom {
    /// The room in short.
    pub summary: RoomSummary,
    /// The events that name its children, if it is a space.
    pub children: Vec<Box<RawValue>>,
}

/// Some rooms of a space.
#[derive(Clone, Debug, Default)]
pub struct HierarchyPage {
    /// The space before what is in it.
    pub rooms: Vec<HierarchyRoom>,
    /// Where to go on.
    pub next: Option<HierarchyToken>,
}

#[derive(Deserialize)]
struct ChildContent {
    #[serde(default)]
    via: serde_json::Value,
    #[serde(default)]
    order: serde_json::Value,
    #[serde(default)]
    suggested: serde_json::Value,
}

/// A room that a space names.
struct Child {
    room_id: OwnedRoomId,
    order: Option<String>,
    suggested: bool,
    pdu: Arc<Pdu>,
}

impl Child {
    /// `None` for what names no room, or no longer does.
    fn of(key: &str, pdu: &Arc<Pdu>) -> Option<Self> {
        let content: ChildContent = pdu.content_as().ok()?;
        content.via.as_array().filter(|servers| !servers.is_empty())?;
        let is_valid = |order: &&str| {
            order.chars().count() <= ORDER_CHARS_MAX
                && order.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
        };
        Some(Self {
            room_id: key.try_into().ok()?,
            order: content.order.as_str().filter(is_valid).map(str::to_owned),
            suggested: content.suggested == true,
            pdu: Arc::clone(pdu),
        })
    }

    /// In the order of the spec: those with an `order` first, then the oldest.
    fn compare(&self, other: &Self) -> Ordering {
        let by_order = match (&self.order, &other.order) {
            (Some(one), Some(other)) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        by_order
            .then_with(|| self.pdu.origin_server_ts().cmp(&other.pdu.origin_server_ts()))
            .then_with(|| self.room_id.cmp(&other.room_id))
    }

    /// The event, stripped but for its time.
    fn shown(&self) -> Box<RawValue> {
        let mut text = String::from("{\"content\":");
        text.push_str(self.pdu.content());
        text.push_str(",\"origin_server_ts\":");
        write_int(&mut text, self.pdu.origin_server_ts());
        text.push_str(",\"sender\":");
        write_str(&mut text, self.pdu.sender().as_str());
        text.push_str(",\"state_key\":");
        write_str(&mut text, self.room_id.as_str());
        text.push_str(",\"type\":\"m.space.child\"}");
        RawValue::from_string(text).expect("JSON put together from JSON")
    }
}

fn children(room: &Room, suggested_only: bool) -> Vec<Child> {
    let state = room.state();
    if room_type(&state).as_deref() != Some("m.space") {
        return Vec::new();
    }
    let mut children: Vec<Child> = state
        .of_type("m.space.child")
        .filter_map(|(key, pdu)| Child::of(key, pdu))
        .filter(|child| child.suggested || !suggested_only)
        .collect();
    children.sort_by(Child::compare);
    children
}

impl Rooms {
    /// A space and the rooms in it that the user may know of, depth first.
    ///
    /// Fails with [`RoomError::Forbidden`] if the user may not know of the space itself.
    pub async fn hierarchy(
        &self,
        space: &Arc<Room>,
        user: (UserNid, &UserId),
        query: HierarchyQuery,
        from: Option<HierarchyToken>,
    ) -> Result<HierarchyPage> {
        let HierarchyQuery { suggested_only, max_depth, limit } = query;
        let start = HierarchyToken { offset: 0, suggested_only, max_depth };
        let from = from.unwrap_or(start);
        if (HierarchyToken { offset: 0, ..from }) != start {
            return Err(RoomError::Invalid(
                "suggested_only and max_depth cannot change from page to page".to_owned(),
            ));
        }
        if !self.may_preview(space, Some(user)).await? {
            return Err(RoomError::Forbidden("you are not allowed to view this room".to_owned()));
        }
        let depth_max = max_depth.unwrap_or(DEPTH_MAX).min(DEPTH_MAX);
        let mut seen: HashSet<OwnedRoomId> = HashSet::new();
        // The last is next.
        let mut waiting = vec![(Arc::clone(space), 0)];
        let mut page = HierarchyPage::default();
        let mut count = 0;
        while let Some((room, depth)) = waiting.pop() {
            if seen.len() >= ROOMS_MAX || !seen.insert(room.room_id.clone()) {
                continue;
            }
            if page.rooms.len() == limit {
                page.next = Some(HierarchyToken { offset: count, ..start });
                break;
            }
            let children = children(&room, suggested_only);
            if count >= from.offset {
                page.rooms.push(HierarchyRoom {
                    summary: room.summary(),
                    children: children.iter().map(Child::shown).collect(),
                });
            }
            count += 1;
            if depth == depth_max {
                continue;
            }
            for child in children.iter().rev() {
                if seen.contains(&child.room_id) || waiting.len() >= ROOMS_MAX {
                    continue;
                }
                let Some(nid) = self.lookup(&child.room_id).await? else { continue };
                let child_room = self.room(nid).await?;
                if self.may_preview(&child_room, Some(user)).await? {
                    waiting.push((child_room, depth + 1));
                }
            }
        }
        Ok(page)
    }
}
