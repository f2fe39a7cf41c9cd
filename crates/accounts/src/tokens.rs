//! Secrets, their hashes, and the memory of who is behind them.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use haechi_base::{Millis, UserNid};
use moka::sync::Cache;

use crate::{Session, limits};

/// Hash of a secret; what the database and the caches know of it.
///
/// The secrets are 32 random bytes, so a fast hash without salt is as good as a slow one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenHash(pub(crate) [u8; 32]);

impl TokenHash {
    pub(crate) fn of(secret: &str) -> Self {
        Self(*blake3::hash(secret.as_bytes()).as_bytes())
    }

    /// The hash as read from the database; `None` when the bytes are no hash.
    pub(crate) fn from_row(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// A new secret. The prefix tells people, and scanners for leaked secrets, what it is.
pub(crate) fn new_secret(prefix: &str) -> String {
    format!("haechi_{prefix}_{}", BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// A new device id: ten capitals.
pub(crate) fn new_device_id() -> String {
    (0..10).map(|_| char::from(rand::random_range(b'A'..=b'Z'))).collect()
}

/// What is remembered of an access token.
pub(crate) struct Remembered {
    pub(crate) session: Session,
    pub(crate) expires: Option<Millis>,
    /// When its device's activity was last noted.
    seen_ms: AtomicI64,
}

impl Remembered {
    /// Is it time to note that the device is in use?
    pub(crate) fn note_seen(&self, now: Millis) -> bool {
        let before = Millis(self.seen_ms.load(Ordering::Relaxed));
        let due = before == Millis(0) || now.since(before) >= limits::SEEN_EVERY;
        if due {
            self.seen_ms.store(now.0, Ordering::Relaxed);
        }
        due
    }
}

/// A device that was used, to be written down some time.
pub(crate) struct Seen {
    pub(crate) at: Millis,
    pub(crate) ip: IpAddr,
}

/// Access tokens that were used lately.
pub(crate) struct TokenCache {
    entries: Cache<TokenHash, Arc<Remembered>>,
    /// Counts revocations, so that a token read just before one is not remembered after it.
    revocations: AtomicU64,
}

impl TokenCache {
    pub(crate) fn new() -> Self {
        let entries = Cache::builder()
            .max_capacity(limits::TOKENS_CACHED_MAX)
            .time_to_live(limits::TOKEN_CACHED)
            .support_invalidation_closures()
            .build();
        Self { entries, revocations: AtomicU64::new(0) }
    }

    pub(crate) fn get(&self, hash: TokenHash) -> Option<Arc<Remembered>> {
        self.entries.get(&hash)
    }

    /// To be called before the token is read from the database; goes to [`Self::remember`].
    pub(crate) fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::SeqCst)
    }

    /// Remembers a token, unless some token was revoked since `revocations` was asked.
    pub(crate) fn remember(
        &self,
        hash: TokenHash,
        session: Session,
        expires: Option<Millis>,
        revocations: u64,
    ) -> Arc<Remembered> {
        let entry = Arc::new(Remembered { session, expires, seen_ms: AtomicI64::new(0) });
        self.entries.insert(hash, Arc::clone(&entry));
        if self.revocations() != revocations {
            self.entries.invalidate(&hash);
        }
        entry
    }

    /// Some sessions ended on another node: of this user, or of anybody.
    pub(crate) fn forget(&self, user: Option<UserNid>) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        let Some(user) = user else { return self.entries.invalidate_all() };
        // Refused only where the cache was made without support for it.
        let _ = self.entries.invalidate_entries_if(move |_, entry| entry.session.user == user);
    }

    pub(crate) fn revoke(&self, hashes: &[TokenHash]) {
        self.revocations.fetch_add(1, Ordering::SeqCst);
        for hash in hashes {
            self.entries.invalidate(hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::{device_id, user_id};

    use super::*;

    fn session() -> Session {
        Session {
            user: UserNid(1),
            user_id: user_id!("@mina:haechi.example").to_owned(),
            device_id: device_id!("PHONE").to_owned(),
            is_admin: false,
        }
    }

    #[test]
    fn a_token_read_before_a_revocation_is_not_remembered_after_it() {
        let cache = TokenCache::new();
        let hash = TokenHash::of("secret");
        let before = cache.revocations();
        cache.revoke(&[hash]);
        cache.remember(hash, session(), None, before);
        assert!(cache.get(hash).is_none());
        cache.remember(hash, session(), None, cache.revocations());
        assert!(cache.get(hash).is_some());
        cache.revoke(&[hash]);
        assert!(cache.get(hash).is_none());
    }

    #[test]
    fn activity_is_noted_once_a_minute() {
        let cache = TokenCache::new();
        let entry = cache.remember(TokenHash::of("secret"), session(), None, 0);
        assert!(entry.note_seen(Millis(1_000)));
        assert!(!entry.note_seen(Millis(60_999)));
        assert!(entry.note_seen(Millis(61_000)));
    }

    #[test]
    fn secrets_differ() {
        assert_ne!(new_secret("access"), new_secret("access"));
        assert_eq!(new_device_id().len(), 10);
    }
}
