//! Every endpoint, in process.

use std::{io::Cursor, net::IpAddr, sync::Arc, time::Duration};

use axum::body::{Body, Bytes, to_bytes};
use futures_util::stream;
use haechi_accounts::Session;
use haechi_base::{Clock, Millis, UserNid};
use haechi_http::{ApiError, RateLimiter, Stack, StackSettings};
use haechi_media::{FetchConfig, MediaConfig, Ports, PreviewConfig, SCHEMA};
use haechi_store::testing::{TestDb, store_test};
use http::{Method, Request, StatusCode};
use ruma::{device_id, user_id};
use serde_json::Value as JsonValue;
use tower::ServiceExt as _;

use super::*;

#[derive(Clone)]
struct TestState {
    media: Media,
    limiter: RateLimiter,
    serves_anybody: bool,
}

impl Authenticate for TestState {
    async fn authenticate(&self, token: &str, _: IpAddr) -> Result<Session, ApiError> {
        let (user, user_id) = match token {
            "mina" => (UserNid(1), user_id!("@mina:haechi.example")),
            "jun" => (UserNid(2), user_id!("@jun:haechi.example")),
            _ => return Err(ApiError::unknown_token(false)),
        };
        let device_id = device_id!("PHONE").to_owned();
        Ok(Session { user, user_id: user_id.to_owned(), device_id, is_admin: false })
    }

    fn rate_limiter(&self) -> &RateLimiter {
        &self.limiter
    }
}

impl HasMedia for TestState {
    fn media(&self) -> &Media {
        &self.media
    }

    fn serves_anybody(&self) -> bool {
        self.serves_anybody
    }
}

struct Bench {
    _dir: tempfile::TempDir,
    _db: TestDb,
    state: TestState,
}

impl Bench {
    fn new(db: TestDb) -> Self {
        Self::with(db, |_| {})
    }

    fn with(db: TestDb, change: impl FnOnce(&mut MediaConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blob = haechi_blob::Blob::folder(dir.path()).unwrap();
        let mut config = MediaConfig::new("haechi.example");
        change(&mut config);
        let clock = Clock::manual(Millis(1_700_000_000_000));
        let media = Media::new(config, db.clone(), blob, clock).unwrap();
        let state = TestState { media, limiter: RateLimiter::off(), serves_anybody: false };
        Self { _dir: dir, _db: db, state }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let router = routes_of(Router::new()).with_state(self.state.clone());
        let response =
            Stack::new(router, &StackSettings::default()).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: impl Into<Body>) -> Answer {
        self.send(request(method, path, token).body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, "mina", "").await
    }

    /// The media id of a fresh upload.
    async fn upload(&self, content_type: &str, name: &str, bytes: &[u8]) -> String {
        let path = format!("/_matrix/media/v3/upload?filename={name}");
        let request = request(Method::POST, &path, "mina").header("content-type", content_type);
        let answer = self.send(request.body(Body::from(bytes.to_vec())).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK);
        answer.media_id()
    }
}

fn request(method: Method, path: &str, token: &str) -> http::request::Builder {
    let request = Request::builder().method(method).uri(path);
    if token.is_empty() {
        request
    } else {
        request.header("authorization", format!("Bearer {token}"))
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> JsonValue {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn media_id(&self) -> String {
        let uri = self.json()["content_uri"].as_str().unwrap().to_owned();
        uri.strip_prefix("mxc://haechi.example/").unwrap().to_owned()
    }

    #[track_caller]
    fn is_error(&self, status: u16, errcode: &str) {
        assert_eq!((self.status.as_u16(), &self.json()["errcode"]), (status, &json!(errcode)));
    }
}

const DOWNLOAD: &str = "/_matrix/client/v1/media/download/haechi.example";
const THUMBNAIL: &str = "/_matrix/client/v1/media/thumbnail/haechi.example";

fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(width, height)
        .write_to(&mut bytes, image::ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

#[store_test(schemas(SCHEMA))]
async fn what_was_uploaded_comes_back_safe(db: TestDb) {
    let bench = Bench::new(db);
    let bytes = png(20, 10);
    let id = bench.upload("image/png", "dog%20%22x%22.png", &bytes).await;
    let answer = bench.get(&format!("{DOWNLOAD}/{id}")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, bytes);
    assert_eq!(answer.header("content-type"), "image/png");
    assert_eq!(answer.header("content-disposition"), r#"inline; filename="dog \"x\".png""#);
    assert_eq!(answer.header("content-length"), bytes.len().to_string());
    assert_eq!(answer.header("cross-origin-resource-policy"), "cross-origin");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.header("content-security-policy").starts_with("sandbox; default-src 'none'"));
    assert!(answer.header("cache-control").contains("immutable"));
    let answer = bench.get(&format!("{DOWNLOAD}/{id}/%ED%95%B4.html")).await;
    assert_eq!(answer.header("content-disposition"), "inline; filename*=utf-8''%ED%95%B4.html");

    let id = bench.upload("text/html", "", b"<script>alert(1)</script>").await;
    let answer = bench.get(&format!("{DOWNLOAD}/{id}")).await;
    assert_eq!(answer.header("content-type"), "text/html");
    assert_eq!(answer.header("content-disposition"), "attachment");
    let bare = request(Method::POST, "/_matrix/media/v3/upload", "mina");
    let answer = bench.send(bare.body(Body::from("?")).unwrap()).await;
    let answer = bench.get(&format!("{DOWNLOAD}/{}", answer.media_id())).await;
    assert_eq!(answer.header("content-type"), "application/octet-stream");
}

#[store_test(schemas(SCHEMA))]
async fn parts_and_what_is_known_are_not_sent_whole(db: TestDb) {
    let bench = Bench::new(db);
    let id = bench.upload("text/plain", "a", b"0123456789").await;
    let get = async |name: &str, value: &str| {
        let request = request(Method::GET, &format!("{DOWNLOAD}/{id}"), "mina").header(name, value);
        bench.send(request.body(Body::empty()).unwrap()).await
    };
    let answer = get("range", "bytes=2-4").await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (206, &b"234"[..]));
    assert_eq!(answer.header("content-range"), "bytes 2-4/10");
    assert_eq!(answer.header("content-length"), "3");
    let answer = get("range", "bytes=10-").await;
    answer.is_error(416, "M_UNKNOWN");
    assert_eq!(answer.header("content-range"), "bytes */10");
    let tag = get("range", "").await.header("etag").to_owned();
    let answer = get("if-none-match", &tag).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
    let head = bench.ask(Method::HEAD, &format!("{DOWNLOAD}/{id}"), "mina", "").await;
    assert_eq!((head.header("content-length"), head.body.len()), ("10", 0));
}

#[store_test(schemas(SCHEMA))]
async fn what_is_not_there_or_not_ours_is_not_found(db: TestDb) {
    let bench = Bench::new(db);
    for path in [
        format!("{DOWNLOAD}/unknown"),
        format!("{DOWNLOAD}/unknown/name"),
        format!("{THUMBNAIL}/unknown?width=1&height=1"),
        "/_matrix/client/v1/media/download/elsewhere.example/id".to_owned(),
        "/_matrix/client/v1/media/download/haechi.example/..%2F..%2Fetc%2Fpasswd".to_owned(),
    ] {
        bench.get(&path).await.is_error(404, "M_NOT_FOUND");
        bench.ask(Method::GET, &path, "", "").await.is_error(401, "M_MISSING_TOKEN");
        bench.ask(Method::GET, &path, "none", "").await.is_error(401, "M_UNKNOWN_TOKEN");
    }
    let id = bench.upload("image/png", "a", b"text").await;
    let thumbnail = format!("{THUMBNAIL}/{id}");
    bench.get(&thumbnail).await.is_error(400, "M_MISSING_PARAM");
    bench.get(&format!("{thumbnail}?width=-1&height=1")).await.is_error(400, "M_INVALID_PARAM");
    bench.get(&format!("{thumbnail}?width=9&height=9")).await.is_error(400, "M_UNKNOWN");
}

#[store_test(schemas(SCHEMA))]
async fn uploads_that_are_too_large_are_refused_early(db: TestDb) {
    let bench = Bench::with(db, |config| config.upload_bytes_max = 1_000);
    let upload = async |length: Option<&str>, body: Body| {
        let mut request = request(Method::POST, "/_matrix/media/v3/upload", "mina");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        bench.send(request.body(body).unwrap()).await
    };
    // A body that never comes: the answer does not wait for it.
    let never = Body::from_stream(stream::pending::<std::io::Result<Bytes>>());
    upload(Some("1001"), never).await.is_error(413, "M_TOO_LARGE");
    // A body without end: the answer comes as soon as it is too long.
    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 100])));
    upload(None, Body::from_stream(endless)).await.is_error(413, "M_TOO_LARGE");
    let broken = stream::iter([Ok(Bytes::from_static(b"x")), Err(std::io::Error::other("gone"))]);
    upload(None, Body::from_stream(broken)).await.is_error(400, "M_UNKNOWN");
    assert_eq!(upload(None, Body::from(vec![0; 1_000])).await.status, StatusCode::OK);
    for path in ["client/v1/media/config", "media/v3/config", "media/r0/config"] {
        let config = bench.get(&format!("/_matrix/{path}")).await.json();
        assert_eq!(config, json!({ "m.upload.size": 1_000 }), "{path}");
    }
}

#[store_test(schemas(SCHEMA))]
async fn content_can_be_promised_first(db: TestDb) {
    let bench = Bench::new(db);
    let promised = bench.ask(Method::POST, "/_matrix/media/v1/create", "mina", "").await;
    assert_eq!(promised.json()["unused_expires_at"], 1_700_086_400_000_u64);
    let id = promised.media_id();
    let now = format!("{DOWNLOAD}/{id}?timeout_ms=0");
    bench.get(&now).await.is_error(504, "M_NOT_YET_UPLOADED");
    let put = format!("/_matrix/media/v3/upload/haechi.example/{id}?filename=a.txt");
    bench.ask(Method::PUT, &put, "jun", "no").await.is_error(403, "M_FORBIDDEN");
    let waiting = format!("{DOWNLOAD}/{id}?timeout_ms=50000");
    let (answer, filled) =
        tokio::join!(bench.get(&waiting), bench.ask(Method::PUT, &put, "mina", "yes"));
    assert_eq!((filled.status, filled.json()), (StatusCode::OK, json!({})));
    assert_eq!(answer.body, "yes");
    assert_eq!(answer.header("content-disposition"), "attachment; filename=a.txt");
    let again = bench.ask(Method::PUT, &put, "mina", "again").await;
    again.is_error(409, "M_CANNOT_OVERWRITE_MEDIA");
    let other = "/_matrix/media/v3/upload/haechi.example/unknown";
    bench.ask(Method::PUT, other, "mina", "x").await.is_error(404, "M_NOT_FOUND");
    for _ in 0..100 {
        bench.ask(Method::POST, "/_matrix/media/v1/create", "jun", "").await;
    }
    let refused = bench.ask(Method::POST, "/_matrix/media/v1/create", "jun", "").await;
    refused.is_error(429, "M_LIMIT_EXCEEDED");
    assert!(refused.json()["retry_after_ms"].is_number());
}

#[store_test(schemas(SCHEMA))]
async fn thumbnails_are_pictures_shown_in_place(db: TestDb) {
    let bench = Bench::new(db);
    let id = bench.upload("image/png", "a.png", &png(400, 200)).await;
    let size = |answer: &Answer| {
        let picture = image::load_from_memory(&answer.body).unwrap();
        (picture.width(), picture.height())
    };
    let path = format!("{THUMBNAIL}/{id}?width=90&height=90");
    let answer = bench.get(&path).await;
    assert_eq!((answer.status, size(&answer)), (StatusCode::OK, (96, 48)));
    assert_eq!(answer.header("content-type"), "image/jpeg");
    assert_eq!(answer.header("content-disposition"), "inline; filename=thumbnail.jpeg");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let answer = bench.get(&format!("{path}&method=crop&animated=true")).await;
    assert_eq!(size(&answer), (96, 96));
    let large = bench.upload("image/png", "b", &vec![0; 51 << 20]).await;
    let refused = bench.get(&format!("{THUMBNAIL}/{large}?width=9&height=9")).await;
    refused.is_error(413, "M_TOO_LARGE");
}

#[store_test(schemas(SCHEMA))]
async fn the_old_paths_are_closed_unless_opened(db: TestDb) {
    let mut bench = Bench::new(db);
    let id = bench.upload("image/png", "a.png", &png(20, 20)).await;
    let paths = [
        format!("download/haechi.example/{id}"),
        format!("download/haechi.example/{id}/b.png"),
        format!("thumbnail/haechi.example/{id}?width=9&height=9"),
    ];
    for version in ["v3", "r0"] {
        for path in &paths {
            let path = format!("/_matrix/media/{version}/{path}");
            bench.state.serves_anybody = false;
            bench.ask(Method::GET, &path, "mina", "").await.is_error(404, "M_NOT_FOUND");
            bench.state.serves_anybody = true;
            let answer = bench.ask(Method::GET, &path, "", "").await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            assert!(answer.header("content-security-policy").starts_with("sandbox"));
        }
    }
    let remote = "/_matrix/media/v3/download/elsewhere.example/x?allow_remote=true";
    bench.ask(Method::GET, remote, "", "").await.is_error(404, "M_NOT_FOUND");
}

#[store_test(schemas(SCHEMA))]
async fn previews_tell_nothing_about_the_network(db: TestDb) {
    let fetch = FetchConfig { ports: Ports::Only(vec![9]), ..FetchConfig::public("test") };
    let preview = PreviewConfig {
        may_preview: Arc::new(|host| host != "denied.example"),
        timeout: Duration::from_secs(5),
        ..PreviewConfig::new(fetch)
    };
    let bench = Bench::with(db, |config| config.preview = Some(preview));
    for path in ["client/v1/media/preview_url", "media/v3/preview_url"] {
        let path = format!("/_matrix/{path}");
        bench.get(&path).await.is_error(400, "M_MISSING_PARAM");
        for url in ["http://127.0.0.1:9/", "http://denied.example:9/", "file:///etc/passwd", "x"] {
            let answer = bench.get(&format!("{path}?url={url}&ts=1")).await;
            answer.is_error(403, "M_FORBIDDEN");
            assert_eq!(answer.json()["error"], "Previews of this address are not made", "{url}");
        }
        bench.ask(Method::GET, &path, "", "").await.is_error(401, "M_MISSING_TOKEN");
    }
}
