//! A server that only pretends: it keeps messages in memory and does nothing else.
//!
//! Against it the generator finds its own limit, which must lie far above that of the servers it
//! measures. Tests let it break a promise, to see that this is found.

use std::{
    collections::HashMap,
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

use crate::{
    error::{Error, Result},
    scan,
};

/// Most events of one timeline.
const TIMELINE_MAX: usize = 50;

/// Most headers of one request.
const HEADERS_MAX: usize = 32;

/// Largest request.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// A promise to break, at the second user of each room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Keep all promises.
    None,
    /// The fourth message never comes.
    #[cfg(test)]
    Lose,
    /// The fourth message comes twice.
    #[cfg(test)]
    Double,
    /// The fourth and the fifth message change places.
    #[cfg(test)]
    Reorder,
}

impl Fault {
    /// Which message stands at `place` of what the second user sees.
    fn message_at(self, place: usize) -> usize {
        match (self, place) {
            #[cfg(test)]
            (Self::Lose, 3..) => place + 1,
            #[cfg(test)]
            (Self::Double, 4..) => place - 1,
            #[cfg(test)]
            (Self::Reorder, 3) => 4,
            #[cfg(test)]
            (Self::Reorder, 4) => 3,
            _ => place,
        }
    }
}

/// A room: its events, ready to be sent, and how many there are.
struct Room {
    id: String,
    events: Mutex<Vec<Arc<str>>>,
    count: watch::Sender<usize>,
}

/// All there is.
struct State {
    fault: Fault,
    rooms: Mutex<HashMap<String, Arc<Room>>>,
    /// By token: the one room that the user is in, and whether it is the second user there.
    users: Mutex<HashMap<String, (Arc<Room>, bool)>>,
}

/// Serves on `address` until the process ends.
pub(crate) fn run(address: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start a runtime"))?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.map_err(Error::io("listen"))?;
        println!("http://{}", listener.local_addr().map_err(Error::io("listen"))?);
        serve(listener, Fault::None).await;
        pending().await
    })
}

/// Serves what connects to `listener`.
pub(crate) async fn serve(listener: TcpListener, fault: Fault) {
    let state = Arc::new(State { fault, rooms: Mutex::default(), users: Mutex::default() });
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            // a client that breaks off ends its connection, no more
            let _ = connection(stream, &state).await;
        });
    }
}

/// A request as far as it matters.
struct Request {
    path: String,
    token: String,
    body: Vec<u8>,
}

async fn connection(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::new();
    loop {
        let (request, end) = loop {
            if let Some(parsed) = parse(&input) {
                break parsed;
            }
            if input.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut input).await? == 0 {
                return Ok(());
            }
        };
        input.drain(..end);
        let answer = answer(state, &request).await;
        let (status, body) =
            answer.map_or(("404 Not Found", "{}".to_owned()), |body| ("200 OK", body));
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
    }
}

/// The first request in `input` and where it ends; `None` until it is whole.
fn parse(input: &[u8]) -> Option<(Request, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(input).ok()? else { return None };
    let value = |name: &str| {
        let header = request.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    let body_bytes: usize = value("content-length").map_or(Some(0), |v| v.parse().ok())?;
    let end = head + body_bytes;
    let token = value("authorization").and_then(|v| v.strip_prefix("Bearer "));
    let request = Request {
        path: request.path?.to_owned(),
        token: token.unwrap_or_default().to_owned(),
        body: input.get(head..end)?.to_vec(),
    };
    Some((request, end))
}

/// The answer's body; `None` is a 404.
async fn answer(state: &State, request: &Request) -> Option<String> {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let parts: Vec<&str> = path.strip_prefix("/_matrix/client/")?.split('/').collect();
    match parts[..] {
        ["versions"] => Some(r#"{"versions":["v1.11"]}"#.to_owned()),
        ["v3", "register"] => {
            let name = scan::string(&request.body, "username")?;
            Some(format!(r#"{{"user_id":"@{name}:localhost","access_token":"{name}"}}"#))
        }
        ["v3", "user", _, "filter"] => Some(r#"{"filter_id":"1"}"#.to_owned()),
        ["v3", "createRoom"] => {
            let id = format!("!{}", request.token);
            let (events, count) = (Mutex::default(), watch::Sender::new(0));
            let room = Arc::new(Room { id: id.clone(), events, count });
            lock(&state.users).insert(request.token.clone(), (Arc::clone(&room), false));
            lock(&state.rooms).insert(id.clone(), room);
            Some(format!(r#"{{"room_id":"{id}"}}"#))
        }
        ["v3", "rooms", room, "join"] => {
            let room = Arc::clone(lock(&state.rooms).get(&room.replace("%21", "!"))?);
            let mut users = lock(&state.users);
            let second = !users.values().any(|(r, second)| *second && Arc::ptr_eq(r, &room));
            users.insert(request.token.clone(), (room, second));
            Some("{}".to_owned())
        }
        ["v3", "rooms", _, "send", _, transaction] => {
            let (room, _) = lock(&state.users).get(&request.token)?.clone();
            let mut events = lock(&room.events);
            let content = std::str::from_utf8(&request.body).ok()?;
            let event = event(&request.token, &room.id, content, events.len());
            events.push(event.into());
            room.count.send_replace(events.len());
            Some(format!(r#"{{"event_id":"${transaction}"}}"#))
        }
        ["v3", "rooms", _, "messages"] => messages(state, &request.token, query),
        ["v3", "sync"] => sync(state, &request.token, query).await,
        _ => None,
    }
}

/// An event as large as a real one.
fn event(sender: &str, room: &str, content: &str, place: usize) -> String {
    format!(
        r#"{{"type":"m.room.message","sender":"@{sender}:localhost","room_id":"{room}","content":{content},"event_id":"$stub-{place:038}","origin_server_ts":1700000000000,"unsigned":{{"age":12}}}}"#
    )
}

async fn sync(state: &State, token: &str, query: &str) -> Option<String> {
    let (room, second) = lock(&state.users).get(token)?.clone();
    let mut count = room.count.subscribe();
    let Some(since) = number(query, "since=s") else {
        return Some(format!(r#"{{"next_batch":"s{}"}}"#, *count.borrow()));
    };
    let wait = Duration::from_millis(number(query, "timeout=")? as u64);
    // when the time is over, the answer is empty
    let _ = timeout(wait, count.wait_for(|count| *count > since)).await;
    let fault = if second { state.fault } else { Fault::None };
    let events = lock(&room.events);
    let mut seen = Vec::new();
    while let Some(event) = events.get(fault.message_at(since + seen.len())) {
        seen.push(&**event);
    }
    let next = since + seen.len();
    if seen.is_empty() {
        return Some(format!(r#"{{"next_batch":"s{next}"}}"#));
    }
    let first = seen.len().saturating_sub(TIMELINE_MAX);
    Some(format!(
        r#"{{"next_batch":"s{next}","rooms":{{"join":{{"{}":{{"timeline":{{"events":[{}],"limited":{},"prev_batch":"t{}"}},"state":{{"events":[]}},"ephemeral":{{"events":[]}},"unread_notifications":{{"notification_count":0,"highlight_count":0}}}}}}}}}}"#,
        room.id,
        seen[first..].join(","),
        first > 0,
        since + first,
    ))
}

fn messages(state: &State, token: &str, query: &str) -> Option<String> {
    let (room, _) = lock(&state.users).get(token)?.clone();
    let events = lock(&room.events);
    let end = number(query, "from=t").unwrap_or(events.len()).min(events.len());
    let start = end.saturating_sub(number(query, "limit=")?);
    let page: Vec<&str> = events[start..end].iter().rev().map(|event| &**event).collect();
    let more = if start > 0 { format!(r#","end":"t{start}""#) } else { String::new() };
    Some(format!(r#"{{"chunk":[{}],"start":"t{end}"{more}}}"#, page.join(",")))
}

/// The number that stands behind `prefix` in a query.
fn number(query: &str, prefix: &str) -> Option<usize> {
    query.split('&').find_map(|pair| pair.strip_prefix(prefix)?.parse().ok())
}

/// What a mutex guards; nothing here panics while it holds one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{
        figures::Report,
        http::Target,
        load::Env,
        scenario::{Choice, Scenario},
    };

    #[derive(clap::Parser)]
    #[command(no_binary_name = true)]
    struct Line {
        #[command(subcommand)]
        choice: Choice,
    }

    /// Runs a scenario against a stub with that fault.
    fn measured(fault: Fault, line: &str) -> Report {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.spawn(async move {
            serve(TcpListener::from_std(listener).unwrap(), fault).await;
        });
        let env = Env {
            targets: vec![Target::parse(&url).unwrap()],
            threads: 2,
            meter: Mutex::default(),
            server: None,
            prefix: "u".to_owned(),
        };
        let scenarios = Line::parse_from(line.split(' ')).choice.scenarios();
        let scenario: &Scenario = &scenarios[0];
        scenario.run(&env).unwrap()
    }

    const DELIVER: &str =
        "deliver --rooms 2 --members 3 --senders 4 --rate 100 --warm-up 0 --seconds 0.4 --drain 2";

    const PROMISES: [&str; 5] = ["lost", "doubled", "reordered", "overtaken", "unknown"];

    fn broken(report: &Report) -> Vec<&'static str> {
        PROMISES.into_iter().filter(|promise| report.get(promise) != Some(0.0)).collect()
    }

    #[test]
    fn a_server_that_keeps_its_promises_passes() {
        let report = measured(Fault::None, DELIVER);
        assert!(broken(&report).is_empty(), "{}", report.json());
        assert_eq!(report.get("messages"), Some(40.0));
        assert_eq!(report.get("arrivals"), Some(120.0));
    }

    #[test]
    fn a_server_that_loses_is_found_out() {
        let report = measured(Fault::Lose, DELIVER);
        assert_eq!(broken(&report), ["lost"], "{}", report.json());
        // one message in each of two rooms
        assert_eq!(report.get("lost"), Some(2.0));
    }

    #[test]
    fn a_server_that_doubles_is_found_out() {
        let report = measured(Fault::Double, DELIVER);
        assert!(broken(&report).contains(&"doubled"), "{}", report.json());
    }

    #[test]
    fn a_server_that_reorders_is_found_out() {
        let report = measured(Fault::Reorder, DELIVER);
        assert!(broken(&report).contains(&"reordered"), "{}", report.json());
    }

    #[test]
    fn a_gap_is_filled() {
        // nobody syncs before the end: 130 messages at once are more than one timeline holds
        let report = measured(Fault::None, "storm --clients 6 --members 3 --messages 130");
        assert!(broken(&report).is_empty(), "{}", report.json());
    }

    #[test]
    fn the_other_scenarios_run() {
        for line in [
            "register --users 5",
            "send --rooms 2 --members 2 --senders 4 --warm-up 0 --seconds 0.1",
            "send-one-room --senders 3 --warm-up 0 --seconds 0.1",
            "history --events 250",
        ] {
            let report = measured(Fault::None, line);
            assert!(report.get("errors").is_none_or(|errors| errors == 0.0), "{}", report.json());
        }
        let report = measured(Fault::None, "bigroom --members 7 --messages 2");
        assert!(broken(&report).is_empty(), "{}", report.json());
    }
}
