//! Answers that a busy `/sync` needs each time and that seldom change.

use std::sync::Arc;

use haechi_base::UserNid;
use haechi_store::{Change, Commit};

use crate::{KeyCounts, cache::DeviceCache};

/// What is known without asking the database. Works forget entries when they commit.
pub(crate) struct Caches {
    pub(crate) counts: DeviceCache<Arc<KeyCounts>>,
    /// Devices for which no message waits.
    pub(crate) empty_mailboxes: DeviceCache<()>,
}

impl Caches {
    pub(crate) fn new() -> Self {
        Self { counts: DeviceCache::new(), empty_mailboxes: DeviceCache::new() }
    }

    /// Forgets what other nodes changed.
    pub(crate) fn hear(&self, commit: &Commit) {
        if !commit.foreign.is_empty() {
            self.counts.forget_all();
            self.empty_mailboxes.forget_all();
            return;
        }
        for note in &commit.heard {
            match &note.change {
                Change::ToDevice(user, device) => self.empty_mailboxes.forget(*user, device),
                Change::DeviceKeys(user, device) => self.counts.forget(*user, device),
                _ => {}
            }
        }
    }

    pub(crate) fn forget(&self, user: UserNid, device: &str) {
        self.counts.forget(user, device);
        self.empty_mailboxes.forget(user, device);
    }
}
