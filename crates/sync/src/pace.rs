//! How often one device is answered.
//!
//! In a very busy room each message would cost an answer to everybody who waits. A device that has
//! had many answers in a row is therefore made to wait a moment for its next one, and what comes in
//! between goes out together. Nobody reads so fast; the work for the server is a fraction.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Time between two answers of a device that is answered without end: 25 a second.
const GAP: Duration = Duration::from_millis(40);

/// Answers that a device which was quiet for long gets without waiting.
const BURST: u32 = 25;

/// Devices of one user whose pace is kept.
const DEVICES_MAX: usize = 64;

/// The pace of each device of one user.
#[derive(Debug, Default)]
pub(crate) struct Paces(Mutex<HashMap<Arc<str>, Pace>>);

impl Paces {
    /// When the device may be answered next; `None` when at once.
    pub(crate) fn turn(&self, device: &str) -> Option<Instant> {
        let turn = self.0.lock().get(device)?.turn();
        (turn > Instant::now()).then_some(turn)
    }

    /// The device is being told something.
    pub(crate) fn answered(&self, device: &Arc<str>) {
        let now = Instant::now();
        let mut paces = self.0.lock();
        if let Some(pace) = paces.get_mut(&**device) {
            pace.answered(now);
            return;
        }
        if paces.len() >= DEVICES_MAX {
            paces.clear();
        }
        paces.insert(Arc::clone(device), Pace { due: now + GAP });
    }
}

/// The generic cell rate algorithm: every answer is due one gap after the one before, and a device
/// may be a burst ahead of that.
#[derive(Clone, Copy, Debug)]
struct Pace {
    due: Instant,
}

impl Pace {
    fn turn(self) -> Instant {
        self.due.checked_sub(GAP * (BURST - 1)).unwrap_or(self.due)
    }

    fn answered(&mut self, now: Instant) {
        self.due = self.due.max(now) + GAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_then_each_answer_waits_its_gap() {
        let (paces, device) = (Paces::default(), Arc::from("PHONE"));
        for _ in 0..BURST {
            assert_eq!(paces.turn(&device), None);
            paces.answered(&device);
        }
        for _ in 0..3 {
            let turn = paces.turn(&device).unwrap();
            assert_eq!(turn - Instant::now(), GAP);
            tokio::time::sleep_until(turn).await;
            assert_eq!(paces.turn(&device), None);
            paces.answered(&device);
        }
        assert_eq!(paces.turn("TABLET"), None, "each device has its own");
        tokio::time::advance(GAP * BURST).await;
        assert_eq!(paces.turn(&device), None);
    }
}
