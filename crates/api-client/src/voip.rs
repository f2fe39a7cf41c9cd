//! Relays for calls. None are set up here.

use axum::Router;
use haechi_http::{Call, RouterExt as _};
use http::Method;
use ruma::api::{
    EmptyBody, IncomingRequest, Metadata, OutgoingResponse,
    client::voip::get_turn_server_info::v3 as turn,
    error::{DeserializationError, IntoHttpError},
};

use crate::{App, Error};

pub(crate) fn routes(router: Router<App>) -> Router<App> {
    router.endpoint(async |_: App, _: Call<TurnRequest>| Ok::<_, Error>(NoRelays))
}

/// ruma's request with another response.
struct TurnRequest;

impl Metadata for TurnRequest {
    const METHOD: Method = turn::Request::METHOD;
    const RATE_LIMITED: bool = turn::Request::RATE_LIMITED;
    type Authentication = <turn::Request as Metadata>::Authentication;
    type PathBuilder = <turn::Request as Metadata>::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = turn::Request::PATH_BUILDER;
}

impl IncomingRequest for TurnRequest {
    type EndpointError = <turn::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = NoRelays;

    fn try_from_http_request_inner(
        _: http::Request<&[u8]>,
        _: &[&str],
    ) -> Result<Self, DeserializationError> {
        Ok(Self)
    }
}

/// An empty object: what clients understand as "no relays". With an empty list of addresses, which
/// the specification's type would need, browsers refuse to start a call.
struct NoRelays;

impl OutgoingResponse for NoRelays {
    type Body = EmptyBody<false>;

    fn try_into_http_response_inner(self) -> Result<http::Response<Self::Body>, IntoHttpError> {
        Ok(http::Response::new(EmptyBody))
    }
}
