//! What the server is and can do.

use axum::Router;
use haechi_http::{Call, RouterExt as _};
use ruma::{
    RoomVersionId,
    api::client::discovery::{
        discover_homeserver::{self, HomeserverInfo},
        get_capabilities::v3 as capabilities,
        get_supported_versions as versions,
    },
};

use crate::{App, Result};

/// Versions of the client-server API that are served. Clients differ in which of them they look
/// for: some accept a server only for one in the middle.
const VERSIONS: &[&str] = &[
    "r0.5.0", "r0.6.0", "r0.6.1", "v1.1", "v1.2", "v1.3", "v1.4", "v1.5", "v1.6", "v1.7", "v1.8",
    "v1.9", "v1.10", "v1.11", "v1.12", "v1.13", "v1.14", "v1.15", "v1.16", "v1.17", "v1.18",
    "v1.19",
];

/// Features under the names they had before they came into the specification, or that are not in it
/// yet. Only what is true here, and what today's clients look for.
const UNSTABLE_FEATURES: &[&str] = &[
    "org.matrix.e2e_cross_signing",
    // simplified sliding sync
    "org.matrix.simplified_msc3575",
    // private read receipts
    "org.matrix.msc2285.stable",
    // threads, their lists, their counts and their receipts
    "org.matrix.msc3440.stable",
    "org.matrix.msc3856.stable",
    "org.matrix.msc3771",
    "org.matrix.msc3773",
    // relations: direction, recursion
    "org.matrix.msc3715.stable",
    "org.matrix.msc3981",
    // dehydrated devices
    "org.matrix.msc3814",
    // room types in the public directory
    "org.matrix.msc3827.stable",
    // login with the help of another device
    "org.matrix.msc3882",
    // authenticated media
    "org.matrix.msc3916.stable",
    // mentions
    "org.matrix.msc3952_intentional_mentions",
    // profile fields
    "uk.tcpip.msc4133",
    "uk.tcpip.msc4133.stable",
];

/// Versions of rooms that can be made and joined.
const ROOM_VERSIONS: &[&str] = &["6", "7", "8", "9", "10", "11", "12"];

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(get_versions).endpoint(get_homeserver).endpoint(get_capabilities)
}

async fn get_versions(_: App, _: Call<versions::Request>) -> Result<versions::Response> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut response = versions::Response::new(owned(VERSIONS));
    let features = owned(UNSTABLE_FEATURES).into_iter();
    response.unstable_features = features.map(|name| (name, true)).collect();
    Ok(response)
}

async fn get_homeserver(
    app: App,
    _: Call<discover_homeserver::Request>,
) -> Result<discover_homeserver::Response> {
    let homeserver = HomeserverInfo::new(app.settings.public_base_url.clone());
    Ok(discover_homeserver::Response::new(homeserver))
}

async fn get_capabilities(
    app: App,
    _: Call<capabilities::Request>,
) -> Result<capabilities::Response> {
    let mut capabilities = capabilities::Capabilities::new();
    let stable = |version: &&str| {
        (RoomVersionId::try_from(*version).expect("all are known"), "stable".into())
    };
    capabilities.room_versions = capabilities::RoomVersionsCapability::new(
        app.settings.default_room_version.id(),
        ROOM_VERSIONS.iter().map(stable).collect(),
    );
    capabilities.thirdparty_id_changes = capabilities::ThirdPartyIdChangesCapability::new(false);
    capabilities.get_login_token = capabilities::GetLoginTokenCapability::new(true);
    capabilities.profile_fields = Some(capabilities::ProfileFieldsCapability::new(true));
    Ok(capabilities.into())
}
