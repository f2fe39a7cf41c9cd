//! How often one caller may ask.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, clock::Clock as _};
use haechi_base::UserNid;
use moka::sync::Cache;

use crate::ApiError;

/// Callers remembered; beyond it the least used are forgotten, with what they used up.
const CALLERS_MAX: u64 = 200_000;

/// A caller who was quiet for so long is forgotten.
const QUIET: Duration = Duration::from_mins(15);

/// What is being limited. Each has buckets of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Endpoints which the specification marks as rate-limited.
    General,
    /// Events sent.
    Messages,
    /// Attempts to log in or to prove who one is.
    Logins,
    /// Accounts registered.
    Registrations,
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// A user.
    User(UserNid),
    /// An address; of IPv6 the first half, which is what one customer gets.
    Ip(IpAddr),
}

impl LimitKey {
    fn shortened(self) -> Self {
        match self {
            Self::Ip(IpAddr::V6(ip)) => {
                let prefix = u128::from(ip) & !u128::from(u64::MAX);
                Self::Ip(IpAddr::V6(prefix.into()))
            }
            other => other,
        }
    }
}

/// A token bucket: so many at once, refilled at so many per minute.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Refill per minute.
    pub per_minute: NonZeroU32,
    /// Size of the bucket.
    pub burst: NonZeroU32,
}

/// The rate of each class.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    /// For [`Class::General`].
    pub general: Rate,
    /// For [`Class::Messages`].
    pub messages: Rate,
    /// For [`Class::Logins`].
    pub logins: Rate,
    /// For [`Class::Registrations`].
    pub registrations: Rate,
}

impl RateLimits {
    fn quota(&self, class: Class) -> Quota {
        let rate = match class {
            Class::General => self.general,
            Class::Messages => self.messages,
            Class::Logins => self.logins,
            Class::Registrations => self.registrations,
        };
        Quota::per_minute(rate.per_minute).allow_burst(rate.burst)
    }
}

/// Token buckets for each class and caller, in bounded memory.
#[derive(Clone)]
pub struct RateLimiter(Option<Arc<Buckets>>);

struct Buckets {
    limits: RateLimits,
    buckets: Cache<(Class, LimitKey), Arc<DefaultDirectRateLimiter>>,
}

impl RateLimiter {
    /// A limiter with these rates.
    pub fn new(limits: RateLimits) -> Self {
        let buckets = Cache::builder().max_capacity(CALLERS_MAX).time_to_idle(QUIET).build();
        Self(Some(Arc::new(Buckets { limits, buckets })))
    }

    /// A limiter that lets everything through, for tests and benches.
    pub fn off() -> Self {
        Self(None)
    }

    /// Takes one from the caller's bucket; `M_LIMIT_EXCEEDED` when it is empty.
    pub fn check(&self, class: Class, key: LimitKey) -> Result<(), ApiError> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let bucket = inner.buckets.get_with((class, key.shortened()), || {
            Arc::new(DefaultDirectRateLimiter::direct(inner.limits.quota(class)))
        });
        bucket.check().map_err(|refusal| {
            let now = governor::clock::DefaultClock::default().now();
            ApiError::limit_exceeded(refusal.wait_time_from(now))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(burst: u32) -> RateLimiter {
        let rate = Rate { per_minute: NonZeroU32::MIN, burst: NonZeroU32::new(burst).unwrap() };
        RateLimiter::new(RateLimits {
            general: rate,
            messages: rate,
            logins: rate,
            registrations: rate,
        })
    }

    #[test]
    fn an_empty_bucket_says_when_to_come_back() {
        let limiter = limiter(2);
        let mina = LimitKey::User(UserNid(1));
        assert!(limiter.check(Class::Logins, mina).is_ok());
        assert!(limiter.check(Class::Logins, mina).is_ok());
        let refusal = limiter.check(Class::Logins, mina).unwrap_err();
        assert_eq!(refusal.errcode, Some("M_LIMIT_EXCEEDED"));
        assert!(refusal.retry_after.is_some_and(|after| after <= Duration::from_mins(1)));
        assert!(limiter.check(Class::Messages, mina).is_ok(), "other classes have other buckets");
        assert!(limiter.check(Class::Logins, LimitKey::User(UserNid(2))).is_ok());
        assert!(RateLimiter::off().check(Class::Logins, mina).is_ok());
    }

    #[test]
    fn neighbours_in_ipv6_share_a_bucket() {
        let limiter = limiter(1);
        let one = LimitKey::Ip("2001:db8::1".parse().unwrap());
        let two = LimitKey::Ip("2001:db8::2".parse().unwrap());
        assert!(limiter.check(Class::Registrations, one).is_ok());
        assert!(limiter.check(Class::Registrations, two).is_err());
    }
}
