//! Pushers and how they behave.

use std::time::Duration;

use haechi_base::{Millis, UserNid};
use ruma::{
    api::client::push::{Pusher, PusherIds, PusherInit, PusherKind},
    push::HttpPusherData,
};

/// How push behaves.
#[derive(Clone, Debug)]
pub struct PushSettings {
    /// May gateways be inside the own network, and be called without TLS? For tests.
    pub allow_private_addresses: bool,
    /// What the number on a device's badge counts.
    pub badge: BadgeCounts,
    /// How long to wait before a notification that failed is sent again; doubled each time.
    pub retry_after: Duration,
}

impl PushSettings {
    /// The usual settings.
    pub const STANDARD: Self = Self {
        allow_private_addresses: false,
        badge: BadgeCounts::Messages,
        retry_after: Duration::from_secs(5),
    };
}

/// What the number on a device's badge counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadgeCounts {
    /// Messages that notify and are not read.
    Messages,
    /// Rooms with such messages.
    Rooms,
}

/// Number of a pusher in this installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PusherNid(pub(crate) i64);

/// A pusher as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredPusher {
    pub(crate) user: UserNid,
    pub(crate) ids: PusherIds,
    pub(crate) app_display_name: String,
    pub(crate) device_display_name: String,
    pub(crate) profile_tag: Option<String>,
    pub(crate) lang: String,
    pub(crate) data: HttpPusherData,
    pub(crate) updated: Millis,
}

impl From<StoredPusher> for Pusher {
    fn from(stored: StoredPusher) -> Self {
        PusherInit {
            ids: stored.ids,
            kind: PusherKind::Http(stored.data),
            app_display_name: stored.app_display_name,
            device_display_name: stored.device_display_name,
            profile_tag: stored.profile_tag,
            lang: stored.lang,
        }
        .into()
    }
}
