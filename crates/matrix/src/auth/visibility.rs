//! Who may see an event (spec, "Room history visibility").

use std::{fmt, str::FromStr};

use serde::Deserialize;

use super::Membership;

/// Who may see events sent while this holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Visibility {
    /// Those who were members when the event was sent.
    Joined,
    /// Likewise those who were invited then.
    Invited,
    /// All who joined at any time since. Holds where nothing else is said.
    #[default]
    Shared,
    /// Everyone.
    WorldReadable,
}

/// A history visibility that the spec does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown history visibility")]
pub struct UnknownVisibility;

impl Visibility {
    /// Its name in `m.room.history_visibility`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Invited => "invited",
            Self::Shared => "shared",
            Self::WorldReadable => "world_readable",
        }
    }

    /// Reads the content of an `m.room.history_visibility` event. What cannot be read counts as
    /// `shared`, as the spec demands of unknown values.
    pub fn of_content(content: &str) -> Self {
        #[derive(Deserialize)]
        struct Content<'a> {
            #[serde(borrow)]
            history_visibility: std::borrow::Cow<'a, str>,
        }
        serde_json::from_str::<Content<'_>>(content)
            .ok()
            .and_then(|content| content.history_visibility.parse().ok())
            .unwrap_or_default()
    }
}

impl FromStr for Visibility {
    type Err = UnknownVisibility;

    fn from_str(text: &str) -> Result<Self, UnknownVisibility> {
        Ok(match text {
            "joined" => Self::Joined,
            "invited" => Self::Invited,
            "shared" => Self::Shared,
            "world_readable" => Self::WorldReadable,
            _ => return Err(UnknownVisibility),
        })
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What held for one user when an event was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The room's history visibility before the event.
    pub visibility: Visibility,
    /// Where the event changes the visibility: what it becomes.
    pub visibility_after: Option<Visibility>,
    /// The user's membership before the event.
    pub membership: Membership,
    /// Where the event changes the user's own membership: what it becomes.
    pub membership_after: Option<Membership>,
    /// Was the user joined at any time after the event? Holds for all who are joined now.
    pub joined_since: bool,
}

/// May the user see the event?
///
/// An event that changes the visibility, or the user's own membership, is seen if what held
/// before it or what holds after it allows that.
pub fn may_see(sight: &Sight) -> bool {
    let visibilities = [Some(sight.visibility), sight.visibility_after];
    let memberships = [Some(sight.membership), sight.membership_after];
    visibilities.into_iter().flatten().any(|visibility| {
        memberships
            .into_iter()
            .flatten()
            .any(|membership| sees(visibility, membership, sight.joined_since))
    })
}

fn sees(visibility: Visibility, membership: Membership, joined_since: bool) -> bool {
    match visibility {
        _ if membership == Membership::Join => true,
        Visibility::WorldReadable => true,
        Visibility::Shared => joined_since,
        Visibility::Invited => membership == Membership::Invite,
        Visibility::Joined => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERSHIPS: [Membership; 5] = [
        Membership::Join,
        Membership::Invite,
        Membership::Knock,
        Membership::Leave,
        Membership::Ban,
    ];

    fn sight(visibility: Visibility, membership: Membership, joined_since: bool) -> Sight {
        Sight {
            visibility,
            visibility_after: None,
            membership,
            membership_after: None,
            joined_since,
        }
    }

    /// One row for each visibility: who sees it at the time, and who later.
    #[test]
    fn table_of_the_spec() {
        use Membership::{Invite, Join};
        for (visibility, at_the_time, by_joining_later) in [
            (Visibility::WorldReadable, &MEMBERSHIPS[..], true),
            (Visibility::Shared, &[Join], true),
            (Visibility::Invited, &[Join, Invite], false),
            (Visibility::Joined, &[Join], false),
        ] {
            for membership in MEMBERSHIPS {
                let sees = at_the_time.contains(&membership);
                let case = format!("{visibility}, {membership}");
                assert_eq!(may_see(&sight(visibility, membership, false)), sees, "{case}");
                let later = sees || by_joining_later;
                assert_eq!(may_see(&sight(visibility, membership, true)), later, "{case}");
            }
        }
    }

    #[test]
    fn changes_are_seen_from_either_side() {
        let own_join = Sight {
            membership_after: Some(Membership::Join),
            ..sight(Visibility::Joined, Membership::Invite, false)
        };
        assert!(may_see(&own_join));
        let own_leave = Sight {
            membership_after: Some(Membership::Leave),
            ..sight(Visibility::Joined, Membership::Join, false)
        };
        assert!(may_see(&own_leave));
        let closing = Sight {
            visibility_after: Some(Visibility::Joined),
            ..sight(Visibility::WorldReadable, Membership::Leave, false)
        };
        assert!(may_see(&closing));
        let opening = Sight {
            visibility_after: Some(Visibility::Shared),
            ..sight(Visibility::Joined, Membership::Leave, true)
        };
        assert!(may_see(&opening));
        assert!(!may_see(&sight(Visibility::Joined, Membership::Leave, true)));
    }

    #[test]
    fn unknown_visibility_is_shared() {
        for content in ["{}", "", r#"{"history_visibility":"org.example"}"#] {
            assert_eq!(Visibility::of_content(content), Visibility::Shared);
        }
        let content = r#"{"history_visibility":"joined"}"#;
        assert_eq!(Visibility::of_content(content), Visibility::Joined);
    }
}
