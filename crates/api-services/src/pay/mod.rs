//! `/_haechi/client/v1/pay`.

mod asks;
mod envelopes;
mod payments;
mod person;
mod shapes;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::Services;

/// All endpoints of payments.
pub(crate) fn routes() -> OpenApiRouter<Services> {
    OpenApiRouter::new()
        .routes(routes!(person::wallets))
        .routes(routes!(person::settings, person::change_settings))
        .routes(routes!(person::set_pin))
        .routes(routes!(payments::send, payments::history))
        .routes(routes!(payments::one))
        .routes(routes!(payments::accept))
        .routes(routes!(payments::refuse))
        .routes(routes!(payments::cancel))
        .routes(routes!(payments::receipt))
        .routes(routes!(payments::request))
        .routes(routes!(asks::ask, asks::list))
        .routes(routes!(asks::pay))
        .routes(routes!(asks::close))
        .routes(routes!(asks::split))
        .routes(routes!(envelopes::seal))
        .routes(routes!(envelopes::one))
        .routes(routes!(envelopes::open))
}
