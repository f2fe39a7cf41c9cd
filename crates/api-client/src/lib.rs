//! The Matrix client-server API.
//!
//! One module for each area, each with `routes`, which adds its endpoints to a router. A handler
//! parses with ruma's types, asks who may, calls a domain crate, and maps errors; rules and
//! statements are elsewhere. What every endpoint needs (authentication, limits, errors) is in
//! `haechi-http`.

mod account;
mod account_data;
mod adapt;
mod app;
mod backup;
mod contacts;
mod dehydrated_device;
mod devices;
mod discovery;
mod error;
mod filters;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod keys;
mod login;
mod media;
mod openid;
mod own_body;
mod presence;
mod profile;
mod push;
mod register;
mod rooms;
mod sync;
mod tags;
mod thirdparty;
mod to_device;
mod uia;
mod user_directory;
mod voip;

use axum::Router;

pub use app::{App, FilterCache, Handles, RegistrationMode, Settings};
pub use error::{Error, Result};
pub use voip::Relays;

/// Adds the endpoints of one area.
type Area = fn(Router<App>) -> Router<App>;

/// All endpoints, without the layers around them (`haechi_http::stack`).
pub fn router(app: App) -> Router {
    let areas = [
        discovery::routes,
        login::routes,
        register::routes,
        account::routes,
        contacts::routes,
        devices::routes,
        profile::routes,
        account_data::routes,
        filters::routes,
        openid::routes,
        presence::routes,
        user_directory::routes,
        thirdparty::routes,
        voip::routes,
        keys::routes,
        backup::routes,
        to_device::routes,
        dehydrated_device::routes,
        rooms::routes,
        push::routes,
        sync::routes,
        tags::routes,
        media::routes,
    ];
    let router = Router::new();
    areas.into_iter().fold(router, |router, routes: Area| routes(router)).with_state(app)
}
