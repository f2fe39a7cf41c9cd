//! What one node tells the others right behind a commit, so that they need not look for it.

use haechi_base::{LaneId, Positions};
use serde::{Deserialize, Serialize};

use crate::Note;

/// A durable commit of another node, as told over the bus.
///
/// Nothing depends on its coming: what it says stands in the tables too, and a node that hears
/// nothing looks there twice a second. One that comes late, twice or out of order changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// How far all lanes had come inside the commit; all of it is durable.
    pub seen: Positions,
    /// What the commit wrote.
    pub chunk: Chunk,
}

/// The notes of one commit: all that its lane holds after `since`, up to and with `upto`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The lane.
    pub lane: LaneId,
    /// Where the lane stood before.
    pub since: i64,
    /// Where it stands now.
    pub upto: i64,
    /// What was written there.
    pub notes: Vec<Note>,
}

/// The form in which it travels.
#[derive(Serialize, Deserialize)]
struct Wire {
    seen: String,
    lane: u16,
    since: i64,
    upto: i64,
    notes: Vec<Note>,
}

impl Hint {
    /// As bytes for the bus.
    pub fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            seen: self.seen.to_string(),
            lane: self.chunk.lane.0,
            since: self.chunk.since,
            upto: self.chunk.upto,
            notes: self.chunk.notes.clone(),
        };
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// From bytes off the bus; `None` when they are no hint of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(bytes).ok()?;
        let lane = LaneId(wire.lane);
        let fits = lane <= LaneId::MAX
            && (0..=wire.upto).contains(&wire.since)
            && wire.upto <= haechi_base::StreamPos::OFFSET_MAX
            && wire.notes.iter().all(|note| {
                note.pos.lane() == lane && (wire.since + 1..=wire.upto).contains(&note.pos.offset())
            });
        let chunk = Chunk { lane, since: wire.since, upto: wire.upto, notes: wire.notes };
        fits.then_some(Self { seen: wire.seen.parse().ok()?, chunk })
    }
}

/// The notes as they are kept in the database.
pub(crate) fn encode_notes(notes: &[Note]) -> Vec<u8> {
    serde_json::to_vec(notes).unwrap_or_default()
}

/// The notes as they were kept; `None` when a newer version wrote something unknown here.
pub(crate) fn decode_notes(bytes: &[u8]) -> Option<Vec<Note>> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use haechi_base::{RoomNid, StreamPos, UserNid};

    use super::*;
    use crate::Change;

    fn note(lane: u16, offset: i64, change: Change) -> Note {
        Note { pos: StreamPos::new(LaneId(lane), offset), change }
    }

    #[test]
    fn hints_travel_as_bytes() {
        let notes = vec![
            note(3, 8, Change::Event(RoomNid(5))),
            note(3, 9, Change::ToDevice(UserNid(-2), "DE VICE\n".into())),
        ];
        let hint = Hint {
            seen: "4_0_0_9".parse().unwrap(),
            chunk: Chunk { lane: LaneId(3), since: 7, upto: 9, notes },
        };
        assert_eq!(Hint::decode(&hint.encode()), Some(hint.clone()));
        assert_eq!(decode_notes(&encode_notes(&hint.chunk.notes)), Some(hint.chunk.notes));
    }

    #[test]
    fn what_is_no_hint_is_left_alone() {
        let hint = |since, upto, at: Note| {
            let chunk = Chunk { lane: LaneId(3), since, upto, notes: vec![at] };
            Hint { seen: Positions::default(), chunk }.encode()
        };
        let event = |lane, offset| note(lane, offset, Change::Event(RoomNid(5)));
        assert!(Hint::decode(&hint(7, 9, event(3, 8))).is_some());
        for bad in [
            hint(9, 7, event(3, 8)),
            hint(-1, 9, event(3, 8)),
            hint(7, 9, event(2, 8)),
            hint(7, 9, event(3, 7)),
            hint(7, 9, event(3, 10)),
            b"{}".to_vec(),
            Vec::new(),
        ] {
            assert_eq!(Hint::decode(&bad), None, "{}", String::from_utf8_lossy(&bad));
        }
    }
}
