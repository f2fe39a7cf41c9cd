//! What goes in and comes out.

use std::collections::BTreeMap;

use haechi_base::{Positions, UserNid};
use ruma::OwnedUserId;

/// A user in both forms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRef {
    /// The number in tables.
    pub nid: UserNid,
    /// The Matrix id in JSON.
    pub id: OwnedUserId,
}

/// What a device uploads: JSON texts.
#[derive(Clone, Debug, Default)]
pub struct KeysUpload {
    /// Identity keys.
    pub device_keys: Option<String>,
    /// One-time keys by `algorithm:id`.
    pub one_time_keys: Vec<(String, String)>,
    /// Fallback keys by `algorithm:id`.
    pub fallback_keys: Vec<(String, String)>,
}

/// What a device must know to keep its one-time keys in supply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyCounts {
    /// Unclaimed one-time keys of each algorithm; `signed_curve25519` is always among them.
    pub one_time_keys: BTreeMap<String, u64>,
    /// Algorithms whose fallback key nobody has used yet.
    pub unused_fallback_keys: Vec<String>,
}

/// The devices of one user to be looked up.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose.
    pub user: UserRef,
    /// Which; none named: all.
    pub devices: Vec<String>,
}

/// Identity keys as JSON texts, with the signatures that the asking user may see.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    /// User, device id, device keys.
    pub devices: Vec<(OwnedUserId, String, String)>,
    /// Master keys.
    pub master: Vec<(OwnedUserId, String)>,
    /// Self-signing keys.
    pub self_signing: Vec<(OwnedUserId, String)>,
    /// User-signing keys: only that of the asking user.
    pub user_signing: Vec<(OwnedUserId, String)>,
}

/// One key wanted from a device.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Whose device.
    pub user: UserNid,
    /// The device.
    pub device: String,
    /// The algorithm: `signed_curve25519`.
    pub algorithm: String,
}

/// A key that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedKey {
    /// `algorithm:id`.
    pub id: String,
    /// Its JSON, as uploaded.
    pub json: String,
}

/// Cross-signing keys to be published, as JSON texts.
#[derive(Clone, Debug, Default)]
pub struct SigningKeysUpload {
    /// The master key.
    pub master: Option<String>,
    /// Signs the user's own devices.
    pub self_signing: Option<String>,
    /// Signs other users' master keys.
    pub user_signing: Option<String>,
}

/// Has the user proved who he is, beyond having an access token?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// No.
    Unproven,
    /// Yes, by user-interactive authentication.
    Proven,
}

/// A signed object: whose key, which (device id or public key), and its JSON.
#[derive(Clone, Debug)]
pub struct SignedKey {
    /// Whose key was signed.
    pub target: UserRef,
    /// Device id or public key.
    pub key: String,
    /// The key with the new signatures.
    pub json: String,
}

/// Why a signature was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureFailure {
    /// The key is not known: `M_NOT_FOUND`.
    UnknownKey,
    /// The object is not the key that is stored: `M_INVALID_PARAM`.
    DifferentKey,
    /// No signature by a key that may sign this one: `M_INVALID_SIGNATURE`.
    InvalidSignature,
    /// Not a JSON object: `M_BAD_JSON`.
    BadJson,
}

/// A message for one device, or all devices, of a user.
#[derive(Clone, Debug)]
pub struct ToDeviceMessage {
    /// For whom.
    pub user: UserNid,
    /// For which device; `None`: all.
    pub device: Option<String>,
    /// JSON of its content.
    pub content: String,
}

/// A request to send messages to devices.
#[derive(Clone, Debug)]
pub struct ToDeviceSend {
    /// Who sends.
    pub sender: UserRef,
    /// From which device.
    pub device: String,
    /// Type of all the messages.
    pub event_type: String,
    /// The client's id for the request.
    pub txn_id: String,
    /// The messages.
    pub messages: Vec<ToDeviceMessage>,
}

/// Messages for a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToDeviceBatch {
    /// Whole events as JSON texts, oldest first.
    pub events: Vec<String>,
    /// Up to where this batch reaches: `to`, or less when there is more to fetch.
    pub up_to: Positions,
    /// Is there more between `up_to` and `to`?
    pub limited: bool,
}

/// A device put away until a login picks it up again (MSC3814).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DehydratedDevice {
    /// Its id.
    pub device: String,
    /// JSON of its encrypted private half.
    pub data: String,
}

/// A dehydrated device with the keys that others encrypt to.
#[derive(Clone, Debug)]
pub struct DehydratedUpload {
    /// Id and private half.
    pub device: DehydratedDevice,
    /// Name for the user's eyes.
    pub display_name: Option<String>,
    /// Its public keys; the identity keys must be there.
    pub keys: KeysUpload,
}

/// How much a backup version holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupState {
    /// Changes whenever the content does.
    pub etag: String,
    /// Sessions in it.
    pub count: u64,
}

/// A version of a user's backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupVersion {
    /// Its name: a number.
    pub version: String,
    /// The algorithm.
    pub algorithm: String,
    /// JSON of the algorithm's data, as uploaded.
    pub auth_data: String,
    /// Its content.
    pub state: BackupState,
}

/// Which sessions of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupScope {
    /// All.
    All,
    /// Those of one room.
    Room(String),
    /// One: room and session id.
    Session(String, String),
}

/// A session in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUpSession {
    /// Its room.
    pub room: String,
    /// Its id.
    pub session: String,
    /// JSON, as uploaded.
    pub json: String,
}
