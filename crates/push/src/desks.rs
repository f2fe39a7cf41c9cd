//! What each pusher has to do: a desk for each one that has anything.
//!
//! In good times a desk holds a few events for a moment. When the gateway is in trouble, or too much
//! comes at once, the desk keeps only how far it has come; what is missing is looked up when it goes
//! on, and of much only the newest is told.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};

use haechi_base::{LaneId, Millis, Positions, StreamPos};
use haechi_rooms::{Event, Room};
use parking_lot::Mutex;
use ruma::push::Tweak;
use tokio::sync::Notify;

use crate::{
    model::PusherNid,
    store::progress::{Place, Standing},
};

/// Events that wait for one pusher; with more it looks them up later.
const WAITING_MAX: usize = 20;

/// An event to be told of.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) room: Arc<Room>,
    pub(crate) event: Arc<Event>,
    pub(crate) tweaks: Arc<[Tweak]>,
    /// All up to here had been told when this one came.
    pub(crate) after: Arc<Positions>,
}

/// What a pusher has to do next.
#[derive(Debug)]
pub(crate) enum Task {
    Tell(Box<Item>),
    /// To look up what came after this point.
    CatchUp(Arc<Positions>),
    /// To tell of the number on the badge.
    Badge,
    Nothing,
}

#[derive(Debug)]
struct Desk {
    queue: VecDeque<Item>,
    /// Where to catch up from.
    behind: Option<Arc<Positions>>,
    /// Where the catching up that goes on began.
    catching_up: Option<Arc<Positions>>,
    /// What catching up has covered; not to be queued again.
    covered: Positions,
    /// The event told last.
    told: Option<StreamPos>,
    badge: bool,
    failures: u32,
    failing_since: Option<Millis>,
    since: Millis,
    wake: Arc<Notify>,
}

/// All desks.
#[derive(Default)]
pub(crate) struct Desks(Mutex<HashMap<PusherNid, Desk>>);

/// Does somebody work at the desk already?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Staffed {
    Yes,
    /// Somebody must be called to it.
    No,
}

impl Desk {
    fn new(since: Millis) -> Self {
        Self {
            queue: VecDeque::new(),
            behind: None,
            catching_up: None,
            covered: Positions::default(),
            told: None,
            badge: false,
            failures: 0,
            failing_since: None,
            since,
            wake: Arc::default(),
        }
    }

    /// How far the pusher has come; `None` when it has nothing left to tell.
    fn reached(&self) -> Option<&Arc<Positions>> {
        let queued = || self.queue.front().map(|item| &item.after);
        self.behind.as_ref().or(self.catching_up.as_ref()).or_else(queued)
    }

    /// Leaves everything to be looked up later.
    fn fall_behind(&mut self) {
        self.behind = self.reached().cloned();
        self.catching_up = None;
        self.queue.clear();
    }
}

impl Desks {
    fn at<T>(&self, id: PusherNid, act: impl FnOnce(&mut Desk) -> T) -> Option<T> {
        self.0.lock().get_mut(&id).map(act)
    }

    fn open(&self, id: PusherNid, now: Millis, act: impl FnOnce(&mut Desk)) -> Staffed {
        match self.0.lock().entry(id) {
            Entry::Occupied(mut desk) => {
                act(desk.get_mut());
                Staffed::Yes
            }
            Entry::Vacant(place) => {
                act(place.insert(Desk::new(now)));
                Staffed::No
            }
        }
    }

    /// Puts an event on the desk.
    pub(crate) fn put(&self, id: PusherNid, now: Millis, item: Item) -> Staffed {
        self.open(id, now, |desk| {
            if desk.behind.is_some() || desk.covered.covers(item.event.pos) {
                return;
            }
            desk.queue.push_back(item);
            if desk.queue.len() > WAITING_MAX {
                desk.fall_behind();
            }
        })
    }

    /// Asks for the number on the badge to be told.
    pub(crate) fn put_badge(&self, id: PusherNid, now: Millis) -> Staffed {
        self.open(id, now, |desk| desk.badge = true)
    }

    /// Sets a pusher back to `from`, unless it is further behind already.
    pub(crate) fn put_behind(&self, id: PusherNid, now: Millis, from: &Arc<Positions>) -> Staffed {
        self.open(id, now, |desk| {
            desk.fall_behind();
            desk.behind.get_or_insert_with(|| Arc::clone(from));
        })
    }

    /// Sets a pusher up as it stood when the server stopped.
    pub(crate) fn restore(&self, place: &Place, behind: Positions, now: Millis) -> Staffed {
        self.open(place.id, now, |desk| {
            desk.behind = Some(Arc::new(behind));
            desk.failures = place.failures;
            desk.failing_since = place.failing_since;
        })
    }

    /// What to do next. With nothing left the desk is gone.
    pub(crate) fn next(&self, id: PusherNid) -> Task {
        let mut desks = self.0.lock();
        let Some(desk) = desks.get_mut(&id) else { return Task::Nothing };
        if let Some(from) = &desk.behind {
            return Task::CatchUp(Arc::clone(from));
        }
        if let Some(item) = desk.queue.front() {
            return Task::Tell(Box::new(item.clone()));
        }
        desk.catching_up = None;
        if std::mem::take(&mut desk.badge) {
            return Task::Badge;
        }
        desks.remove(&id);
        Task::Nothing
    }

    /// Begins to catch up to `to`; what comes from now on is queued again.
    pub(crate) fn begin_catching_up(&self, id: PusherNid, to: Positions) {
        self.at(id, |desk| {
            desk.catching_up = desk.behind.take();
            desk.covered = to;
        });
    }

    /// Puts what was found on the desk, before what came meanwhile.
    pub(crate) fn caught_up(&self, id: PusherNid, found: Vec<Item>) {
        self.at(id, |desk| {
            if desk.behind.is_none() {
                let later = std::mem::take(&mut desk.queue);
                // It may have been on its way when the desk fell behind.
                let told = desk.told;
                desk.queue.extend(found.into_iter().filter(|item| Some(item.event.pos) != told));
                desk.queue.extend(later);
            }
        });
    }

    /// An event has been told.
    pub(crate) fn told(&self, id: PusherNid, pos: StreamPos) {
        self.at(id, |desk| {
            desk.failures = 0;
            desk.failing_since = None;
            desk.told = Some(pos);
            if desk.queue.front().is_some_and(|item| item.event.pos == pos) {
                desk.queue.pop_front();
            }
        });
    }

    /// Telling failed. Returns how often in a row, and since when.
    pub(crate) fn failed(&self, id: PusherNid, now: Millis) -> (u32, Millis) {
        self.at(id, |desk| {
            desk.fall_behind();
            desk.failures = desk.failures.saturating_add(1);
            (desk.failures, *desk.failing_since.get_or_insert(now))
        })
        .unwrap_or((0, now))
    }

    /// Gives up what the pusher has not told.
    pub(crate) fn give_up(&self, id: PusherNid) {
        self.at(id, |desk| {
            desk.queue.clear();
            desk.behind = None;
            desk.catching_up = None;
            desk.failures = 0;
            desk.failing_since = None;
        });
    }

    /// Takes the desk away: the pusher is no more.
    pub(crate) fn remove(&self, id: PusherNid) {
        self.0.lock().remove(&id);
    }

    /// A pusher that waits to try again tries at once.
    pub(crate) fn wake(&self, id: PusherNid) {
        self.at(id, |desk| desk.wake.notify_one());
    }

    /// What wakes the pusher from waiting.
    pub(crate) fn waker(&self, id: PusherNid) -> Arc<Notify> {
        self.at(id, |desk| Arc::clone(&desk.wake)).unwrap_or_default()
    }

    /// How far all lanes are handled for all but those pushers that are listed, with their own
    /// standing. Those are listed that failed or that have been busy since before `young`.
    pub(crate) fn progress(
        &self,
        handled: &Positions,
        young: Millis,
    ) -> (Positions, HashMap<PusherNid, Standing>) {
        let mut handled = handled.clone();
        let mut listed = HashMap::new();
        for (id, desk) in &*self.0.lock() {
            let Some(reached) = desk.reached() else { continue };
            if desk.failures > 0 || desk.since < young {
                let standing = Standing {
                    behind: Some(reached.to_string()),
                    failures: desk.failures,
                    failing_since: desk.failing_since,
                };
                listed.insert(*id, standing);
                continue;
            }
            let lanes: Vec<(LaneId, i64)> = handled.iter().collect();
            for (lane, offset) in lanes {
                handled.set(lane, offset.min(reached.get(lane)));
            }
        }
        (handled, listed)
    }
}
