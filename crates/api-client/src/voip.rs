//! Relays for calls. None are set up here.

use axum::Router;
use haechi_http::{Call, RouterExt as _};
use ruma::api::client::voip::get_turn_server_info::v3 as turn;
use serde::Serialize;

use crate::{
    App, Error,
    adapt::{Answer, Answered},
};

/// An empty object: what clients understand as "no relays". With an empty list of addresses, which
/// ruma's type would need, browsers refuse to start a call.
#[derive(Serialize)]
struct NoRelays {}

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(async |_: App, _: Call<Answered<turn::Request, NoRelays>>| {
        Ok::<_, Error>(Answer(NoRelays {}))
    })
}
