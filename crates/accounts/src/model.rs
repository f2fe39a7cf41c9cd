//! The types of accounts.

use haechi_base::{Millis, RoomNid, StreamPos, UserNid};
use ruma::{OwnedDeviceId, OwnedUserId};
use serde_json::value::RawValue;

/// Who is behind an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The user's number.
    pub user: UserNid,
    /// The user's Matrix id.
    pub user_id: OwnedUserId,
    /// The device the token was made for.
    pub device_id: OwnedDeviceId,
    /// May this user use the operator's endpoints?
    pub is_admin: bool,
}

/// An account as operators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// The user's number.
    pub user: UserNid,
    /// The user's Matrix id.
    pub user_id: OwnedUserId,
    /// May this user use the operator's endpoints?
    pub is_admin: bool,
    /// When it was made.
    pub created: Millis,
    /// When it was deactivated, if it was.
    pub deactivated: Option<Millis>,
}

/// What a client says of the device it runs on when it logs in.
#[derive(Clone, Debug, Default)]
pub struct DeviceWish {
    /// The id of the device; made up when not given.
    pub device_id: Option<OwnedDeviceId>,
    /// Name for people; ignored where the device exists.
    pub display_name: Option<String>,
    /// Does the client know how to refresh its access token?
    pub refreshable: bool,
}

/// A fresh login: the only moment at which the secrets are seen.
pub struct Login {
    /// Who logged in, on which device.
    pub session: Session,
    /// The secrets.
    pub tokens: Tokens,
}

/// Secrets for a client.
pub struct Tokens {
    /// Goes with every request.
    pub access: String,
    /// Buys the next access token, if the client asked for one.
    pub refresh: Option<String>,
    /// When the access token ends.
    pub expires: Option<Millis>,
}

/// A device of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub device_id: OwnedDeviceId,
    /// Its name for people.
    pub display_name: Option<String>,
    /// When it was last used, exact to a minute or so.
    pub seen: Option<Millis>,
    /// From which address.
    pub seen_ip: Option<String>,
}

/// A token that lets people register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationToken {
    /// What is typed in.
    pub token: String,
    /// How often it may be used; not limited when empty.
    pub uses_max: Option<i64>,
    /// How often it was used.
    pub uses: i64,
    /// When it ends.
    pub expires: Option<Millis>,
}

/// One entry of a user's account data.
#[derive(Clone, Debug)]
pub struct AccountDatum {
    /// The room it is about; none for the whole account.
    pub room: Option<RoomNid>,
    /// Its type.
    pub kind: String,
    /// Its content, always a JSON object.
    pub content: Box<RawValue>,
    /// When it last changed.
    pub pos: StreamPos,
}

/// A user found in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundUser {
    /// The user's Matrix id.
    pub user_id: OwnedUserId,
    /// Name for people.
    pub display_name: Option<String>,
    /// Picture.
    pub avatar_url: Option<String>,
}
