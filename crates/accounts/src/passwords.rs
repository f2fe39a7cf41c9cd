//! Passwords: Argon2id, a few at a time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::{AccountError, Result, limits};

/// Hashes and checks passwords on threads of their own. Each takes 19 MiB and some 20 ms, so only
/// so many run at once, and only so many wait.
#[derive(Clone)]
pub(crate) struct Passwords(Arc<Inner>);

struct Inner {
    workers: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Hash of nobody's password: checked where there is no account, so that the time an answer
    /// takes does not tell which names exist.
    nobody: tokio::sync::OnceCell<String>,
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        Self(Arc::new(Inner {
            workers: Arc::new(Semaphore::new(workers)),
            waiting: AtomicUsize::new(0),
            nobody: tokio::sync::OnceCell::new(),
        }))
    }

    /// The hash to keep, in PHC form with its salt and cost.
    pub(crate) async fn hash(&self, password: &str) -> Result<String> {
        let password = password.to_owned();
        self.work(move || {
            let hash = Argon2::default().hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string())
        })
        .await
    }

    /// Does the password fit the hash? Without a hash it takes as long and does not.
    pub(crate) async fn verify(&self, password: &str, hash: Option<String>) -> Result<bool> {
        if password.len() > limits::PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let has_password = hash.is_some();
        let hash = match hash {
            Some(hash) => hash,
            None => self.0.nobody.get_or_try_init(|| self.hash("nobody")).await?.clone(),
        };
        let password = password.to_owned();
        let fits = self
            .work(move || {
                let hash = PasswordHash::new(&hash)?;
                Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
            })
            .await?;
        Ok(fits && has_password)
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, argon2::password_hash::Error> + Send + 'static,
    ) -> Result<T> {
        let _place = Waiting::enter(&self.0.waiting)?;
        let worker = Arc::clone(&self.0.workers).acquire_owned().await;
        let worker = worker.map_err(|_| AccountError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            // Held by the thread: it goes on also when the client has gone away.
            let _worker = worker;
            work()
        })
        .await;
        let hashing = |error: &dyn std::fmt::Display| AccountError::Hashing(error.to_string());
        done.map_err(|error| hashing(&error))?.map_err(|error| hashing(&error))
    }
}

/// A place among those who wait, given back also when the client goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Result<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(waiting);
        if before >= limits::PASSWORDS_WAITING_MAX { Err(AccountError::Busy) } else { Ok(place) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_fits() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(passwords.verify("correct horse", Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct house", Some(hash)).await.unwrap());
        assert!(!passwords.verify("nobody", None).await.unwrap());
        assert!(passwords.verify("x", Some("rubbish".to_owned())).await.is_err());
    }

    #[test]
    fn only_so_many_wait() {
        let waiting = AtomicUsize::new(limits::PASSWORDS_WAITING_MAX - 1);
        let last = Waiting::enter(&waiting).unwrap();
        assert!(matches!(Waiting::enter(&waiting), Err(AccountError::Busy)));
        drop(last);
        assert!(Waiting::enter(&waiting).is_ok());
    }
}
