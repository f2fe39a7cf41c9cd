//! What has notified a user (spec, `GET /notifications`).

use std::{fmt, str::FromStr};

use haechi_base::{Millis, StreamPos, UserNid};
use haechi_rooms::{Notified, NotifiedQuery};
use ruma::push::Action;

use crate::{Push, PushError, Refusal, Result};

/// Most notifications on one page.
const PAGE_MAX: usize = 100;
/// How often more is looked for when the user's own rules took most of a page away.
const LOOKS_MAX: usize = 5;

/// A place in the list of notifications, which goes from new to old. Written `n17_9`: time, position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationToken {
    at: Millis,
    pos: StreamPos,
}

impl NotificationToken {
    const NEWEST: Self = Self { at: Millis(i64::MAX), pos: StreamPos(i64::MAX) };
}

impl fmt::Display for NotificationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}_{}", self.at.0, self.pos.0)
    }
}

impl FromStr for NotificationToken {
    type Err = PushError;

    fn from_str(text: &str) -> Result<Self> {
        let parse = |text: &str| {
            let (at, pos) = text.strip_prefix('n')?.split_once('_')?;
            Some(Self { at: Millis(at.parse().ok()?), pos: StreamPos(pos.parse().ok()?) })
        };
        parse(text).ok_or_else(|| Refusal::NotAToken.into())
    }
}

/// Which notifications are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationKind {
    /// All.
    Any,
    /// Only highlights.
    Highlight,
}

/// An event that notified the user.
#[derive(Clone, Debug)]
pub struct Notification {
    /// The event, its room, and whether the user has read it.
    pub notified: Notified,
    /// What the user's rules say.
    pub actions: Vec<Action>,
}

impl Push {
    /// Events that notified the user, by their rules as they are now, newest first; and where to go
    /// on, unless that was all.
    pub async fn notifications(
        &self,
        user: UserNid,
        from: Option<NotificationToken>,
        limit: usize,
        kind: NotificationKind,
    ) -> Result<(Vec<Notification>, Option<NotificationToken>)> {
        let limit = limit.clamp(1, PAGE_MAX);
        let mut at = from.unwrap_or(NotificationToken::NEWEST);
        let mut found = Vec::new();
        for _ in 0..LOOKS_MAX {
            let highlights = kind == NotificationKind::Highlight;
            let query = NotifiedQuery { user, before: (at.at, at.pos), highlights, limit };
            let page = self.0.rooms.notified(query).await?;
            let is_end = page.len() < limit;
            for notified in page {
                let event = &notified.event;
                at = NotificationToken { at: Millis(event.pdu.origin_server_ts()), pos: event.pos };
                let actions = self.actions(&notified, user, kind).await?;
                found.extend(actions.map(|actions| Notification { notified, actions }));
                if found.len() == limit {
                    return Ok((found, Some(at)));
                }
            }
            if is_end {
                return Ok((found, None));
            }
        }
        Ok((found, Some(at)))
    }

    async fn actions(
        &self,
        notified: &Notified,
        user: UserNid,
        kind: NotificationKind,
    ) -> Result<Option<Vec<Action>>> {
        let users = [user];
        let outcomes = self.outcomes(&notified.room, &notified.event, &users, |_, outcome| {
            (outcome.highlight, outcome.actions.to_vec())
        });
        let outcome = outcomes.await?.pop();
        Ok(outcome
            .filter(|(highlight, _)| *highlight || kind == NotificationKind::Any)
            .map(|(_, actions)| actions))
    }
}
