//! Bridges to other networks. There are none.

use std::collections::BTreeMap;

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use ruma::api::client::thirdparty::{
    get_location_for_protocol::v3 as locations, get_location_for_room_alias::v3 as alias_locations,
    get_protocol::v3 as protocol, get_protocols::v3 as protocols,
    get_user_for_protocol::v3 as users, get_user_for_user_id::v3 as id_users,
};

use crate::{App, Error};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router
        .endpoint(async |_: App, _: Call<protocols::Request>| {
            Ok::<_, Error>(protocols::Response::new(BTreeMap::new()))
        })
        .endpoint(async |_: App, _: Call<protocol::Request>| unknown::<protocol::Response>())
        .endpoint(async |_: App, _: Call<locations::Request>| unknown::<locations::Response>())
        .endpoint(async |_: App, _: Call<users::Request>| unknown::<users::Response>())
        .endpoint(async |_: App, _: Call<alias_locations::Request>| {
            Ok::<_, Error>(alias_locations::Response::new(Vec::new()))
        })
        .endpoint(async |_: App, _: Call<id_users::Request>| {
            Ok::<_, Error>(id_users::Response::new(Vec::new()))
        })
}

fn unknown<T>() -> Result<T, ApiError> {
    Err(ApiError::not_found("No bridge to this network"))
}
