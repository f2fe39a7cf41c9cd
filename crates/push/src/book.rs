//! Who has which push rules: a memory of them that hears of every change.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use haechi_accounts::{Accounts, Users};
use haechi_base::UserNid;
use haechi_matrix::{
    json::Object,
    push_rules::{Outcome, PushEvent, PushMember, PushRoom, PushRules},
};
use haechi_rooms::State;
use moka::sync::Cache;
use parking_lot::Mutex;
use ruma::{OwnedUserId, UserId, push::Ruleset};
use serde::Deserialize;
use serde_json::{Map, Value as Json, value::RawValue};

use crate::Result;

/// The account data that holds the rules.
pub const PUSH_RULES: &str = "m.push_rules";
/// The account data that holds whom the user ignores.
const IGNORED_USERS: &str = "m.ignored_user_list";

/// Users remembered; nearly all of them share one set of rules.
const USERS_MAX: u64 = 500_000;
/// Users read at once.
const USERS_READ_MAX: usize = 2_000;
/// Changes remembered; who has missed more looks at everybody again.
const CHANGES_MAX: usize = 1_024;
/// How often a look-up is done again when a change came between.
const READS_MAX: usize = 4;

/// What decides for one user whether an event notifies.
#[derive(Debug)]
pub(crate) struct UserRules {
    rules: PushRules,
    /// Nothing that these send notifies.
    ignored: HashSet<OwnedUserId>,
}

static PLAIN: LazyLock<Arc<UserRules>> =
    LazyLock::new(|| Arc::new(UserRules { rules: PushRules::plain(), ignored: HashSet::new() }));

impl UserRules {
    /// Are these the default rules, with nobody ignored?
    pub(crate) fn is_plain(&self) -> bool {
        self.rules.is_plain() && self.ignored.is_empty()
    }

    /// What they say of an event that notifies; `None` for any other. `state` is the room's.
    pub(crate) fn outcome(
        &self,
        event: &PushEvent<'_>,
        room: PushRoom<'_>,
        state: &State,
        user: &UserId,
    ) -> Option<&Outcome> {
        if self.ignored.contains(event.sender()) {
            return None;
        }
        let asks_name = self.rules.asks_display_name();
        let name = if asks_name { display_name(state, user) } else { None };
        let member = PushMember { user, display_name: name.as_deref() };
        Some(self.rules.evaluate(event, room, member)).filter(|outcome| outcome.notify)
    }
}

/// What the user is called in the room.
pub(crate) fn display_name(state: &State, user: &UserId) -> Option<String> {
    let member = state.get("m.room.member", user.as_str())?;
    Object::parse(member.content()).ok()?.get_str("displayname").map(str::to_owned)
}

/// The rules of the users of this server; clones share them.
#[derive(Clone)]
pub(crate) struct RuleBook(Arc<Inner>);

struct Inner {
    accounts: Accounts,
    known: Cache<UserNid, Arc<UserRules>>,
    /// Grows with every change.
    epoch: AtomicU64,
    /// Whose rules changed last: the newest brought the epoch to where it is. Also the lock under
    /// which `known` is changed.
    changes: Mutex<VecDeque<UserNid>>,
}

impl RuleBook {
    pub(crate) fn new(accounts: Accounts) -> Self {
        Self(Arc::new(Inner {
            accounts,
            known: Cache::new(USERS_MAX),
            epoch: AtomicU64::new(0),
            changes: Mutex::default(),
        }))
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    pub(crate) fn users(&self) -> &Users {
        self.0.accounts.users()
    }

    /// A number that grows with every change.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::Acquire)
    }

    /// Whose rules changed after `epoch`; `None` when that was too long ago to tell.
    pub(crate) fn changed_since(&self, epoch: u64) -> Option<Vec<UserNid>> {
        self.changed(&self.0.changes.lock(), epoch)
    }

    fn changed(&self, changes: &VecDeque<UserNid>, epoch: u64) -> Option<Vec<UserNid>> {
        let count = usize::try_from(self.epoch() - epoch).unwrap_or(usize::MAX);
        let first = changes.len().checked_sub(count)?;
        Some(changes.range(first..).copied().collect())
    }

    /// Forgets what is known of a user whose rules have changed.
    pub(crate) fn forget(&self, user: UserNid) {
        let mut changes = self.0.changes.lock();
        if changes.len() == CHANGES_MAX {
            changes.pop_front();
        }
        changes.push_back(user);
        self.0.epoch.fetch_add(1, Ordering::AcqRel);
        self.0.known.invalidate(&user);
    }

    /// Forgets everything: another node may have changed anybody's rules.
    pub(crate) fn forget_all(&self) {
        let mut changes = self.0.changes.lock();
        changes.clear();
        self.0.epoch.fetch_add(1, Ordering::AcqRel);
        self.0.known.invalidate_all();
    }

    /// The rules of users.
    pub(crate) async fn of_all(&self, users: &[UserNid]) -> Result<Vec<(UserNid, Arc<UserRules>)>> {
        let mut found = Vec::with_capacity(users.len());
        let mut missing = Vec::new();
        for user in users {
            match self.0.known.get(user) {
                Some(rules) => found.push((*user, rules)),
                None => missing.push(*user),
            }
        }
        for users in missing.chunks(USERS_READ_MAX) {
            found.extend(self.read(users).await?);
        }
        Ok(found)
    }

    async fn read(&self, users: &[UserNid]) -> Result<BTreeMap<UserNid, Arc<UserRules>>> {
        let mut found = BTreeMap::new();
        for _ in 0..READS_MAX {
            let epoch = self.epoch();
            found = self.read_once(users).await?;
            let changes = self.0.changes.lock();
            let changed = self.changed(&changes, epoch);
            if changed.is_some_and(|changed| !changed.iter().any(|user| found.contains_key(user))) {
                for (user, rules) in &found {
                    self.0.known.insert(*user, Arc::clone(rules));
                }
                break;
            }
        }
        Ok(found)
    }

    async fn read_once(&self, users: &[UserNid]) -> Result<BTreeMap<UserNid, Arc<UserRules>>> {
        let mut found: BTreeMap<UserNid, Arc<UserRules>> =
            users.iter().map(|user| (*user, Arc::clone(&PLAIN))).collect();
        let mut special: BTreeMap<UserNid, (PushRules, HashSet<OwnedUserId>)> = BTreeMap::new();
        let kinds = &[PUSH_RULES, IGNORED_USERS];
        for (user, kind, content) in self.0.accounts.account_data_of(users.to_vec(), kinds).await? {
            let entry = special.entry(user).or_insert_with(|| (PushRules::plain(), HashSet::new()));
            if kind == PUSH_RULES {
                let id = self.users().id_of(user).await?;
                entry.0 = PushRules::new(&id, &ruleset(&id, Some(&content)));
            } else {
                entry.1 = ignored(&content);
            }
        }
        for (user, (rules, ignored)) in special {
            let rules = UserRules { rules, ignored };
            if !rules.is_plain() {
                found.insert(user, Arc::new(rules));
            }
        }
        Ok(found)
    }
}

#[derive(Deserialize)]
struct PushRulesContent {
    global: Ruleset,
}

/// The rules that a user's account data holds, with the server's default rules as they are now.
pub(crate) fn ruleset(user: &UserId, content: Option<&RawValue>) -> Ruleset {
    let defaults = Ruleset::server_default(user);
    let stored = content.and_then(|content| {
        serde_json::from_str::<PushRulesContent>(content.get())
            .inspect_err(|error| tracing::error!(%error, "unreadable push rules"))
            .ok()
    });
    match stored {
        None => defaults,
        Some(PushRulesContent { mut global }) => {
            global.update_with_server_default(defaults);
            global
        }
    }
}

fn ignored(content: &RawValue) -> HashSet<OwnedUserId> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        ignored_users: Map<String, Json>,
    }
    // What clients write there is theirs; what is no list ignores nobody.
    let content = serde_json::from_str::<Content>(content.get());
    let users = content.map(|content| content.ignored_users).unwrap_or_default();
    users.into_iter().filter_map(|(user, _)| user.try_into().ok()).collect()
}
