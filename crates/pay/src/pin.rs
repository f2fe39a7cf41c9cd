//! Payment PINs: six digits, Argon2id, few tries.
//!
//! Six digits are soon tried out, so what protects them is the count of tries: each is counted in the
//! database before the PIN is looked at, so that a thousand at once are no more than one after the
//! other. Only then is it hashed, beside the writer.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::{PayError, Refusal, Result};

/// PINs hashed at the same time; each takes 19 MiB.
const AT_ONCE: usize = 2;

/// Hashes and checks PINs on threads of their own.
#[derive(Clone)]
pub(crate) struct Pins(Arc<Semaphore>);

/// Is it six digits?
pub(crate) fn check_form(pin: &str) -> Result<(), Refusal> {
    let fits = pin.len() == 6 && pin.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Ok(()) } else { Err(Refusal::BadPin) }
}

impl Pins {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    pub(crate) async fn hash(&self, pin: &str) -> Result<String> {
        let pin = pin.to_owned();
        self.work(move || {
            let hash = Argon2::default().hash_password(pin.as_bytes()).ok()?;
            Some(hash.to_string())
        })
        .await
    }

    pub(crate) async fn fits(&self, pin: &str, hash: String) -> Result<bool> {
        let pin = pin.to_owned();
        self.work(move || {
            let hash = PasswordHash::new(&hash).ok()?;
            Some(Argon2::default().verify_password(pin.as_bytes(), &hash).is_ok())
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.0).acquire_owned().await.map_err(|_| PayError::Pin)?;
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        done.await.ok().flatten().ok_or(PayError::Pin)
    }
}
