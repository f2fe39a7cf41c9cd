//! A user's membership of a room.

use std::{fmt, str::FromStr};

use ruma::events::room::member::MembershipState;
use serde::Deserialize;

/// What a user is to a room. A user without a member event has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Membership {
    /// Has joined.
    Join,
    /// Was invited.
    Invite,
    /// Has asked to be let in.
    Knock,
    /// Left, was removed, or was never there.
    Leave,
    /// Was banned.
    Ban,
}

/// A membership that the spec does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown membership")]
pub struct UnknownMembership;

impl Membership {
    /// Its name in `m.room.member`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }

    /// Reads it from the content of an `m.room.member` event.
    pub fn of_content(content: &str) -> Result<Self, UnknownMembership> {
        #[derive(Deserialize)]
        struct Content<'a> {
            #[serde(borrow)]
            membership: std::borrow::Cow<'a, str>,
        }
        let content: Content<'_> = serde_json::from_str(content).map_err(|_| UnknownMembership)?;
        content.membership.parse()
    }
}

impl FromStr for Membership {
    type Err = UnknownMembership;

    fn from_str(text: &str) -> Result<Self, UnknownMembership> {
        Ok(match text {
            "join" => Self::Join,
            "invite" => Self::Invite,
            "knock" => Self::Knock,
            "leave" => Self::Leave,
            "ban" => Self::Ban,
            _ => return Err(UnknownMembership),
        })
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Membership> for MembershipState {
    fn from(membership: Membership) -> Self {
        match membership {
            Membership::Join => Self::Join,
            Membership::Invite => Self::Invite,
            Membership::Knock => Self::Knock,
            Membership::Leave => Self::Leave,
            Membership::Ban => Self::Ban,
        }
    }
}

impl TryFrom<&MembershipState> for Membership {
    type Error = UnknownMembership;

    fn try_from(state: &MembershipState) -> Result<Self, UnknownMembership> {
        state.as_str().parse()
    }
}
