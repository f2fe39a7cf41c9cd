//! Whoever asks the server.

use axum::body::{Body, to_bytes};
use http::{Method, Request, header};
use serde_json::Value as Json;
use tower::ServiceExt as _;

/// Status and body of an answer.
pub type Answer = (u16, Json);

/// A client, logged in or not. Paths below `/_matrix/client` may be given as `/v3/…`.
#[derive(Clone)]
pub struct Client {
    router: haechi_http::Stack,
    token: Option<String>,
    /// The `Idempotency-Key` of what it asks.
    key: Option<String>,
}

impl Client {
    pub(crate) fn new(router: haechi_http::Stack, token: Option<String>) -> Self {
        Self { router, token, key: None }
    }

    /// Asks by GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, Body::empty()).await
    }

    /// Asks by POST.
    pub async fn post(&self, path: &str, body: Json) -> Answer {
        self.ask(Method::POST, path, Body::from(body.to_string())).await
    }

    /// Asks by POST under an `Idempotency-Key`.
    pub async fn post_once(&self, key: &str, path: &str, body: Json) -> Answer {
        let keyed = Self { key: Some(key.to_owned()), ..self.clone() };
        keyed.ask(Method::POST, path, Body::from(body.to_string())).await
    }

    /// Asks by PUT.
    pub async fn put(&self, path: &str, body: Json) -> Answer {
        self.ask(Method::PUT, path, Body::from(body.to_string())).await
    }

    /// Asks by DELETE.
    pub async fn delete(&self, path: &str, body: Json) -> Answer {
        self.ask(Method::DELETE, path, Body::from(body.to_string())).await
    }

    /// Asks.
    ///
    /// # Panics
    /// When the answer is not JSON.
    pub async fn ask(&self, method: Method, path: &str, body: Body) -> Answer {
        let prefix = if path.starts_with("/v") { "/_matrix/client" } else { "" };
        let mut request = Request::builder().method(method).uri(format!("{prefix}{path}"));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(body).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("never fails");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }
}
