//! Relays for calls. None are set up here.

use axum::Router;
use haechi_http::{ApiError, Call, RouterExt as _};
use ruma::api::client::voip::get_turn_server_info::v3 as turn;

use crate::App;

/// "Not found" is what MSC4166 has servers without relays say. With an empty list of addresses
/// browsers refuse to start a call.
pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(async |_: App, _: Call<turn::Request>| {
        Err::<turn::Response, _>(ApiError::not_found("No relays are set up"))
    })
}
