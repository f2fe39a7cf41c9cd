//! Who is there now. Kept in memory: after a restart everybody is away until he syncs.

use std::{sync::Arc, time::Duration};

use haechi_base::{Clock, Millis, StreamPos, UserNid};
use haechi_store::{Change, Db, Tx, Work};
use moka::{ops::compute::Op, sync::Cache};
use ruma::presence::PresenceState;

use crate::{Refusal, Result, limits};

/// Who has not synced for so long is offline.
const OFFLINE_AFTER: Duration = Duration::from_mins(1);
/// Who has done nothing for so long is not active any more.
const ACTIVE_FOR: Duration = Duration::from_mins(1);
/// A sync need not be noted more often.
const SYNC_NOTED_EVERY: Duration = Duration::from_secs(10);

/// A user's presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceInfo {
    /// What he is, or says he is.
    pub state: PresenceState,
    /// What he says of it.
    pub status: Option<String>,
    /// How long ago he last did something; `None` for who was never heard of.
    pub idle: Option<Duration>,
    /// Did he do something just now?
    pub is_active: bool,
    /// When the state last changed; zero for who was never heard of.
    pub pos: StreamPos,
}

#[derive(Clone, Debug)]
struct Entry {
    state: PresenceState,
    status: Option<Arc<str>>,
    active: Millis,
    synced: Millis,
    pos: StreamPos,
}

/// Everybody's presence, or nobody's where it is switched off. Clones share it.
#[derive(Clone)]
pub struct Presence {
    db: Db,
    clock: Clock,
    entries: Option<Cache<UserNid, Entry>>,
}

/// Takes a place in the lane for a change of presence, and puts the change into the memory before
/// anybody hears of it.
struct Announce {
    user: UserNid,
    entry: Entry,
    entries: Cache<UserNid, Entry>,
}

impl Work for Announce {
    const NAME: &'static str = "accounts.announce_presence";
    type Out = StreamPos;

    async fn run(&self, tx: &mut Tx<'_>) -> haechi_store::Result<StreamPos> {
        tx.announce(Change::Presence(self.user))
    }

    fn committed(&self, pos: &StreamPos) {
        self.entries.insert(self.user, Entry { pos: *pos, ..self.entry.clone() });
    }
}

impl Presence {
    /// Nobody is there yet. `is_on`: otherwise nothing is kept and nobody is told.
    pub fn new(db: Db, clock: Clock, is_on: bool) -> Self {
        let entries = is_on.then(|| Cache::new(limits::PRESENCES_MAX as u64));
        Self { db, clock, entries }
    }

    /// Is presence told at all?
    pub fn is_on(&self) -> bool {
        self.entries.is_some()
    }

    /// The user says what he is.
    pub async fn set(
        &self,
        user: UserNid,
        state: PresenceState,
        status: Option<String>,
    ) -> Result<()> {
        if status.as_ref().is_some_and(|status| status.len() > limits::STATUS_BYTES_MAX) {
            return Err(Refusal::InvalidValue("the status message is too long").into());
        }
        let now = self.clock.now();
        let status = status.map(Arc::from);
        self.put(user, Entry { state, status, active: now, synced: now, pos: StreamPos(0) }).await
    }

    /// The user synced, saying `state`. Costs nothing while that is what he is already.
    pub async fn synced(&self, user: UserNid, state: PresenceState) -> Result<()> {
        let Some(entries) = &self.entries else { return Ok(()) };
        if state == PresenceState::Offline {
            return Ok(()); // "do not count this sync"
        }
        let now = self.clock.now();
        let before = entries.get(&user);
        let active = match (&before, state == PresenceState::Online) {
            (Some(before), false) => before.active,
            _ => now,
        };
        let status = before.as_ref().and_then(|before| before.status.clone());
        match before {
            Some(before) if before.state == state => {
                if now.since(before.synced) >= SYNC_NOTED_EVERY {
                    // He may just have said to be something else.
                    entries.entry(user).and_compute_with(|entry| match entry {
                        Some(entry) if entry.value().pos == before.pos => {
                            Op::Put(Entry { active, synced: now, ..before })
                        }
                        _ => Op::Nop,
                    });
                }
                Ok(())
            }
            _ => {
                self.put(user, Entry { state, status, active, synced: now, pos: StreamPos(0) })
                    .await
            }
        }
    }

    async fn put(&self, user: UserNid, entry: Entry) -> Result<()> {
        let Some(entries) = &self.entries else { return Ok(()) };
        let entries = entries.clone();
        self.db.write(Announce { user, entry, entries }).await?;
        Ok(())
    }

    /// The user's presence now; `None` where it is switched off.
    pub fn get(&self, user: UserNid) -> Option<PresenceInfo> {
        let entry = self.entries.as_ref()?.get(&user);
        let now = self.clock.now();
        Some(match entry {
            Some(entry) => PresenceInfo {
                is_active: entry.state == PresenceState::Online
                    && now.since(entry.active) < ACTIVE_FOR,
                state: entry.state,
                status: entry.status.map(|status| status.to_string()),
                idle: Some(now.since(entry.active)),
                pos: entry.pos,
            },
            None => PresenceInfo {
                state: PresenceState::Offline,
                status: None,
                idle: None,
                is_active: false,
                pos: StreamPos(0),
            },
        })
    }

    /// Marks as offline who has not synced for a while. To be called every few seconds.
    pub async fn expire(&self) -> Result<()> {
        let Some(entries) = &self.entries else { return Ok(()) };
        let now = self.clock.now();
        let late: Vec<(UserNid, Entry)> = entries
            .iter()
            .filter(|(_, entry)| entry.state != PresenceState::Offline)
            .filter(|(_, entry)| now.since(entry.synced) >= OFFLINE_AFTER)
            .map(|(user, entry)| (*user, entry))
            .collect();
        for (user, entry) in late {
            self.put(user, Entry { state: PresenceState::Offline, ..entry }).await?;
        }
        Ok(())
    }
}
