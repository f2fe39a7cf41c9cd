//! From commits to desks: whom of those with pushers an event notifies.

use std::{collections::HashMap, sync::Arc, sync::atomic::Ordering, time::Duration};

use haechi_base::{Millis, Positions, RoomNid, StreamPos, UserNid};
use haechi_rooms::{Event, Room};
use haechi_store::{Change, Commit, Note};
use ruma::push::Tweak;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    Push, Result, closed,
    desks::Item,
    model::PusherNid,
    notice::invited,
    pushers::Registered,
    store::progress::{LoadProgress, Places, SaveProgress, Standing},
};

/// Commits that wait to be looked at; of more, the events are read from the tables.
pub(crate) const COMMITS_WAITING_MAX: usize = 1_024;
/// Events that are read again one by one; when there are more, each pusher looks for its own.
const REPLAY_MAX: i64 = 50_000;
/// Events read at once.
const REPLAY_PAGE: usize = 1_000;
/// Pushers read at once.
const PUSHERS_PAGE: i64 = 1_000;
/// How often it is noted how far pushers have come.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// A desk that has been busy for longer is noted by itself and holds the others up no more.
const YOUNG: Duration = Duration::from_secs(2);
/// How often a look at an event is tried again while the database is in trouble.
const LOOKS_MAX: u32 = 6;

/// What is of interest in a commit.
pub(crate) struct Heard {
    horizon: Positions,
    notes: Vec<Note>,
}

impl Push {
    /// To be called with every commit of the feed, in order. Does not wait.
    pub fn on_commit(&self, commit: &Commit) {
        if !commit.foreign.is_empty() {
            self.0.book.forget_all();
        }
        for note in commit.notes.iter().chain(&commit.heard) {
            if let Change::AccountData(user) = note.change {
                self.0.book.forget(user);
            }
        }
        let is_of_interest = |note: &&Note| {
            matches!(note.change, Change::Event(_) | Change::Receipt(..) | Change::ReadState(..))
        };
        let notes = if self.0.registry.is_empty() {
            Vec::new()
        } else {
            commit.notes.iter().filter(is_of_interest).cloned().collect()
        };
        let heard = Heard { horizon: commit.horizon.clone(), notes };
        if self.0.heard.try_send(heard).is_err() {
            self.0.missed.store(true, Ordering::Release);
        }
    }

    /// Reads who has pushers and goes on where the server stopped. Returns what is noted of it.
    pub(crate) async fn restore(&self) -> Result<Noted> {
        let handled = self.0.db.read(LoadProgress).await?;
        let mut noted = Noted { handled, pushers: HashMap::new() };
        let mut after = PusherNid(i64::MIN);
        loop {
            let places = self.0.db.read(Places { after, limit: PUSHERS_PAGE }).await?;
            let Some(last) = places.last() else { return Ok(noted) };
            after = last.id;
            for place in places {
                let registered = Registered { id: place.id, created: place.created };
                self.0.registry.add(place.user, registered);
                if let Some(behind) = place.behind.clone() {
                    noted.pushers.insert(place.id, Standing::from(&place));
                    let staffed = self.0.desks.restore(&place, behind, self.0.clock.now());
                    self.staff(place.id, place.user, staffed);
                }
            }
        }
    }

    /// Works through what is heard until the server closes.
    pub(crate) async fn listen(self, mut feed: mpsc::Receiver<Heard>, mut noted: Noted) {
        let mut handled = noted.handled.clone();
        let mut closing = self.0.closing.clone();
        let mut noting = interval(NOTE_EVERY);
        noting.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.replay(&mut handled).await;
        loop {
            tokio::select! {
                heard = feed.recv() => match heard {
                    Some(heard) => self.hear(heard, &mut handled).await,
                    None => break,
                },
                _ = noting.tick() => self.note(&handled, &mut noted).await,
                () = closed(&mut closing) => break,
            }
        }
        self.note(&handled, &mut noted).await;
    }

    async fn hear(&self, heard: Heard, handled: &mut Positions) {
        if self.0.missed.swap(false, Ordering::AcqRel) {
            self.replay(handled).await;
        }
        let after = Arc::new(handled.clone());
        for note in &heard.notes {
            if handled.covers(note.pos) {
                continue;
            }
            match note.change {
                Change::Event(room) => self.look(room, note.pos, &after).await,
                Change::Receipt(_, user) | Change::ReadState(_, user) => self.recount(user),
                _ => {}
            }
        }
        handled.merge(&heard.horizon);
    }

    /// Reads the events behind `handled` from the tables.
    async fn replay(&self, handled: &mut Positions) {
        let horizon = self.0.db.horizon().borrow().clone();
        let ranges = handled.ranges_to(&horizon);
        let count: i64 = ranges.iter().map(|(after, to)| to.offset() - after.offset()).sum();
        let from = Arc::new(handled.clone());
        handled.merge(&horizon);
        if self.0.registry.is_empty() {
            return;
        }
        if count > REPLAY_MAX {
            return self.fall_behind(&from);
        }
        for (mut after, to) in ranges {
            loop {
                let page = self.0.rooms.events_between(after, to, REPLAY_PAGE).await;
                let Ok(page) = page.inspect_err(|error| {
                    tracing::error!(%error, "cannot read the events that pushers missed");
                }) else {
                    return self.fall_behind(&from);
                };
                let Some((last, _)) = page.last() else { break };
                after = *last;
                for (pos, room) in page {
                    self.look(room, pos, &from).await;
                }
            }
        }
    }

    /// Lets each pusher look for itself what came after `from`.
    fn fall_behind(&self, from: &Arc<Positions>) {
        for (user, pusher) in self.0.registry.all() {
            let now = self.0.clock.now();
            let staffed = self.0.desks.put_behind(pusher.id, now, from);
            self.staff(pusher.id, user, staffed);
        }
    }

    /// Puts an event on the desks of those whom it notifies.
    async fn look(&self, room: RoomNid, pos: StreamPos, after: &Arc<Positions>) {
        let mut pause = Duration::from_millis(50);
        for _ in 0..LOOKS_MAX {
            let Err(error) = self.look_once(room, pos, after).await else { return };
            tracing::warn!(room = room.0, %error, "cannot tell whom an event notifies");
            sleep(pause).await;
            pause *= 2;
        }
    }

    async fn look_once(&self, room: RoomNid, pos: StreamPos, after: &Arc<Positions>) -> Result<()> {
        let room = self.0.rooms.room(room).await?;
        let mut users = self.0.registry.among(&room.joined());
        let Some(event) = self.0.rooms.event_at(&room, pos).await? else { return Ok(()) };
        if let Some(invited) = invited(&event)
            && let Some(user) = self.0.book.users().find(&invited).await?
            && !self.0.registry.of(user).is_empty()
        {
            users.push(user);
        }
        if users.contains(&event.sender) {
            // Who writes has read.
            self.recount(event.sender);
            users.retain(|user| *user != event.sender);
        }
        if users.is_empty() {
            return Ok(());
        }
        self.put(&room, &event, &users, after).await
    }

    async fn put(
        &self,
        room: &Arc<Room>,
        event: &Arc<Event>,
        users: &[UserNid],
        after: &Arc<Positions>,
    ) -> Result<()> {
        let notified = self.outcomes(room, event, users, |user, outcome| -> (_, Arc<[Tweak]>) {
            (user, outcome.tweaks().cloned().collect())
        });
        for (user, tweaks) in notified.await? {
            for pusher in self.0.registry.of(user) {
                if event.pdu.origin_server_ts() < pusher.created.0 {
                    continue;
                }
                let item = Item {
                    room: Arc::clone(room),
                    event: Arc::clone(event),
                    tweaks: Arc::clone(&tweaks),
                    after: Arc::clone(after),
                };
                let staffed = self.0.desks.put(pusher.id, self.0.clock.now(), item);
                self.staff(pusher.id, user, staffed);
            }
        }
        Ok(())
    }

    /// The user has read something: the number on the badge may be another.
    fn recount(&self, user: UserNid) {
        for pusher in self.0.registry.of(user) {
            if self.0.badges.get(&pusher.id).is_some_and(|badge| badge > 0) {
                let staffed = self.0.desks.put_badge(pusher.id, self.0.clock.now());
                self.staff(pusher.id, user, staffed);
            }
        }
    }

    /// Notes how far pushers have come, if that has changed.
    async fn note(&self, handled: &Positions, noted: &mut Noted) {
        if self.0.registry.is_empty() && noted.pushers.is_empty() {
            return;
        }
        let young = Millis(self.0.clock.now().0 - i64::try_from(YOUNG.as_millis()).unwrap_or(0));
        let (handled, pushers) = self.0.desks.progress(handled, young);
        let work = SaveProgress { handled: handled.clone(), pushers: noted.changes(&pushers) };
        if work.pushers.is_empty() && noted.handled == handled {
            return;
        }
        match self.0.db.write(work).await {
            Ok(()) => *noted = Noted { handled, pushers },
            Err(error) => tracing::warn!(%error, "cannot note how far pushers have come"),
        }
    }
}

/// What the tables say.
pub(crate) struct Noted {
    handled: Positions,
    pushers: HashMap<PusherNid, Standing>,
}

impl Noted {
    /// What must be written so that the tables say `now`.
    fn changes(&self, now: &HashMap<PusherNid, Standing>) -> Vec<(PusherNid, Standing)> {
        let changed = now
            .iter()
            .filter(|(id, standing)| self.pushers.get(id) != Some(*standing))
            .map(|(id, standing)| (*id, standing.clone()));
        let is_done = |id: &&PusherNid| !now.contains_key(*id);
        let done = self
            .pushers
            .keys()
            .filter(is_done)
            .map(|id| (*id, Standing { behind: None, failures: 0, failing_since: None }));
        let mut changes: Vec<_> = changed.chain(done).collect();
        changes.sort_unstable_by_key(|(id, _)| *id);
        changes
    }
}
