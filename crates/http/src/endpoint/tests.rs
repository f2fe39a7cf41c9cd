use std::num::NonZeroU32;

use axum::body::to_bytes;
use haechi_accounts::Session;
use haechi_base::UserNid;
use http::{Method, StatusCode};
use ruma::{
    api::client::{
        account::whoami::v3 as whoami, filter::create_filter::v3 as create_filter,
        room::get_room_event::v3 as get_room_event,
        state::get_state_event_for_key::v3 as get_state,
    },
    device_id, user_id,
};
use serde_json::{Value as Json, json};
use tower::ServiceExt as _;

use super::*;
use crate::{Rate, RateLimiter, RateLimits, Stack, StackSettings};

#[derive(Clone)]
struct TestState(RateLimiter);

impl Authenticate for TestState {
    async fn authenticate(&self, token: &str, _: IpAddr) -> Result<Session, ApiError> {
        match token {
            "good" => Ok(Session {
                user: UserNid(7),
                user_id: user_id!("@mina:haechi.example").to_owned(),
                device_id: device_id!("PHONE").to_owned(),
                is_admin: false,
            }),
            "old" => Err(ApiError::unknown_token(true)),
            _ => Err(ApiError::unknown_token(false)),
        }
    }

    fn rate_limiter(&self) -> &RateLimiter {
        &self.0
    }
}

async fn make_filter(
    _: TestState,
    call: Call<create_filter::Request>,
) -> Result<create_filter::Response, ApiError> {
    assert_eq!(call.caller.user, UserNid(7));
    Ok(create_filter::Response::new(call.request.user_id.to_string()))
}

async fn state_event(
    _: TestState,
    call: Call<get_state::Request>,
) -> Result<get_state::Response, ApiError> {
    let request = call.request;
    let seen = json!([request.room_id, request.event_type.to_string(), request.state_key]);
    Ok(get_state::Response::new(serde_json::value::to_raw_value(&seen).unwrap()))
}

async fn event(
    _: TestState,
    call: Call<get_room_event::Request>,
) -> Result<get_room_event::Response, ApiError> {
    assert!(call.request.event_id.as_str().is_empty(), "always panics: ids are never empty");
    Err(ApiError::not_found("never reached"))
}

async fn who_am_i(_: TestState, call: Call<whoami::Request>) -> Result<whoami::Response, ApiError> {
    Ok(whoami::Response::new(call.caller.user_id, false))
}

fn router(limiter: RateLimiter) -> Stack {
    let router = Router::new()
        .endpoint_with_limit(1_000, make_filter)
        .endpoint(state_event)
        .endpoint(event)
        .endpoint(who_am_i)
        .with_state(TestState(limiter));
    Stack::new(router, &StackSettings::default())
}

async fn ask(method: Method, path: &str, token: &str, body: &str) -> (StatusCode, Json) {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("/_matrix/client{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::from(body.to_owned()))
        .unwrap();
    send(router(RateLimiter::off()), request).await
}

async fn send(router: Stack, request: http::Request<Body>) -> (StatusCode, Json) {
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

const FILTER: &str = "/v3/user/@mina:haechi.example/filter";

#[tokio::test]
async fn a_good_request_reaches_its_handler() {
    let (status, body) = ask(Method::POST, FILTER, "good", "{}").await;
    assert_eq!((status, body), (StatusCode::OK, json!({ "filter_id": "@mina:haechi.example" })));
    let (status, _) = ask(Method::POST, &FILTER.replace("v3", "r0"), "good", "{}").await;
    assert_eq!(status, StatusCode::OK, "old paths are served too");
    let escaped = FILTER.replace('@', "%40").replace(':', "%3A");
    assert_eq!(ask(Method::POST, &escaped, "good", "").await.0, StatusCode::OK);
}

#[tokio::test]
async fn state_keys_may_be_empty() {
    for (path, key) in [("/m.x/k%2Fk", "k/k"), ("/m.x", ""), ("/m.x/", "")] {
        let path = format!("/v3/rooms/!r:haechi.example/state{path}");
        let (status, body) = ask(Method::GET, &path, "good", "").await;
        assert_eq!((status, body), (StatusCode::OK, json!(["!r:haechi.example", "m.x", key])));
    }
}

#[tokio::test]
async fn each_fault_has_its_own_answer() {
    let large = "x".repeat(1_001);
    let cases = [
        (Method::POST, FILTER, "good", "{", 400, "M_NOT_JSON"),
        (Method::POST, FILTER, "good", r#"{"room":7}"#, 400, "M_BAD_JSON"),
        (Method::POST, FILTER, "good", "[{}]", 400, "M_BAD_JSON"),
        (Method::POST, FILTER, "good", "[{", 400, "M_NOT_JSON"),
        (Method::POST, "/v3/user/mina/filter", "good", "{", 400, "M_NOT_JSON"),
        (Method::POST, FILTER, "good", &*large, 413, "M_TOO_LARGE"),
        (Method::POST, "/v3/user/mina/filter", "good", "{}", 400, "M_INVALID_PARAM"),
        (Method::POST, FILTER, "", "{}", 401, "M_MISSING_TOKEN"),
        (Method::POST, FILTER, "bad", "{}", 401, "M_UNKNOWN_TOKEN"),
        (Method::POST, "/v3/nothing", "good", "{}", 404, "M_UNRECOGNIZED"),
        (Method::PUT, FILTER, "good", "{}", 405, "M_UNRECOGNIZED"),
        (Method::GET, "/v3/rooms/!r:h/event/$e", "good", "", 500, "M_UNKNOWN"),
    ];
    for (method, path, token, body, status, errcode) in cases {
        let (got, answer) = ask(method, path, token, body).await;
        assert_eq!((got.as_u16(), &answer["errcode"]), (status, &json!(errcode)), "{path}");
    }
    let (_, expired) = ask(Method::POST, FILTER, "old", "{}").await;
    assert_eq!(expired["soft_logout"], true);
}

#[tokio::test]
async fn a_token_in_the_query_will_do() {
    let request = http::Request::post(format!("/_matrix/client{FILTER}?access_token=good"))
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(send(router(RateLimiter::off()), request).await.0, StatusCode::OK);
}

#[tokio::test]
async fn browsers_may_call_from_anywhere() {
    let request = http::Request::options(format!("/_matrix/client{FILTER}"))
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .body(Body::empty())
        .unwrap();
    let response = router(RateLimiter::off()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    let refused = http::Request::get("/nowhere").body(Body::empty()).unwrap();
    let response = router(RateLimiter::off()).oneshot(refused).await.unwrap();
    assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "errors too");
}

#[tokio::test]
async fn marked_endpoints_are_rate_limited() {
    let rate = Rate { per_minute: NonZeroU32::MIN, burst: NonZeroU32::MIN };
    let limits = RateLimits { general: rate, messages: rate, logins: rate, registrations: rate };
    let router = router(RateLimiter::new(limits));
    let get = |path: &str| {
        http::Request::get(format!("/_matrix/client/v3{path}"))
            .header(header::AUTHORIZATION, "Bearer good")
            .body(Body::empty())
            .unwrap()
    };
    for _ in 0..2 {
        assert_eq!(send(router.clone(), get("/rooms/!r:h/state/m.x")).await.0, StatusCode::OK);
    }
    assert_eq!(send(router.clone(), get("/account/whoami")).await.0, StatusCode::OK);
    let (status, body) = send(router, get("/account/whoami")).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(body["retry_after_ms"].as_u64().is_some_and(|ms| ms <= 60_000));
}

#[tokio::test]
async fn more_than_the_limit_at_once_is_refused() {
    let settings = StackSettings { requests_max: 0, ..StackSettings::default() };
    let router = Stack::new(Router::new(), &settings);
    let response =
        router.oneshot(http::Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(header::RETRY_AFTER));
}
