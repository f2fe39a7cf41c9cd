//! Messages that wait for devices.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use haechi_base::{Millis, Positions, StreamPos, UserNid};
use haechi_store::{Change, LockKey, Locks, Result, Tx, Value, Work, sql};

use super::devices;
use crate::caches::Caches;

/// Messages kept for one device. A device that never comes back loses the oldest beyond that.
pub(crate) const MAILBOX_MAX: i64 = 10_000;

/// The bound is looked at once in so many positions, so a mailbox may exceed it by about as much.
const TRIM_EVERY: i64 = 64;

sql!(
    CLAIM_TXN,
    "INSERT INTO to_device_txn (user_nid, device_id, event_type, txn_id, at_ms)
     VALUES (?1, ?2, ?3, ?4, ?5)
     ON CONFLICT (user_nid, device_id, event_type, txn_id) DO NOTHING"
);
sql!(
    INSERT,
    "INSERT INTO to_device (pos, user_nid, device_id, sent_at, json) VALUES (?1, ?2, ?3, ?4, ?5)"
);
sql!(
    NEWEST_BEYOND_BOUND,
    "SELECT sent_at FROM to_device WHERE user_nid = ?1 AND device_id = ?2
     ORDER BY sent_at DESC LIMIT 1 OFFSET ?3"
);
sql!(DELETE_OLDER, "DELETE FROM to_device WHERE user_nid = ?1 AND device_id = ?2 AND sent_at < ?3");
sql!(
    DELETE_RANGE,
    "DELETE FROM to_device WHERE user_nid = ?1 AND device_id = ?2 AND pos > ?3 AND pos <= ?4"
);
sql!(
    IN_RANGE,
    "SELECT pos, sent_at, json FROM to_device
     WHERE user_nid = ?1 AND device_id = ?2 AND pos > ?3 AND pos <= ?4 ORDER BY pos LIMIT ?5"
);
sql!(
    FIRST_IN_RANGE,
    "SELECT MIN(pos) FROM to_device
     WHERE user_nid = ?1 AND device_id = ?2 AND pos > ?3 AND pos <= ?4"
);

/// One message on its way.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) user: UserNid,
    /// `None`: all.
    pub(crate) device: Option<String>,
    /// The whole event.
    pub(crate) json: String,
}

/// Puts messages into mailboxes, once for each transaction id.
pub(crate) struct SendToDevice {
    pub(crate) caches: Arc<Caches>,
    pub(crate) sender: UserNid,
    pub(crate) device: String,
    pub(crate) event_type: String,
    pub(crate) txn_id: String,
    pub(crate) messages: Vec<Outgoing>,
    pub(crate) now: Millis,
}

impl Work for SendToDevice {
    const NAME: &'static str = "keys.send_to_device";
    /// The devices that got something; none when the request was carried out before.
    type Out = Vec<(UserNid, String)>;

    fn order_key(&self) -> i64 {
        // What one sends arrives in the order in which it was sent.
        self.sender.0
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Self::Out> {
        let txn = [
            self.sender.into(),
            (&self.device).into(),
            (&self.event_type).into(),
            (&self.txn_id).into(),
            self.now.into(),
        ];
        if tx.exec(&CLAIM_TXN, &txn).await? == 0 {
            return Ok(Vec::new());
        }
        let users: BTreeSet<i64> = self.messages.iter().map(|message| message.user.0).collect();
        let users: Vec<i64> = users.into_iter().collect();
        let mut devices: BTreeMap<UserNid, Vec<String>> = BTreeMap::new();
        for (user, device, _) in devices::of_users(tx, &users).await? {
            devices.entry(user).or_default().push(device);
        }
        let deliveries = self.deliveries(&devices);
        let mut full = BTreeSet::new();
        let mut rows = Vec::with_capacity(deliveries.len());
        for (user, device, json) in &deliveries {
            let pos = tx.announce(Change::ToDevice(*user, (*device).into()))?;
            if pos.offset() % TRIM_EVERY == 0 {
                full.insert((*user, *device));
            }
            let json = Value::Blob(json.as_bytes());
            let sent_at = self.now.into();
            rows.push([pos.into(), (*user).into(), (*device).into(), sent_at, json]);
        }
        let rows: Vec<&[Value<'_>]> = rows.iter().map(<[_; 5]>::as_slice).collect();
        tx.exec_many(&INSERT, &rows).await?;
        for (user, device) in full {
            trim(tx, user, device).await?;
        }
        Ok(deliveries.into_iter().map(|(user, device, _)| (user, device.to_owned())).collect())
    }

    fn committed(&self, delivered: &Self::Out) {
        for (user, device) in delivered {
            self.caches.empty_mailboxes.forget(*user, device);
        }
    }
}

impl SendToDevice {
    /// Who gets what. Messages for devices that do not exist go nowhere.
    fn deliveries<'a>(
        &'a self,
        devices: &'a BTreeMap<UserNid, Vec<String>>,
    ) -> Vec<(UserNid, &'a str, &'a str)> {
        let mut out = Vec::with_capacity(self.messages.len());
        for message in &self.messages {
            let to =
                devices.get(&message.user).into_iter().flatten().filter(|device| {
                    message.device.as_ref().is_none_or(|wanted| wanted == *device)
                });
            out.extend(to.map(|device| (message.user, device.as_str(), message.json.as_str())));
        }
        out
    }
}

/// Drops the oldest messages beyond [`MAILBOX_MAX`].
async fn trim(tx: &mut Tx<'_>, user: UserNid, device: &str) -> Result<()> {
    let at = [user.into(), device.into(), MAILBOX_MAX.into()];
    let beyond: Option<(i64,)> = tx.opt(&NEWEST_BEYOND_BOUND, &at).await?;
    if let Some((sent_at,)) = beyond {
        tx.put(&DELETE_OLDER, &[user.into(), device.into(), sent_at.into()]).await?;
    }
    Ok(())
}

/// Reads what waits for a device.
pub(crate) struct ReadMailbox {
    pub(crate) user: UserNid,
    pub(crate) device: String,
    pub(crate) from: Positions,
    pub(crate) to: Positions,
    pub(crate) limit: usize,
}

/// What a mailbox holds in the ranges asked for.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) events: Vec<String>,
    pub(crate) up_to: Positions,
    pub(crate) limited: bool,
    /// Is there nothing at all, also outside the ranges?
    pub(crate) empty: bool,
}

impl Work for ReadMailbox {
    const NAME: &'static str = "keys.read_mailbox";
    type Out = Mailbox;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<Mailbox> {
        let most = i64::try_from(self.limit + 1).unwrap_or(i64::MAX);
        let mut lanes = Vec::new();
        for (from, to) in self.from.ranges_to(&self.to) {
            let args =
                [self.user.into(), (&self.device).into(), from.into(), to.into(), most.into()];
            let rows: Vec<Waiting> = tx.all(&IN_RANGE, &args).await?;
            lanes.push(VecDeque::from(rows));
        }
        let mut up_to = self.from.clone();
        let mut events = Vec::new();
        while events.len() < self.limit
            && let Some((pos, _, json)) = earliest(&mut lanes)
        {
            up_to.set(pos.lane(), pos.offset());
            events.push(String::from_utf8_lossy(&json).into_owned());
        }
        let limited = lanes.iter().any(|lane| !lane.is_empty());
        if !limited {
            up_to.merge(&self.to);
        }
        let empty = events.is_empty() && !limited && {
            let everything = [Value::Int(0), Value::Int(i64::MAX)];
            first(tx, self.user, &self.device, everything).await?.is_none()
        };
        Ok(Mailbox { events, up_to, limited, empty })
    }
}

/// A message in a mailbox: its position, when it was sent, and the event.
type Waiting = (StreamPos, i64, Vec<u8>);

/// Takes the message that was sent first. One sender may have been in several lanes, and only the
/// time says what came first then; within a lane it is the position.
fn earliest(lanes: &mut [VecDeque<Waiting>]) -> Option<Waiting> {
    let sent_at = |lane: &VecDeque<Waiting>| lane.front().map(|(_, sent_at, _)| *sent_at);
    lanes.iter_mut().filter(|lane| !lane.is_empty()).min_by_key(|lane| sent_at(lane))?.pop_front()
}

async fn first(
    tx: &mut Tx<'_>,
    user: UserNid,
    device: &str,
    [from, to]: [Value<'_>; 2],
) -> Result<Option<StreamPos>> {
    let found: (Option<StreamPos>,) =
        tx.one(&FIRST_IN_RANGE, &[user.into(), device.into(), from, to]).await?;
    Ok(found.0)
}

/// Is there anything in `ranges` to be deleted?
pub(crate) struct AnyInRanges {
    pub(crate) user: UserNid,
    pub(crate) device: String,
    pub(crate) ranges: Vec<(StreamPos, StreamPos)>,
}

impl Work for AnyInRanges {
    const NAME: &'static str = "keys.any_to_device";
    type Out = bool;

    async fn run(&self, tx: &mut Tx<'_>) -> Result<bool> {
        for (from, to) in &self.ranges {
            let range = [(*from).into(), (*to).into()];
            if first(tx, self.user, &self.device, range).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Deletes what a device has received.
pub(crate) struct DeleteToDevice {
    pub(crate) caches: Arc<Caches>,
    pub(crate) user: UserNid,
    pub(crate) device: String,
    pub(crate) ranges: Vec<(StreamPos, StreamPos)>,
}

impl Work for DeleteToDevice {
    const NAME: &'static str = "keys.delete_to_device";
    type Out = ();

    fn locks(&self) -> Locks {
        Locks::one(LockKey::User(self.user))
    }

    async fn run(&self, tx: &mut Tx<'_>) -> Result<()> {
        for (from, to) in &self.ranges {
            let args = [self.user.into(), (&self.device).into(), (*from).into(), (*to).into()];
            tx.put(&DELETE_RANGE, &args).await?;
        }
        Ok(())
    }

    fn committed(&self, (): &()) {
        self.caches.empty_mailboxes.forget(self.user, &self.device);
    }
}
