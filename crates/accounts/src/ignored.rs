//! Whom a user does not want to hear of (client-server API, "Ignoring Users").

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use haechi_base::UserNid;
use moka::sync::Cache;
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;

use crate::{Accounts, Result, limits};

/// The account data that holds the list.
const KIND: &str = "m.ignored_user_list";

/// The users whom somebody ignores. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignored(Arc<BTreeSet<UserNid>>);

impl Ignored {
    /// Is this user ignored?
    pub fn contains(&self, user: UserNid) -> bool {
        self.0.contains(&user)
    }

    /// Is nobody ignored?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who is ignored.
    pub fn iter(&self) -> impl Iterator<Item = UserNid> {
        self.0.iter().copied()
    }
}

impl FromIterator<UserNid> for Ignored {
    fn from_iter<I: IntoIterator<Item = UserNid>>(users: I) -> Self {
        Self(Arc::new(users.into_iter().collect()))
    }
}

/// The lists asked for lately.
pub(crate) struct IgnoredCache {
    lists: Cache<UserNid, Ignored>,
    /// Grows with every change, so that a load can tell whether it was overtaken.
    changes: AtomicU64,
}

impl IgnoredCache {
    pub(crate) fn new() -> Self {
        let lists = Cache::builder()
            .max_capacity(limits::IGNORED_CACHED_MAX)
            // Another node may change a list without our hearing of it.
            .time_to_live(limits::IGNORED_CACHED)
            .build();
        Self { lists, changes: AtomicU64::new(0) }
    }

    /// Another node wrote account data: of this user, or of anybody.
    pub(crate) fn forget(&self, user: Option<UserNid>) {
        self.changes.fetch_add(1, Ordering::AcqRel);
        match user {
            Some(user) => self.lists.invalidate(&user),
            None => self.lists.invalidate_all(),
        }
    }

    /// Takes note that an entry of a user's account data was written.
    pub(crate) fn written(&self, user: UserNid, kind: &str) {
        if kind == KIND {
            self.changes.fetch_add(1, Ordering::AcqRel);
            self.lists.invalidate(&user);
        }
    }
}

#[derive(Deserialize, Default)]
struct Content {
    #[serde(default)]
    ignored_users: BTreeMap<String, serde_json::Value>,
}

impl Accounts {
    /// Whom the user ignores, which is nobody for most.
    pub async fn ignored(&self, user: UserNid) -> Result<Ignored> {
        let cache = &self.0.ignored;
        if let Some(ignored) = cache.lists.get(&user) {
            return Ok(ignored);
        }
        let changes = cache.changes.load(Ordering::Acquire);
        let content = self.account_data(user, None, KIND).await?;
        // What is malformed ignores nobody.
        let content: Content = content
            .and_then(|content| serde_json::from_str(content.get()).ok())
            .unwrap_or_default();
        let named: Vec<OwnedUserId> = content
            .ignored_users
            .keys()
            .take(limits::IGNORED_MAX)
            .filter_map(|id| UserId::parse(id).ok())
            .collect();
        let found = self.users().find_many(&named).await?;
        // Nobody can ignore themselves: their own events would be gone.
        let ignored: Ignored = found.into_iter().flatten().filter(|other| *other != user).collect();
        if cache.changes.load(Ordering::Acquire) == changes {
            cache.lists.insert(user, ignored.clone());
        }
        Ok(ignored)
    }
}
