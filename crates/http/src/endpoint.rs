//! Endpoints from ruma's types.

use std::{fmt::Write as _, future::Future, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{RawPathParams, Request, State},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use haechi_base::limits::BODY_BYTES_MAX;
use http::{HeaderMap, Method, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use ruma::api::{
    IncomingRequest, IncomingRequestExt as _, OutgoingResponseExt as _, path_builder::PathBuilder,
};

use serde::de::IgnoredAny;

use crate::{ApiError, Authenticate, Busy, Class, ClientIp, LimitKey, Scheme, stack::RouteName};

/// Longest a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_mins(2);

/// A decoded and authenticated request.
pub struct Call<R: IncomingRequest<Authentication: Scheme>> {
    /// What is asked.
    pub request: R,
    /// Who asks: `()`, [`Session`](crate::Session) or an `Option` of it, as the endpoint wants.
    pub caller: <R::Authentication as Scheme>::Caller,
    /// From where.
    pub ip: IpAddr,
    /// The request's place among those being worked on; a long-poll gives it back while it sleeps.
    pub busy: Busy,
}

/// What an endpoint for files needs over the decoded request, which has an empty body.
pub struct Raw {
    /// The headers.
    pub headers: HeaderMap,
    /// The body, to be read as it comes. Nothing limits it but the handler.
    pub body: Body,
}

/// Adds Matrix endpoints to a router.
pub trait RouterExt<S>: Sized {
    /// Serves the endpoint of `R` on all its paths with
    /// `async fn handler(state: S, call: Call<R>) -> Result<R::OutgoingResponse, E>`.
    #[must_use]
    fn endpoint<R, F, Fut, E>(self, handler: F) -> Self
    where
        R: IncomingRequest<Authentication: Scheme> + Send + 'static,
        F: Fn(S, Call<R>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<R::OutgoingResponse, E>> + Send + 'static,
        E: Into<ApiError> + 'static,
    {
        self.endpoint_with_limit(BODY_BYTES_MAX, handler)
    }

    /// As [`endpoint`](Self::endpoint), with a limit of its own for the body.
    #[must_use]
    fn endpoint_with_limit<R, F, Fut, E>(self, body_bytes_max: usize, handler: F) -> Self
    where
        R: IncomingRequest<Authentication: Scheme> + Send + 'static,
        F: Fn(S, Call<R>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<R::OutgoingResponse, E>> + Send + 'static,
        E: Into<ApiError> + 'static;

    /// As [`endpoint`](Self::endpoint), for bodies too large for memory: the handler reads the
    /// body as it comes and makes the whole response.
    #[must_use]
    fn endpoint_streamed<R, F, Fut, E>(self, handler: F) -> Self
    where
        R: IncomingRequest<Authentication: Scheme> + Send + 'static,
        F: Fn(S, Call<R>, Raw) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Response, E>> + Send + 'static,
        E: Into<ApiError> + 'static;
}

impl<S: Authenticate> RouterExt<S> for Router<S> {
    fn endpoint_with_limit<R, F, Fut, E>(self, body_bytes_max: usize, handler: F) -> Self
    where
        R: IncomingRequest<Authentication: Scheme> + Send + 'static,
        F: Fn(S, Call<R>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<R::OutgoingResponse, E>> + Send + 'static,
        E: Into<ApiError> + 'static,
    {
        at_all_paths::<R, S, _, _>(self, move |state, params, request| {
            answer(state, params, request, body_bytes_max, handler.clone())
        })
    }

    fn endpoint_streamed<R, F, Fut, E>(self, handler: F) -> Self
    where
        R: IncomingRequest<Authentication: Scheme> + Send + 'static,
        F: Fn(S, Call<R>, Raw) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<Response, E>> + Send + 'static,
        E: Into<ApiError> + 'static,
    {
        at_all_paths::<R, S, _, _>(self, move |state, params, request| {
            answer_streamed(state, params, request, handler.clone())
        })
    }
}

/// What serves an endpoint, whatever its types: the router's own machinery is then compiled once and
/// not for each of two hundred endpoints.
type Answer<S> = Arc<
    dyn Fn(S, RawPathParams, Request) -> BoxFuture<'static, Result<Response, ApiError>>
        + Send
        + Sync,
>;

fn at_all_paths<R, S, A, Fut>(mut router: Router<S>, answer: A) -> Router<S>
where
    R: IncomingRequest,
    S: Authenticate,
    A: Fn(S, RawPathParams, Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, ApiError>> + Send + 'static,
{
    let filter = MethodFilter::try_from(R::METHOD).expect("ruma uses axum's methods");
    let answer: Answer<S> =
        Arc::new(move |state, params, request| Box::pin(answer(state, params, request)));
    for path in R::PATH_BUILDER.all_paths() {
        router = at_path(router, filter, path, &answer);
    }
    router
}

fn at_path<S: Authenticate>(
    mut router: Router<S>,
    filter: MethodFilter,
    path: &'static str,
    answer: &Answer<S>,
) -> Router<S> {
    for route in routes(path) {
        let answer = Arc::clone(answer);
        let serve = async move |State(state): State<S>, params: RawPathParams, request| {
            let answer = answer(state, params, request).await;
            let mut response = answer.unwrap_or_else(IntoResponse::into_response);
            response.extensions_mut().insert(RouteName(path));
            response
        };
        router = router.route(&route, on(filter, serve));
    }
    router
}

/// The routes of a path of the specification.
///
/// Variables are called by their place: the router wants the same name at the same place, and the
/// names in the specification differ. A state event's key may be empty, and then its slash too.
fn routes(path: &str) -> Vec<String> {
    let mut route = String::new();
    for (place, segment) in path.split('/').enumerate().skip(1) {
        let variable = segment.starts_with('{');
        let written =
            if variable { write!(route, "/{{v{place}}}") } else { write!(route, "/{segment}") };
        written.expect("a String takes all");
    }
    let without_key = path.ends_with("/state/{event_type}/{state_key}").then(|| {
        let cut = route.rfind('/').expect("a path has a slash");
        [route[..cut].to_owned(), route[..=cut].to_owned()]
    });
    let mut routes = vec![route];
    routes.extend(without_key.into_iter().flatten());
    routes
}

/// Boxes what comes before the handler: a long-poll that sleeps in it would keep its room.
fn answer<S, R, F, Fut, E>(
    state: S,
    params: RawPathParams,
    request: Request,
    body_bytes_max: usize,
    handler: F,
) -> impl Future<Output = Result<Response, ApiError>> + Send
where
    S: Authenticate,
    R: IncomingRequest<Authentication: Scheme> + Send + 'static,
    F: Fn(S, Call<R>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<R::OutgoingResponse, E>> + Send + 'static,
    E: Into<ApiError> + 'static,
{
    let call = Box::pin(read_call(state.clone(), params, request, body_bytes_max));
    async move {
        let response = handler(state, call.await?).await.map_err(Into::into)?;
        let response = response.try_into_http_response::<Vec<u8>>().map_err(ApiError::internal)?;
        Ok(response.map(|body| Body::from(Bytes::from(body))))
    }
}

/// Finds out who asks, reads the body, and decodes the whole.
async fn read_call<S, R>(
    state: S,
    params: RawPathParams,
    request: Request,
    body_bytes_max: usize,
) -> Result<Call<R>, ApiError>
where
    S: Authenticate,
    R: IncomingRequest<Authentication: Scheme> + Send + 'static,
{
    let (head, body) = split(request);
    let (caller, ip, busy) = admit::<S, R>(&state, &head).await?;
    let body = read_body(head.headers(), body, body_bytes_max).await?;
    let object = json_object(head.method(), &body)?;
    match decode(head.map(|()| object), &params) {
        Ok(request) => Ok(Call { request, caller, ip, busy }),
        Err(error) => Err(no_json(object).unwrap_or(error)),
    }
}

async fn answer_streamed<S, R, F, Fut, E>(
    state: S,
    params: RawPathParams,
    request: Request,
    handler: F,
) -> Result<Response, ApiError>
where
    S: Authenticate,
    R: IncomingRequest<Authentication: Scheme> + Send + 'static,
    F: Fn(S, Call<R>, Raw) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, E>> + Send + 'static,
    E: Into<ApiError> + 'static,
{
    let (head, body) = split(request);
    let (caller, ip, busy) = admit::<S, R>(&state, &head).await?;
    let headers = head.headers().clone();
    let request = decode(head.map(|()| &[][..]), &params)?;
    let raw = Raw { headers, body };
    handler(state, Call { request, caller, ip, busy }, raw).await.map_err(Into::into)
}

fn split(request: Request) -> (http::Request<()>, Body) {
    let (parts, body) = request.into_parts();
    (http::Request::from_parts(parts, ()), body)
}

/// Finds out who asks, and whether he does not ask too often.
async fn admit<S, R>(
    state: &S,
    head: &http::Request<()>,
) -> Result<(<R::Authentication as Scheme>::Caller, IpAddr, Busy), ApiError>
where
    S: Authenticate,
    R: IncomingRequest<Authentication: Scheme>,
{
    let ip = ClientIp::of(head.extensions()).0;
    let busy = head.extensions().get::<Busy>().cloned().unwrap_or_default();
    let caller = <R::Authentication as Scheme>::caller(state, head, ip).await?;
    if R::RATE_LIMITED {
        let session = <R::Authentication as Scheme>::session(&caller);
        let key = session.map_or(LimitKey::Ip(ip), |session| LimitKey::User(session.user));
        state.rate_limiter().check(Class::General, key)?;
    }
    Ok((caller, ip, busy))
}

fn decode<R: IncomingRequest>(
    request: http::Request<&[u8]>,
    params: &RawPathParams,
) -> Result<R, ApiError> {
    let body = *request.body();
    let args: Vec<&str> = params.iter().map(|(_, value)| value).collect();
    R::try_from_http_request(request, &args).map_err(|error| ApiError::undecodable(&error, body))
}

/// The body, which is a JSON object if there is one.
///
/// Serde would take a list for a struct, field by field. Where nothing must be said, clients leave
/// out the whole body.
fn json_object<'a>(method: &Method, body: &'a [u8]) -> Result<&'a [u8], ApiError> {
    match body.trim_ascii_start().first() {
        Some(b'{') => Ok(body),
        _ if *method == Method::GET => Ok(b""),
        Some(_) => Err(no_json(body).unwrap_or_else(|| ApiError::bad_json("Not a JSON object"))),
        None if *method == Method::POST => Ok(b"{}"),
        None => Ok(body),
    }
}

/// That the body is no JSON at all, if so: whatever else is wrong with the request, say this first.
fn no_json(body: &[u8]) -> Option<ApiError> {
    let invalid = !body.is_empty() && serde_json::from_slice::<IgnoredAny>(body).is_err();
    invalid.then(|| ApiError::not_json("Content is not JSON"))
}

async fn read_body(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::too_large(format!("The body is larger than {bytes_max} bytes"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse().ok()).is_some_and(|bytes: usize| bytes > bytes_max) {
        return Err(too_large());
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, bytes_max).collect()).await;
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) | Err(_) => Err(ApiError::not_json("The body did not arrive")),
    }
}

#[cfg(test)]
mod tests;
