//! The web app, held inside the binary, and how it is served.
//!
//! The files that Vite built lie in the program, already compressed. Names below `assets/` carry a
//! hash of their content and may be kept for ever; all else is asked for again, by `ETag`. Every path
//! that is no file and no API is a place in the app and gets its page.

use axum::{
    Router,
    extract::State,
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use serde::Serialize;

/// One file of the web app.
struct File {
    path: &'static str,
    tag: &'static str,
    plain: &'static [u8],
    br: Option<&'static [u8]>,
    gz: Option<&'static [u8]>,
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Paths that belong to the APIs, whether they know them or not.
const OF_APIS: &[&str] =
    &["/_matrix", "/_haechi", "/_synapse", "/.well-known", "/healthz", "/readyz"];

/// Said instead of the app by a program that was built without it.
const ABSENT: &str = "<!doctype html><meta charset=utf-8><title>Haechi</title>\
    <h1>The server runs; its web app is not built in</h1>\
    <p>Build it by <code>npm install &amp;&amp; npm run build</code> in <code>web/</code>, then build the \
    server again; or start it by <code>cargo xtask run</code>, which does both. Any other Matrix \
    client works with this address.</p>";

/// What the operator says to the app, at `/haechi.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Welcome {
    /// The part after the colon in ids.
    pub server_name: String,
    /// What the operator calls the service.
    pub name: String,
    /// A sentence on the first page.
    pub welcome: String,
    /// Where the same service answers, in the order in which the app tries them.
    pub base_urls: Vec<String>,
    /// Who may register: `open`, `token` or `closed`.
    pub registration: String,
}

/// Is this path one of the app's, not of an API?
pub fn claims(path: &str) -> bool {
    !OF_APIS.iter().any(|api| {
        path.strip_prefix(api).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// The app's pages and files.
pub fn routes(welcome: &Welcome) -> Router {
    let told = serde_json::to_vec(welcome).expect("texts and lists are JSON");
    let told = Bytes::from(told);
    let policy = policy(&welcome.base_urls);
    Router::new()
        .route(
            "/haechi.json",
            get(async move || {
                let head = [
                    (header::CONTENT_TYPE, "application/json"),
                    (header::CACHE_CONTROL, "no-cache"),
                    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
                ];
                (head, told.clone())
            }),
        )
        .fallback(serve)
        .with_state(policy)
}

/// What the pages may load: no script but ours, none inline; servers of the same service.
fn policy(base_urls: &[String]) -> HeaderValue {
    let others = base_urls.join(" ");
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' blob: data:; media-src blob:; font-src 'self'; connect-src 'self' {others}; \
         worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'; object-src 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'self'"))
}

async fn serve(
    State(policy): State<HeaderValue>,
    method: Method,
    uri: Uri,
    request: HeaderMap,
) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let mut response = match find(path) {
        Some(file) => answer(file, &request),
        // A wrong name below `assets/` must not be answered by a page: it would be kept as a script.
        None if path.starts_with("assets/") => StatusCode::NOT_FOUND.into_response(),
        None => match find("index.html") {
            Some(page) => answer(page, &request),
            None => axum::response::Html(ABSENT).into_response(),
        },
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    for (name, value) in
        [(header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::REFERRER_POLICY, "no-referrer")]
    {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert(
        "permissions-policy",
        HeaderValue::from_static("camera=(self), microphone=(self), geolocation=(self)"),
    );
    response
}

fn find(path: &str) -> Option<&'static File> {
    FILES.binary_search_by(|file| file.path.cmp(path)).ok().map(|at| &FILES[at])
}

fn answer(file: &'static File, request: &HeaderMap) -> Response {
    let kept = if file.path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let known = request.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let head = [
        (header::CONTENT_TYPE, kind(file.path)),
        (header::CACHE_CONTROL, kept),
        (header::ETAG, file.tag),
        (header::VARY, "Accept-Encoding"),
    ];
    if known.is_some_and(|tags| tags.contains(file.tag)) {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    let takes = request.get(header::ACCEPT_ENCODING).and_then(|names| names.to_str().ok());
    let takes = |name| takes.is_some_and(|names| names.contains(name));
    match (file.br, file.gz) {
        (Some(packed), _) if takes("br") => {
            (head, [(header::CONTENT_ENCODING, "br")], packed).into_response()
        }
        (_, Some(packed)) if takes("gzip") => {
            (head, [(header::CONTENT_ENCODING, "gzip")], packed).into_response()
        }
        _ => (head, file.plain).into_response(),
    }
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "wasm" => "application/wasm",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    fn welcome() -> Welcome {
        Welcome {
            server_name: "haechi.example".into(),
            name: "Haechi".into(),
            welcome: String::new(),
            base_urls: vec!["https://b.haechi.example".into()],
            registration: "open".into(),
        }
    }

    async fn get(path: &str) -> Response {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        routes(&welcome()).oneshot(request).await.expect("an answer")
    }

    #[test]
    fn paths_of_apis_are_left_to_them() {
        assert!(claims("/") && claims("/chats/!a:b") && claims("/_matrixlike"));
        assert!(!claims("/_matrix") && !claims("/_matrix/client/v3/sync"));
        assert!(!claims("/.well-known/matrix/client") && !claims("/healthz"));
    }

    #[tokio::test]
    async fn every_place_gets_the_page_and_a_strict_policy() {
        for path in ["/", "/chats", "/more/settings"] {
            let answer = get(path).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
            assert!(policy.contains("script-src 'self' 'wasm-unsafe-eval';"), "{policy}");
            assert!(policy.contains("connect-src 'self' https://b.haechi.example;"), "{policy}");
        }
    }

    #[tokio::test]
    async fn a_lost_asset_is_not_answered_by_the_page() {
        assert_eq!(get("/assets/gone.js").await.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn the_operators_words_are_told() {
        let body = get("/haechi.json").await.into_body().collect().await.expect("a body");
        let told: serde_json::Value = serde_json::from_slice(&body.to_bytes()).expect("JSON");
        assert_eq!(told["registration"], "open");
    }
}
