//! The room versions this server speaks.

use std::{fmt, str::FromStr};

use ruma::{RoomVersionId, room_version_rules::RoomVersionRules};

/// A room version that this server can create, join and check.
///
/// Versions before 6 do not demand canonical JSON, which signatures rest on, and are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoomVersion {
    /// Canonical JSON is enforced.
    V6,
    /// Knocking.
    V7,
    /// Restricted joins.
    V8,
    /// Restricted joins survive redaction.
    V9,
    /// Power levels are integers; knocking and restricted joins together.
    V10,
    /// `redacts` moves into the content; the creator is the sender of the create event.
    V11,
    /// The room id is the hash of the create event; creators stand above all power levels.
    V12,
}

/// A room version that this server does not speak (`M_UNSUPPORTED_ROOM_VERSION`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this server does not support that room version")]
pub struct UnknownRoomVersion;

impl RoomVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 7] =
        [Self::V6, Self::V7, Self::V8, Self::V9, Self::V10, Self::V11, Self::V12];

    /// The name in `m.room.create`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V6 => "6",
            Self::V7 => "7",
            Self::V8 => "8",
            Self::V9 => "9",
            Self::V10 => "10",
            Self::V11 => "11",
            Self::V12 => "12",
        }
    }

    /// What is special about this version.
    pub fn rules(self) -> &'static RoomVersionRules {
        match self {
            Self::V6 => &RoomVersionRules::V6,
            Self::V7 => &RoomVersionRules::V7,
            Self::V8 => &RoomVersionRules::V8,
            Self::V9 => &RoomVersionRules::V9,
            Self::V10 => &RoomVersionRules::V10,
            Self::V11 => &RoomVersionRules::V11,
            Self::V12 => &RoomVersionRules::V12,
        }
    }

    /// Ruma's name for it.
    pub fn id(self) -> RoomVersionId {
        match self {
            Self::V6 => RoomVersionId::V6,
            Self::V7 => RoomVersionId::V7,
            Self::V8 => RoomVersionId::V8,
            Self::V9 => RoomVersionId::V9,
            Self::V10 => RoomVersionId::V10,
            Self::V11 => RoomVersionId::V11,
            Self::V12 => RoomVersionId::V12,
        }
    }

    /// Is the room id the hash of the create event?
    pub fn room_id_is_create_hash(self) -> bool {
        self.rules().authorization.room_create_event_id_as_room_id
    }

    /// Does a redaction name its target in its content (and not beside it)?
    pub fn redacts_in_content(self) -> bool {
        self.rules().redaction.content_field_redacts
    }
}

impl FromStr for RoomVersion {
    type Err = UnknownRoomVersion;

    fn from_str(text: &str) -> Result<Self, UnknownRoomVersion> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or(UnknownRoomVersion)
    }
}

impl TryFrom<&RoomVersionId> for RoomVersion {
    type Error = UnknownRoomVersion;

    fn try_from(id: &RoomVersionId) -> Result<Self, UnknownRoomVersion> {
        id.as_str().parse()
    }
}

impl fmt::Display for RoomVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for version in RoomVersion::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
            assert_eq!(RoomVersion::try_from(&version.id()), Ok(version));
        }
        assert_eq!("5".parse::<RoomVersion>(), Err(UnknownRoomVersion));
        assert!(RoomVersion::V12.room_id_is_create_hash());
        assert!(!RoomVersion::V11.room_id_is_create_hash());
        assert!(!RoomVersion::V10.redacts_in_content());
    }
}
