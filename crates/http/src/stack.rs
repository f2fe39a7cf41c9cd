//! The layers around every router.

use std::{
    any::Any,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, header};
use tokio::sync::Semaphore;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{Any as AnyOrigin, CorsLayer},
};
use tracing::Instrument as _;

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

struct Shared {
    places: Arc<Semaphore>,
    trusted_proxies: Vec<IpAddr>,
}

/// Puts the layers around a router: request id, log, metrics, CORS, panics, unknown paths and
/// methods, and the limit on requests worked on at once.
pub fn stack(router: Router, settings: &StackSettings) -> Router {
    let shared = Arc::new(Shared {
        places: Arc::new(Semaphore::new(settings.requests_max)),
        trusted_proxies: settings.trusted_proxies.clone(),
    });
    router
        .fallback(async || ApiError::unrecognized("Unrecognized request"))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(cors())
        .layer(from_fn_with_state(shared, observe))
}

/// Web browsers may call from anywhere (client-server API, "Web Browser Clients").
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AnyOrigin)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::HEAD,
            Method::OPTIONS,
        ])
        .allow_headers([
            HeaderName::from_static("x-requested-with"),
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            header::DATE,
        ])
        .expose_headers([header::RETRY_AFTER, REQUEST_ID.clone()])
        .max_age(Duration::from_hours(24))
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    // The panic hook has logged where; the message may quote a request.
    drop(panic);
    ApiError::internal("a handler panicked").into_response()
}

async fn observe(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let ip = client_ip(&request, &shared.trusted_proxies);
    request.extensions_mut().insert(ClientIp(ip));
    let span = tracing::debug_span!("request", request_id = id.to_str().unwrap_or_default());

    let mut response = match Busy::take(&shared.places) {
        Some(busy) => {
            request.extensions_mut().insert(busy);
            next.run(request).instrument(span.clone()).await
        }
        None => ApiError::unavailable().into_response(),
    };

    response.headers_mut().insert(REQUEST_ID.clone(), id);
    let route = response.extensions().get::<RouteName>().map_or("other", |name| name.0);
    let elapsed = started.elapsed();
    let status = response.status();
    metrics::histogram!(
        "http_request_seconds",
        "method" => method_label(&method), "route" => route, "status" => class_label(status),
    )
    .record(elapsed);
    let elapsed_ms = elapsed.as_secs_f64() * 1_000.0;
    tracing::debug!(parent: &span, %method, route, status = status.as_u16(), elapsed_ms, "answered");
    response
}

/// The id a proxy gave, if it is harmless, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(&REQUEST_ID).filter(|value| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&value.len())
            && value.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    });
    given.cloned().unwrap_or_else(|| {
        HeaderValue::try_from(format!("{:016x}", rand::random::<u64>())).expect("hexadecimal")
    })
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
