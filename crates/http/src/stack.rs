//! What happens around every request.
//!
//! One service and not a tower of layers: axum copies the layers of a route for each request, which
//! with five of them took a tenth of the server's time.

use std::{
    convert::Infallible,
    future::ready,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    response::{IntoResponse as _, Response},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, header};
use tokio::sync::Semaphore;
use tower_service::Service;
use tracing::{Instrument as _, Span};

use crate::{ApiError, Busy};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest request id taken over from a proxy.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// How the layers behave.
#[derive(Clone, Debug)]
pub struct StackSettings {
    /// Requests worked on at once; more are refused with 503. Sleeping long-polls do not count.
    pub requests_max: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for StackSettings {
    fn default() -> Self {
        Self { requests_max: 4_096, trusted_proxies: Vec::new() }
    }
}

/// The address the request came from, behind all trusted proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIp(pub IpAddr);

impl ClientIp {
    /// The address kept with the request; unspecified when no connection is known (tests).
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }
}

/// The path, as the specification writes it, that answered. Kept with the response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouteName(pub(crate) &'static str);

/// A router with what happens around every request: request id, log, metrics, CORS, panics, unknown
/// paths and methods, and the limit on requests worked on at once.
#[derive(Clone)]
pub struct Stack {
    router: Router,
    shared: Arc<Shared>,
}

struct Shared {
    places: Arc<Semaphore>,
    trusted_proxies: Vec<IpAddr>,
}

impl Stack {
    /// Puts it around `router`.
    pub fn new(router: Router, settings: &StackSettings) -> Self {
        Self {
            router: router
                .fallback(async || ApiError::unrecognized("Unrecognized request"))
                .method_not_allowed_fallback(async || ApiError::method_not_allowed()),
            shared: Arc::new(Shared {
                places: Arc::new(Semaphore::new(settings.requests_max)),
                trusted_proxies: settings.trusted_proxies.clone(),
            }),
        }
    }
}

impl Service<Request> for Stack {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    /// All that needs the request itself happens here, before the future: there it would be copied from
    /// one state to the next, and its room be kept while a long-poll sleeps.
    fn call(&mut self, mut request: Request) -> Self::Future {
        let ip = client_ip(&request, &self.shared.trusted_proxies);
        request.extensions_mut().insert(ClientIp(ip));
        let seen = Seen::of(&request);
        if *request.method() == Method::OPTIONS {
            return Box::pin(ready(Ok(seen.finish(preflight()))));
        }
        let Some(busy) = Busy::take(&self.shared.places) else {
            return Box::pin(ready(Ok(seen.finish(ApiError::unavailable().into_response()))));
        };
        request.extensions_mut().insert(busy);
        let answer = AssertUnwindSafe(self.router.call(request)).catch_unwind();
        let answer = answer.instrument(seen.span.clone());
        Box::pin(async move {
            let response = match answer.await {
                Ok(answered) => answered.unwrap_or_else(|never| match never {}),
                // The panic hook has logged where; the message may quote a request.
                Err(_) => ApiError::internal("a handler panicked").into_response(),
            };
            Ok(seen.finish(response))
        })
    }
}

/// What a browser asks before it calls from another origin. Any may (client-server API, "Web Browser
/// Clients").
fn preflight() -> Response {
    let mut response = Response::default();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE, HEAD, OPTIONS"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "X-Requested-With, Content-Type, Authorization, Date, Idempotency-Key",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What is known of a request when its answer goes out.
struct Seen {
    started: Instant,
    id: HeaderValue,
    method: Method,
    span: Span,
}

impl Seen {
    fn of(request: &Request) -> Self {
        let id = request_id(request.headers());
        let span = tracing::debug_span!("request", request_id = id.to_str().unwrap_or_default());
        Self { started: Instant::now(), id, method: request.method().clone(), span }
    }

    /// Puts the headers that every answer has on it, counts and logs it.
    fn finish(self, mut response: Response) -> Response {
        let Self { started, id, method, span } = self;
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID.clone(), id);
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Retry-After, X-Request-Id"),
        );
        let route = response.extensions().get::<RouteName>().map_or("other", |name| name.0);
        let elapsed = started.elapsed();
        let status = response.status();
        metrics::histogram!(
            "http_request_seconds",
            "method" => method_label(&method), "route" => route, "status" => class_label(status),
        )
        .record(elapsed);
        let elapsed_ms = elapsed.as_secs_f64() * 1_000.0;
        let status = status.as_u16();
        tracing::debug!(parent: &span, %method, route, status, elapsed_ms, "answered");
        response
    }
}

/// The id a proxy gave, if it is harmless, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(&REQUEST_ID).filter(|value| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&value.len())
            && value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    });
    let id = match given {
        // A copy: a clone would keep the whole buffer that the request was read into.
        Some(given) => HeaderValue::from_bytes(given.as_bytes()),
        None => HeaderValue::from_bytes(format!("{:016x}", rand::random::<u64>()).as_bytes()),
    };
    id.expect("letters and digits")
}

/// Walks back from the connection through the proxies that are believed.
fn client_ip(request: &Request, trusted: &[IpAddr]) -> IpAddr {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let mut ip = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip()).to_canonical();
    if !trusted.contains(&ip) {
        return ip;
    }
    let headers = request.headers().get_all("x-forwarded-for").iter();
    let hops: Vec<&str> =
        headers.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(',')).collect();
    for hop in hops.into_iter().rev() {
        if !trusted.contains(&ip) {
            break;
        }
        let Ok(before) = hop.trim().parse::<IpAddr>() else { break };
        ip = before.to_canonical();
    }
    ip
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class_label(status: http::StatusCode) -> &'static str {
    match status.as_u16() {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(peer: &str, forwarded: &str) -> Request {
        let peer: SocketAddr = peer.parse().unwrap();
        Request::builder()
            .header("x-forwarded-for", forwarded)
            .extension(ConnectInfo(peer))
            .body(axum::body::Body::empty())
            .unwrap()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let ip = |peer, forwarded| client_ip(&from(peer, forwarded), &[proxy]).to_string();
        assert_eq!(ip("192.0.2.9:1", "198.51.100.7"), "192.0.2.9");
        assert_eq!(ip("10.0.0.1:1", "198.51.100.7"), "198.51.100.7");
        assert_eq!(ip("10.0.0.1:1", "203.0.113.5, 198.51.100.7"), "198.51.100.7");
        assert_eq!(ip("10.0.0.1:1", "198.51.100.7, 10.0.0.1"), "198.51.100.7");
        assert_eq!(ip("10.0.0.1:1", "rubbish"), "10.0.0.1");
    }

    #[test]
    fn request_ids_are_taken_over_only_if_harmless() {
        let with = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID.clone(), HeaderValue::from_str(id).unwrap());
            request_id(&headers)
        };
        assert_eq!(with("abc-1"), "abc-1");
        assert_ne!(with("a b"), "a b");
        assert_eq!(with(&"x".repeat(65)).len(), 16);
    }
}
