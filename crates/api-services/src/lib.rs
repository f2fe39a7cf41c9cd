//! REST for services, under `/_haechi/client/v1/<service>`: the same access tokens as Matrix, errors in
//! the Matrix shape with codes of our own, `Idempotency-Key` on every POST that moves something, and
//! cursors for long lists.
//!
//! Each handler parses, asks who may, calls a domain crate, and maps errors. The OpenAPI description
//! is made from the handlers and served beside them.

mod call;
mod cards;
mod error;
mod pay;

use axum::{Json, Router, routing::get};
use haechi_accounts::Accounts;
use haechi_http::RateLimiter;
use haechi_pay::Pay;
use haechi_rooms::Rooms;
use utoipa::{OpenApi as _, openapi::OpenApi};
use utoipa_axum::router::OpenApiRouter;

pub use cards::RoomCards;

/// What handlers work with; clones share it.
#[derive(Clone)]
pub struct Services {
    /// Payments.
    pub pay: Pay,
    /// Who is calling, and who else there is.
    pub accounts: Accounts,
    /// Who is in which room.
    pub rooms: Rooms,
    /// How often callers may ask.
    pub limiter: RateLimiter,
}

/// What is said of the whole.
#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "Haechi services",
    description = "Services beside the Matrix client-server API. Every request bears the same access \
                   token as Matrix; every POST that moves something an `Idempotency-Key`: asked again \
                   under the same key it does nothing more and is answered the same.",
    license(name = "Apache-2.0")
))]
struct Description;

fn described(state: Services) -> (Router, OpenApi) {
    OpenApiRouter::with_openapi(Description::openapi())
        .nest("/_haechi/client/v1/pay", pay::routes())
        .with_state(state)
        .split_for_parts()
}

/// All endpoints, and their description at `/_haechi/client/v1/openapi.json`.
pub fn router(state: Services) -> Router {
    let (router, description) = described(state);
    let description = serde_json::to_value(description).unwrap_or_default();
    let serve = move || std::future::ready(Json(description.clone()));
    router.route("/_haechi/client/v1/openapi.json", get(serve))
}

/// The description of all endpoints, from which clients are generated.
pub fn description() -> OpenApi {
    OpenApiRouter::<Services>::with_openapi(Description::openapi())
        .nest("/_haechi/client/v1/pay", pay::routes())
        .into_openapi()
}
