//! Errors in the shape of the Matrix specification.

use std::{borrow::Cow, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use haechi_store::StoreError;
use http::{HeaderValue, StatusCode, header};
use ruma::api::error::{DeserializationError, FromHttpRequestError};
use serde_json::{Map, Value as Json, json};

/// An answer other than success: a status and the standard error body (client-server API,
/// "Standard error response").
#[derive(Clone, Debug)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// `errcode`; only the first answer of user-interactive authentication has none.
    pub errcode: Option<&'static str>,
    /// `error`: for people, never with inner details of the server.
    pub message: Cow<'static, str>,
    /// Further fields of the body.
    pub extra: Option<Box<Map<String, Json>>>,
    /// When to try again: `Retry-After`, and `retry_after_ms` with `M_LIMIT_EXCEEDED`.
    pub retry_after: Option<Duration>,
}

/// What a client has done and still has to do in user-interactive authentication.
#[derive(Clone, Debug)]
pub struct Uia<'a> {
    /// Ways to get through; each is a list of stages.
    pub flows: &'a [&'a [&'a str]],
    /// Stages done.
    pub completed: &'a [String],
    /// The session in which they were done.
    pub session: &'a str,
    /// Why the last stage was refused, with its code.
    pub refused: Option<(&'static str, &'a str)>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident = $status:ident $code:literal;)+) => {
        impl ApiError {
            $($(#[$doc])* pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
                Self::new(StatusCode::$status, $code, message)
            })+
        }
    };
}

constructors! {
    /// 400 `M_BAD_ALIAS`.
    bad_alias = BAD_REQUEST "M_BAD_ALIAS";
    /// 400 `M_BAD_JSON`: JSON, but not what the endpoint wants.
    bad_json = BAD_REQUEST "M_BAD_JSON";
    /// 400 `M_BAD_STATE`: such as unbanning somebody who is not banned.
    bad_state = BAD_REQUEST "M_BAD_STATE";
    /// 409 `M_CANNOT_OVERWRITE_MEDIA`.
    cannot_overwrite_media = CONFLICT "M_CANNOT_OVERWRITE_MEDIA";
    /// 400 `M_DUPLICATE_ANNOTATION`: the same reaction twice.
    duplicate_annotation = BAD_REQUEST "M_DUPLICATE_ANNOTATION";
    /// 403 `M_FORBIDDEN`.
    forbidden = FORBIDDEN "M_FORBIDDEN";
    /// 403 `M_GUEST_ACCESS_FORBIDDEN`.
    guest_access_forbidden = FORBIDDEN "M_GUEST_ACCESS_FORBIDDEN";
    /// 400 `M_INVALID_PARAM`.
    invalid_param = BAD_REQUEST "M_INVALID_PARAM";
    /// 400 `M_INVALID_ROOM_STATE`: the state asked for at creation contradicts itself.
    invalid_room_state = BAD_REQUEST "M_INVALID_ROOM_STATE";
    /// 400 `M_INVALID_USERNAME`.
    invalid_username = BAD_REQUEST "M_INVALID_USERNAME";
    /// 400 `M_KEY_TOO_LARGE`: the name of a profile field.
    key_too_large = BAD_REQUEST "M_KEY_TOO_LARGE";
    /// 400 `M_MISSING_PARAM`.
    missing_param = BAD_REQUEST "M_MISSING_PARAM";
    /// 401 `M_MISSING_TOKEN`.
    missing_token = UNAUTHORIZED "M_MISSING_TOKEN";
    /// 404 `M_NOT_FOUND`.
    not_found = NOT_FOUND "M_NOT_FOUND";
    /// 400 `M_NOT_JSON`.
    not_json = BAD_REQUEST "M_NOT_JSON";
    /// 504 `M_NOT_YET_UPLOADED`: the media id is reserved, the content has not come.
    not_yet_uploaded = GATEWAY_TIMEOUT "M_NOT_YET_UPLOADED";
    /// 400 `M_PROFILE_TOO_LARGE`.
    profile_too_large = BAD_REQUEST "M_PROFILE_TOO_LARGE";
    /// 400 `M_ROOM_IN_USE`: the alias is taken.
    room_in_use = BAD_REQUEST "M_ROOM_IN_USE";
    /// 400 `M_SERVER_NOT_TRUSTED`.
    server_not_trusted = BAD_REQUEST "M_SERVER_NOT_TRUSTED";
    /// 400 `M_THREEPID_MEDIUM_NOT_SUPPORTED`: neither e-mail nor telephone is set up here.
    threepid_medium_not_supported = BAD_REQUEST "M_THREEPID_MEDIUM_NOT_SUPPORTED";
    /// 413 `M_TOO_LARGE`.
    too_large = PAYLOAD_TOO_LARGE "M_TOO_LARGE";
    /// 400 `M_UNABLE_TO_AUTHORISE_JOIN`.
    unable_to_authorise_join = BAD_REQUEST "M_UNABLE_TO_AUTHORISE_JOIN";
    /// 400 `M_UNABLE_TO_GRANT_JOIN`.
    unable_to_grant_join = BAD_REQUEST "M_UNABLE_TO_GRANT_JOIN";
    /// 400 `M_UNKNOWN`: a refusal for which the specification has no code.
    refused = BAD_REQUEST "M_UNKNOWN";
    /// 400 `M_UNKNOWN_POS`: this sliding sync connection must start again.
    unknown_pos = BAD_REQUEST "M_UNKNOWN_POS";
    /// 404 `M_UNRECOGNIZED`: no such endpoint.
    unrecognized = NOT_FOUND "M_UNRECOGNIZED";
    /// 400 `M_UNSUPPORTED_ROOM_VERSION`.
    unsupported_room_version = BAD_REQUEST "M_UNSUPPORTED_ROOM_VERSION";
    /// 403 `M_USER_DEACTIVATED`.
    user_deactivated = FORBIDDEN "M_USER_DEACTIVATED";
    /// 400 `M_USER_IN_USE`.
    user_in_use = BAD_REQUEST "M_USER_IN_USE";
    /// 400 `M_WEAK_PASSWORD`.
    weak_password = BAD_REQUEST "M_WEAK_PASSWORD";
}

impl ApiError {
    /// Any error.
    pub fn new(
        status: StatusCode,
        errcode: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let message = message.into();
        Self { status, errcode: Some(errcode), message, extra: None, retry_after: None }
    }

    /// Adds a field to the body.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Json>) -> Self {
        self.extra.get_or_insert_default().insert(field.to_owned(), value.into());
        self
    }

    /// 401 `M_UNKNOWN_TOKEN`. A soft logout tells the client to keep its keys and log in again.
    pub fn unknown_token(soft_logout: bool) -> Self {
        let message =
            if soft_logout { "Access token has expired" } else { "Access token is not valid" };
        Self::new(StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN", message)
            .with("soft_logout", soft_logout)
    }

    /// 400 `M_INCOMPATIBLE_ROOM_VERSION`.
    pub fn incompatible_room_version(version: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "M_INCOMPATIBLE_ROOM_VERSION",
            "The version of this room is not supported",
        )
        .with("room_version", version)
    }

    /// 403 `M_WRONG_ROOM_KEYS_VERSION`: the backup has a newer version.
    pub fn wrong_room_keys_version(current: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "M_WRONG_ROOM_KEYS_VERSION", "Not the current backup")
            .with("current_version", current)
    }

    /// 429 `M_LIMIT_EXCEEDED`: this caller asks too much.
    pub fn limit_exceeded(retry_after: Duration) -> Self {
        let mut error =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED", "Too many requests");
        error.retry_after = Some(retry_after);
        error
    }

    /// 503: the server, not this caller, has too much to do. The pause is spread over one to three
    /// seconds so that those refused together do not come back together.
    pub fn unavailable() -> Self {
        let mut error = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "M_UNKNOWN",
            "The server is too busy now, try again",
        );
        error.retry_after = Some(Duration::from_millis(rand::random_range(1_000..3_000)));
        error
    }

    /// 405 `M_UNRECOGNIZED`: the endpoint exists, the method does not.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "M_UNRECOGNIZED", "Method not allowed")
    }

    /// 500 `M_UNKNOWN`. Logs `cause` here, once; the client learns nothing of it.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN", "Internal server error")
    }

    /// 401 with what remains to be done (client-server API, "User-interactive API in the REST API").
    pub fn uia(uia: &Uia<'_>) -> Self {
        let flows: Vec<Json> = uia.flows.iter().map(|stages| json!({ "stages": stages })).collect();
        let mut error = Self {
            status: StatusCode::UNAUTHORIZED,
            errcode: None,
            message: Cow::Borrowed(""),
            extra: None,
            retry_after: None,
        };
        if let Some((errcode, message)) = uia.refused {
            error.errcode = Some(errcode);
            error.message = message.to_owned().into();
        }
        error
            .with("flows", flows)
            .with("params", json!({}))
            .with("session", uia.session)
            .with("completed", uia.completed.to_vec())
    }

    /// The answer to a request that does not fit its type.
    pub(crate) fn undecodable(error: &FromHttpRequestError, body: &[u8]) -> Self {
        let FromHttpRequestError::Deserialization(error) = error else {
            return Self::method_not_allowed();
        };
        match error {
            // What was read says less than the whole: a type may give up in the middle.
            DeserializationError::Json(error)
                if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() =>
            {
                Self::bad_json(error.to_string())
            }
            DeserializationError::Json(_) | DeserializationError::Utf8(_) => {
                Self::not_json("Content is not JSON")
            }
            other => {
                let text = other.to_string();
                if text.contains("missing field") {
                    return Self::missing_param(text);
                }
                Self::invalid_param(text)
            }
        }
    }

    fn body(self) -> Vec<u8> {
        let mut body = self.extra.map(|extra| *extra).unwrap_or_default();
        if let Some(errcode) = self.errcode {
            body.insert("errcode".to_owned(), errcode.into());
            body.insert("error".to_owned(), self.message.into_owned().into());
            if let Some(after) = self.retry_after.filter(|_| errcode == "M_LIMIT_EXCEEDED") {
                let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
                body.insert("retry_after_ms".to_owned(), ms.into());
            }
        }
        Json::Object(body).to_string().into_bytes()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_transient() {
            tracing::warn!(%error, "store not available");
            return Self::unavailable();
        }
        Self::internal(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status;
        let retry_after = self.retry_after;
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(after) = retry_after {
            let whole_seconds = after.as_millis().div_ceil(1_000).max(1);
            let seconds = u64::try_from(whole_seconds).unwrap_or(u64::MAX);
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(error: ApiError) -> Json {
        serde_json::from_slice(&error.body()).unwrap()
    }

    #[test]
    fn bodies_have_the_standard_shape() {
        assert_eq!(
            body(ApiError::not_found("No such filter")),
            json!({ "errcode": "M_NOT_FOUND", "error": "No such filter" })
        );
        assert_eq!(body(ApiError::unknown_token(true))["soft_logout"], true);
    }

    #[test]
    fn limits_say_when_to_come_back() {
        let error = ApiError::limit_exceeded(Duration::from_millis(1_200));
        assert_eq!(body(error.clone())["retry_after_ms"], 1_200);
        assert_eq!(error.into_response().headers()[header::RETRY_AFTER], "2");
    }

    #[test]
    fn the_first_uia_answer_has_no_errcode() {
        let uia = Uia { flows: &[&["m.login.dummy"]], completed: &[], session: "s", refused: None };
        let first = body(ApiError::uia(&uia));
        assert_eq!(
            first,
            json!({ "flows": [{ "stages": ["m.login.dummy"] }], "params": {}, "session": "s",
                    "completed": [] })
        );
        let again = Uia { refused: Some(("M_FORBIDDEN", "Wrong password")), ..uia };
        assert_eq!(body(ApiError::uia(&again))["errcode"], "M_FORBIDDEN");
    }

    #[test]
    fn trouble_in_the_store_stays_inside() {
        let passing = ApiError::from(StoreError::Overloaded);
        assert_eq!(passing.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(passing.retry_after.is_some());
        let lasting = ApiError::from(StoreError::Conflict("user.secret".to_owned()));
        assert_eq!(lasting.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!body(lasting).to_string().contains("secret"));
    }
}
