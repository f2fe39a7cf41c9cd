//! The types of accounts.

use haechi_base::UserNid;
use ruma::{OwnedDeviceId, OwnedUserId};

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
