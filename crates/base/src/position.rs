//! Positions in the streams that `/sync` reads.
//!
//! All that a client must learn is written through a *lane* (design, section 5). A lane is owned by
//! one committer at a time, so positions inside it become visible in order; across lanes they do not.
//! A point in time is therefore not one number but one per lane: [`Positions`].

use std::{fmt, str::FromStr};

/// Bits of a [`StreamPos`] that count inside the lane; the rest name the lane.
const OFFSET_BITS: u32 = 48;

/// A lane's number. Small, since lanes are leased and used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u16);

impl LaneId {
    /// The largest lane number; keeps a packed position positive.
    pub const MAX: Self = Self(0x7fff);
}

/// One place in one lane, packed into a number that orders by lane, then by place.
///
/// One column holds it, and "everything in lane 3 between 10 and 20" is one range of that column.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct StreamPos(pub i64);

impl StreamPos {
    /// The last offset of a lane.
    pub const OFFSET_MAX: i64 = (1 << OFFSET_BITS) - 1;

    /// The place `offset` of `lane`.
    pub fn new(lane: LaneId, offset: i64) -> Self {
        debug_assert!((0..1 << OFFSET_BITS).contains(&offset), "offset {offset} out of range");
        Self((i64::from(lane.0) << OFFSET_BITS) | offset)
    }

    /// The lane it is in.
    pub fn lane(self) -> LaneId {
        LaneId(u16::try_from(self.0 >> OFFSET_BITS).unwrap_or(u16::MAX))
    }

    /// Its place inside the lane.
    pub fn offset(self) -> i64 {
        self.0 & ((1 << OFFSET_BITS) - 1)
    }
}

/// How far each lane has come: a point in time that means the same on every node.
///
/// Written `12_0_7`: lane 0 at 12, lane 1 untouched, lane 2 at 7.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Positions(Vec<i64>);

/// Most lanes that a token from outside may name.
const LANES_PARSED_MAX: usize = 4_096;

impl Positions {
    /// The offset reached in `lane`; zero where nothing was written yet.
    pub fn get(&self, lane: LaneId) -> i64 {
        self.0.get(usize::from(lane.0)).copied().unwrap_or(0)
    }

    /// Sets the offset reached in `lane`.
    pub fn set(&mut self, lane: LaneId, offset: i64) {
        let index = usize::from(lane.0);
        if self.0.len() <= index {
            self.0.resize(index + 1, 0);
        }
        self.0[index] = offset;
        self.trim();
    }

    /// Leaves out the untouched lanes at the end, so that equal points in time compare equal.
    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    /// Is what was written at `pos` included?
    pub fn covers(&self, pos: StreamPos) -> bool {
        pos.offset() <= self.get(pos.lane())
    }

    /// Is all that `other` includes included here too?
    pub fn reaches(&self, other: &Self) -> bool {
        other
            .0
            .iter()
            .enumerate()
            .all(|(lane, offset)| *offset <= self.0.get(lane).copied().unwrap_or(0))
    }

    /// Raises each lane to at least where `other` has it.
    pub fn merge(&mut self, other: &Self) {
        for (lane, offset) in other.iter() {
            if self.get(lane) < offset {
                self.set(lane, offset);
            }
        }
    }

    /// The lanes with their offsets.
    pub fn iter(&self) -> impl Iterator<Item = (LaneId, i64)> {
        self.0.iter().enumerate().map(|(lane, offset)| {
            (LaneId(u16::try_from(lane).expect("set() takes a LaneId")), *offset)
        })
    }

    /// The ranges of packed positions, first excluded, last included, which lie after this point
    /// and not after `to`: one for each lane that has moved.
    pub fn ranges_to(&self, to: &Self) -> Vec<(StreamPos, StreamPos)> {
        to.iter()
            .filter(|(lane, offset)| *offset > self.get(*lane))
            .map(|(lane, offset)| {
                (StreamPos::new(lane, self.get(lane)), StreamPos::new(lane, offset))
            })
            .collect()
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0");
        }
        for (index, offset) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("_")?;
            }
            write!(f, "{offset}")?;
        }
        Ok(())
    }
}

/// A text that is not a position vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPositions;

impl FromStr for Positions {
    type Err = NotPositions;

    fn from_str(text: &str) -> Result<Self, NotPositions> {
        let mut offsets = Vec::new();
        for part in text.split('_') {
            let offset: i64 = part.parse().map_err(|_| NotPositions)?;
            if !(0..1 << OFFSET_BITS).contains(&offset) || offsets.len() == LANES_PARSED_MAX {
                return Err(NotPositions);
            }
            offsets.push(offset);
        }
        let mut positions = Self(offsets);
        positions.trim();
        Ok(positions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offsets: &[i64]) -> Positions {
        Positions(offsets.to_vec())
    }

    #[test]
    fn packed_positions_keep_lane_and_offset() {
        let pos = StreamPos::new(LaneId(7), 4_211);
        assert_eq!((pos.lane(), pos.offset()), (LaneId(7), 4_211));
        assert!(StreamPos::new(LaneId::MAX, 1).0 > 0);
    }

    #[test]
    fn text_form_round_trips() {
        for text in ["0", "12", "12_0_7"] {
            assert_eq!(text.parse::<Positions>().unwrap().to_string(), text);
        }
        assert_eq!("12_0_0".parse(), "12".parse::<Positions>());
        for bad in ["", "_", "1_", "-1", "x", "99999999999999999999"] {
            assert_eq!(bad.parse::<Positions>(), Err(NotPositions), "{bad}");
        }
    }

    #[test]
    fn order_is_by_lane() {
        assert!(at(&[3, 4]).reaches(&at(&[3])));
        assert!(!at(&[3, 4]).reaches(&at(&[4])));
        assert!(at(&[3]).covers(StreamPos::new(LaneId(0), 3)));
        assert!(!at(&[3]).covers(StreamPos::new(LaneId(1), 1)));
        let moved = at(&[3, 4]).ranges_to(&at(&[3, 6, 1]));
        assert_eq!(
            moved,
            [
                (StreamPos::new(LaneId(1), 4), StreamPos::new(LaneId(1), 6)),
                (StreamPos::new(LaneId(2), 0), StreamPos::new(LaneId(2), 1)),
            ]
        );
    }
}
