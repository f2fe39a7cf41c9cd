//! Against a real server on this machine.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// A server that answers each path with what `answer` makes of it, and notes what it was asked.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: impl Fn(&str, u16) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (heard, answer) = (asked.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (heard, answer) = (heard.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let length = socket.read(&mut request).await.unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..length]).into_owned();
                    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                    heard.lock().unwrap_or_else(PoisonError::into_inner).push(request);
                    let _ = socket.write_all(answer(&path, port).as_bytes()).await;
                });
            }
        });
        Self { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
}

fn to(place: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

/// Knows `here.test`, which is this machine under an address the operator opened, and
/// `inside.test`, which is this machine under one he did not.
fn fetcher(port: u16) -> Fetcher {
    let names = HashMap::from([
        (
            "here.test".to_owned(),
            vec![IpAddr::V4(Ipv4Addr::new(127, 7, 7, 7)), IpAddr::V4(Ipv4Addr::LOCALHOST)],
        ),
        ("inside.test".to_owned(), vec![IpAddr::V4(Ipv4Addr::new(127, 8, 8, 8))]),
    ]);
    Fetcher::new(FetchConfig {
        opened: vec!["127.0.0.1/32".parse().unwrap()],
        ports: Ports::Only(vec![port]),
        names: Names::Fixed(names),
        ..FetchConfig::public("test")
    })
    .unwrap()
}

const ROOM: Room = Room { bytes_max: 100, too_long: TooLong::Refuse };

fn ask() -> Ask<'static> {
    Ask {
        accept: "text/plain",
        room: &|content_type| content_type.starts_with("text/").then_some(ROOM),
        may_visit: &|url| url.host_str() != Some("denied.test"),
        redirects_max: 3,
        timeout: Duration::from_secs(20),
    }
}

async fn get(server: &Server, url: &str) -> Result<Fetched> {
    let url = url.replace("PORT", &server.port.to_string());
    fetcher(server.port).get(&url.parse().unwrap(), &ask()).await
}

#[tokio::test]
async fn redirects_are_followed_and_credentials_dropped() {
    let server = Server::start(|path, port| match path {
        "/a" => to("/b"),
        "/b" => to(&format!("http://127.0.0.1:{port}/c")),
        _ => ok("there"),
    })
    .await;
    let fetched = get(&server, "http://user:secret@here.test:PORT/a").await.unwrap();
    assert_eq!(fetched.body, b"there");
    assert_eq!(fetched.content_type, "text/plain");
    assert_eq!(fetched.url.path(), "/c");
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|request| !request.to_lowercase().contains("authorization")));
}

#[tokio::test]
async fn nothing_inside_is_reached_at_any_hop() {
    let server = Server::start(|path, port| match path {
        "/numbers" => to(&format!("http://127.8.8.8:{port}/x")),
        "/name" => to(&format!("http://inside.test:{port}/x")),
        "/mapped" => to(&format!("http://[::ffff:127.0.0.1]:{port}/x")),
        "/denied" => to(&format!("http://denied.test:{port}/x")),
        "/port" => to("http://127.0.0.1:1/x"),
        "/scheme" => to("file:///etc/passwd"),
        _ => ok("inside"),
    })
    .await;
    for path in ["numbers", "name", "mapped", "denied", "port", "scheme"] {
        let fetched = get(&server, &format!("http://here.test:PORT/{path}")).await;
        assert!(matches!(fetched, Err(FetchError::Refused(_))), "{path}: {fetched:?}");
    }
    for direct in [
        "http://127.8.8.8:PORT/x",
        "http://2130706434:PORT/x", // 127.0.0.2
        "http://0x7f.2:PORT/x",
        "http://0177.0.0.2:PORT/x",
        "http://0:PORT/x",
        "http://[::1]:PORT/x",
        "http://[::ffff:7f00:2]:PORT/x",
        "http://inside.test:PORT/x",
        "http://１２７.8.8.8:PORT/x",
        "ftp://here.test:PORT/x",
        "http://here.test:1/x",
    ] {
        let fetched = get(&server, direct).await;
        assert!(matches!(fetched, Err(FetchError::Refused(_))), "{direct}: {fetched:?}");
    }
    assert!(server.asked().iter().all(|request| !request.starts_with("GET /x")));
}

#[tokio::test]
async fn everything_has_a_limit() {
    let server = Server::start(|path, _| match path {
        "/loop" => to("/loop"),
        "/large" => ok(&"x".repeat(101)),
        "/endless" => format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n{}",
            "x".repeat(101)
        ),
        "/image" => ok("").replace("text/plain", "image/png"),
        "/missing" => {
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into()
        }
        _ => ok("x"),
    })
    .await;
    let at = async |path: &str| get(&server, &format!("http://here.test:PORT{path}")).await;
    assert!(matches!(at("/loop").await, Err(FetchError::TooManyRedirects)));
    assert!(matches!(at("/large").await, Err(FetchError::TooLarge(100))));
    assert!(matches!(at("/endless").await, Err(FetchError::TooLarge(100))));
    assert!(matches!(at("/image").await, Err(FetchError::Unwanted)));
    assert!(matches!(at("/missing").await, Err(FetchError::Status(404))));
    let cut = Ask { room: &|_| Some(Room { too_long: TooLong::Cut, ..ROOM }), ..ask() };
    let url = format!("http://here.test:{}/large", server.port).parse().unwrap();
    let fetched = fetcher(server.port).get(&url, &cut).await.unwrap();
    assert_eq!(fetched.body.len(), 100);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("http://here.test:{port}/").parse().unwrap();
    let impatient = Ask { timeout: Duration::from_millis(50), ..ask() };
    let fetched = fetcher(port).get(&url, &impatient).await;
    assert!(matches!(fetched, Err(FetchError::TooSlow)), "{fetched:?}");
}
