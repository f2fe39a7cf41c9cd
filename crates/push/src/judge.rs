//! Whom an event notifies, for unread counts: asked before every append.
//!
//! Nearly everyone has the default rules, for which one look at the event settles it for all. So for
//! each room only those are known by name whose rules are others; a message without mentions in a
//! room without such members costs the same however many are in it.

use std::{collections::BTreeMap, sync::Arc};

use haechi_base::{RoomNid, UserNid};
use haechi_matrix::push_rules::{Outcome, PlainOutcome, PushEvent, PushRoom};
use haechi_rooms::{Appending, Loading, PushAction, PushRules, Room, RoomError, Verdict};
use imbl::{OrdMap, OrdSet, ordset::DiffItem};
use moka::sync::Cache;
use ruma::OwnedUserId;

use crate::{
    PushError, Result,
    book::{RuleBook, UserRules},
};

/// Rooms whose special members are remembered.
const ROOMS_MAX: u64 = 20_000;

/// Decides whom events notify.
pub(crate) struct Judge {
    book: RuleBook,
    rooms: Cache<RoomNid, Arc<RoomRules>>,
}

/// Who in a room has other rules than the default ones.
#[derive(Clone, Debug)]
struct RoomRules {
    /// For these members it was found out, when the book was at `epoch`.
    joined: OrdSet<UserNid>,
    epoch: u64,
    special: OrdMap<UserNid, Special>,
}

#[derive(Clone, Debug)]
struct Special {
    user_id: Arc<OwnedUserId>,
    rules: Arc<UserRules>,
}

impl Judge {
    pub(crate) fn new(book: RuleBook) -> Self {
        Self { book, rooms: Cache::new(ROOMS_MAX) }
    }

    async fn load(&self, room: &Room) -> Result<()> {
        let (joined, epoch) = (room.joined(), self.book.epoch());
        let (mut special, unsure) = match self.rooms.get(&room.nid) {
            Some(known) => self.what_moved(&known, &joined),
            None => (OrdMap::new(), joined.iter().copied().collect()),
        };
        for (user, rules) in self.book.of_all(&unsure).await? {
            if rules.is_plain() {
                special.remove(&user);
            } else {
                let user_id = self.book.users().id_of(user).await?;
                special.insert(user, Special { user_id, rules });
            }
        }
        self.rooms.insert(room.nid, Arc::new(RoomRules { joined, epoch, special }));
        Ok(())
    }

    /// What still holds of `known`, and who must be looked at.
    fn what_moved(
        &self,
        known: &RoomRules,
        joined: &OrdSet<UserNid>,
    ) -> (OrdMap<UserNid, Special>, Vec<UserNid>) {
        let Some(mut unsure) = self.book.changed_since(known.epoch) else {
            return (OrdMap::new(), joined.iter().copied().collect());
        };
        let mut special = known.special.clone();
        unsure.retain(|user| joined.contains(user));
        for item in known.joined.diff(joined) {
            match item {
                DiffItem::Add(user) => unsure.push(*user),
                DiffItem::Remove(user) => drop(special.remove(user)),
            }
        }
        unsure.sort_unstable();
        unsure.dedup();
        (special, unsure)
    }
}

impl PushRules for Judge {
    fn is_ready(&self, room: &Room) -> bool {
        self.rooms
            .get(&room.nid)
            .is_some_and(|known| known.epoch == self.book.epoch() && room.are_joined(&known.joined))
    }

    fn load<'a>(&'a self, room: &'a Arc<Room>) -> Loading<'a> {
        Box::pin(async move {
            self.load(room).await.map_err(|error| match error {
                PushError::Store(error) => RoomError::Store(error),
                PushError::Room(error) => error,
                other => RoomError::Invalid(other.to_string()),
            })
        })
    }

    fn judge(&self, appending: &Appending<'_>) -> Verdict {
        // What was loaded may have been overtaken by a join or an edit; then either order is right.
        let known = self.rooms.get(&appending.room.nid);
        let joined = appending.room.joined();
        let event = PushEvent::new(appending.pdu);
        let room = PushRoom {
            member_count: u64::try_from(joined.len()).unwrap_or(u64::MAX),
            auth: appending.auth,
        };
        let plain = PlainOutcome::new(&event, room);
        let unnamed = plain.unnamed();
        let mut effects: BTreeMap<UserNid, Effect> = BTreeMap::new();
        if unnamed.notify && unnamed.highlight {
            effects.extend(joined.iter().map(|user| (*user, Effect::of(Some(unnamed)))));
        }
        for (user_id, user) in appending.named {
            if joined.contains(user) {
                effects.insert(*user, Effect::of(Some(plain.for_user(user_id))));
            }
        }
        for (user, special) in known.iter().flat_map(|known| &known.special) {
            if joined.contains(user) {
                let Special { user_id, rules } = special;
                let outcome = rules.outcome(&event, room, appending.state, user_id);
                effects.insert(*user, Effect::of(outcome));
            }
        }
        effects.remove(&appending.sender);
        let counts = Effect::of(Some(unnamed)).notify;
        let actions = effects.into_iter().filter_map(|(user, effect)| effect.action(user, counts));
        Verdict { counts, actions: actions.collect() }
    }
}

/// What an event does for one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Effect {
    notify: bool,
    highlight: bool,
}

impl Effect {
    /// A highlight that does not notify is none.
    fn of(outcome: Option<&Outcome>) -> Self {
        outcome
            .filter(|outcome| outcome.notify)
            .map_or(Self::default(), |outcome| Self { notify: true, highlight: outcome.highlight })
    }

    /// What must be noted, for an event that notifies by default or not.
    fn action(self, user: UserNid, counts: bool) -> Option<PushAction> {
        let notify = i8::from(self.notify) - i8::from(counts);
        (notify != 0 || self.highlight).then_some(PushAction {
            user,
            notify,
            highlight: self.highlight,
        })
    }
}
