//! What is known of each device without asking the database.

use std::collections::HashMap;

use haechi_base::UserNid;
use parking_lot::Mutex;

/// Users of one slot share a lock and a generation.
const SLOTS: usize = 256;

/// Most devices remembered in one slot; a full slot starts afresh.
const SLOT_DEVICES_MAX: usize = 2_048;

/// One value for each device, loaded from the database and forgotten when a write changes it.
///
/// A load takes a [`Ticket`] before it reads. When something was forgotten in between, what it has
/// read may be old, and the ticket is refused.
pub(crate) struct DeviceCache<V> {
    slots: Box<[Mutex<Slot<V>>]>,
}

struct Slot<V> {
    generation: u64,
    devices: usize,
    users: HashMap<UserNid, Vec<(Box<str>, V)>>,
}

/// The right to remember what is read from now on.
#[derive(Clone, Copy)]
pub(crate) struct Ticket(u64);

impl<V: Clone> DeviceCache<V> {
    pub(crate) fn new() -> Self {
        let slot = || Mutex::new(Slot { generation: 0, devices: 0, users: HashMap::new() });
        Self { slots: (0..SLOTS).map(|_| slot()).collect() }
    }

    fn slot(&self, user: UserNid) -> &Mutex<Slot<V>> {
        let index = user.0.unsigned_abs() % SLOTS as u64;
        &self.slots[usize::try_from(index).expect("less than SLOTS")]
    }

    pub(crate) fn get(&self, user: UserNid, device: &str) -> Option<V> {
        let slot = self.slot(user).lock();
        let (_, value) = slot.users.get(&user)?.iter().find(|(id, _)| &**id == device)?;
        Some(value.clone())
    }

    pub(crate) fn ticket(&self, user: UserNid) -> Ticket {
        Ticket(self.slot(user).lock().generation)
    }

    pub(crate) fn put(&self, ticket: Ticket, user: UserNid, device: &str, value: V) {
        let mut slot = self.slot(user).lock();
        if slot.generation != ticket.0 {
            return;
        }
        if slot.devices >= SLOT_DEVICES_MAX {
            slot.users.clear();
            slot.devices = 0;
        }
        let devices = slot.users.entry(user).or_default();
        if let Some(entry) = devices.iter_mut().find(|(id, _)| &**id == device) {
            entry.1 = value;
            return;
        }
        devices.push((device.into(), value));
        slot.devices += 1;
    }

    pub(crate) fn forget_all(&self) {
        for slot in &self.slots {
            let mut slot = slot.lock();
            slot.generation += 1;
            slot.users.clear();
            slot.devices = 0;
        }
    }

    pub(crate) fn forget(&self, user: UserNid, device: &str) {
        let mut slot = self.slot(user).lock();
        slot.generation += 1;
        let Some(devices) = slot.users.get_mut(&user) else { return };
        let Some(index) = devices.iter().position(|(id, _)| &**id == device) else { return };
        devices.swap_remove(index);
        if devices.is_empty() {
            slot.users.remove(&user);
        }
        slot.devices -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: UserNid = UserNid(1);

    #[test]
    fn a_load_that_raced_with_a_write_is_not_remembered() {
        let cache = DeviceCache::new();
        let ticket = cache.ticket(USER);
        cache.forget(USER, "A");
        cache.put(ticket, USER, "A", 1);
        assert_eq!(cache.get(USER, "A"), None);
        cache.put(cache.ticket(USER), USER, "A", 2);
        cache.put(cache.ticket(USER), USER, "B", 3);
        assert_eq!((cache.get(USER, "A"), cache.get(USER, "B")), (Some(2), Some(3)));
        cache.forget(USER, "A");
        assert_eq!((cache.get(USER, "A"), cache.get(USER, "B")), (None, Some(3)));
    }

    #[test]
    fn a_slot_does_not_grow_without_end() {
        let cache = DeviceCache::new();
        for number in 0..=SLOT_DEVICES_MAX {
            cache.put(cache.ticket(USER), USER, &number.to_string(), number);
        }
        assert_eq!(cache.get(USER, "0"), None);
        assert_eq!(cache.get(USER, &SLOT_DEVICES_MAX.to_string()), Some(SLOT_DEVICES_MAX));
    }
}
