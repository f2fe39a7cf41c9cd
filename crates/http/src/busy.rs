//! How many requests may be worked on at once.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ApiError;

/// The place of one request among those being worked on.
///
/// A long-poll that goes to sleep gives its place back ([`Busy::pause`]) and takes one again when
/// it has something to do: sleepers cost memory, not places.
#[derive(Clone, Debug, Default)]
pub struct Busy(Option<Arc<Place>>);

#[derive(Debug)]
struct Place {
    places: Arc<Semaphore>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Busy {
    /// Takes a place; `None` when there is none.
    pub(crate) fn take(places: &Arc<Semaphore>) -> Option<Self> {
        let permit = Arc::clone(places).try_acquire_owned().ok()?;
        let held = Mutex::new(Some(permit));
        Some(Self(Some(Arc::new(Place { places: Arc::clone(places), held }))))
    }

    /// Gives the place back while the request sleeps.
    pub fn pause(&self) {
        if let Some(place) = &self.0 {
            place.held.lock().take();
        }
    }

    /// Takes a place again, waiting for one if it must.
    pub async fn resume(&self) -> Result<(), ApiError> {
        let Some(place) = &self.0 else { return Ok(()) };
        if place.held.lock().is_some() {
            return Ok(());
        }
        let permit = Arc::clone(&place.places).acquire_owned().await;
        *place.held.lock() = Some(permit.map_err(|_| ApiError::unavailable())?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleepers_leave_their_place_to_others() {
        let places = Arc::new(Semaphore::new(1));
        let sleeper = Busy::take(&places).unwrap();
        assert!(Busy::take(&places).is_none());
        sleeper.pause();
        let other = Busy::take(&places).unwrap();
        drop(other);
        sleeper.resume().await.unwrap();
        assert!(Busy::take(&places).is_none());
        drop(sleeper);
        assert!(Busy::take(&places).is_some());
    }
}
