//! A push gateway on this machine: it notes what it is told, and answers as a test wants it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use ruma::{
    api::client::push::{Pusher, PusherIds, PusherInit, PusherKind},
    push::{HttpPusherData, PushFormat},
};
use serde_json::Value as Json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// How a call is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Status(u16),
    /// These pushkeys are no good.
    Reject(&'static str),
    /// Never.
    Silence,
}

pub(super) struct Gateway {
    pub(super) port: u16,
    /// Answers to the next calls; then all are taken.
    replies: Arc<Mutex<VecDeque<Reply>>>,
    /// The answer while none is waiting.
    usual: Arc<Mutex<Reply>>,
    told: mpsc::Receiver<Json>,
}

impl Gateway {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (teller, told) = mpsc::channel(1_000);
        let replies = Arc::<Mutex<VecDeque<Reply>>>::default();
        let usual = Arc::new(Mutex::new(Reply::Status(200)));
        let (queue, usually) = (Arc::clone(&replies), Arc::clone(&usual));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(
                    socket,
                    Arc::clone(&queue),
                    Arc::clone(&usually),
                    teller.clone(),
                ));
            }
        });
        Self { port, replies, usual, told }
    }

    pub(super) fn reply(&self, replies: impl IntoIterator<Item = Reply>) {
        self.replies.lock().unwrap().extend(replies);
    }

    pub(super) fn usually(&self, reply: Reply) {
        *self.usual.lock().unwrap() = reply;
    }

    /// The next thing it is told, waiting for it.
    pub(super) async fn next(&mut self) -> Json {
        self.told.recv().await.unwrap()
    }

    /// The id of the event it is told of next; numbers on badges are passed over.
    pub(super) async fn next_event(&mut self) -> String {
        loop {
            if let Some(event_id) = self.next().await["event_id"].as_str() {
                return event_id.to_owned();
            }
        }
    }

    pub(super) fn pusher(&self, pushkey: &str, format: Option<PushFormat>) -> Pusher {
        let port = self.port;
        let url = format!("http://127.0.0.1:{port}/_matrix/push/v1/notify");
        let mut data = HttpPusherData::new(url);
        data.format = format;
        data.data.insert("own".to_owned(), "thing".into());
        PusherInit {
            ids: PusherIds::new(pushkey.to_owned(), "org.example.app".to_owned()),
            kind: PusherKind::Http(data),
            app_display_name: "App".to_owned(),
            device_display_name: "Phone".to_owned(),
            profile_tag: None,
            lang: "ko".to_owned(),
        }
        .into()
    }
}

async fn serve(
    socket: TcpStream,
    replies: Arc<Mutex<VecDeque<Reply>>>,
    usual: Arc<Mutex<Reply>>,
    told: mpsc::Sender<Json>,
) {
    let mut socket = BufReader::new(socket);
    while let Some(body) = read(&mut socket).await {
        let reply = replies.lock().unwrap().pop_front();
        let reply = reply.unwrap_or_else(|| usual.lock().unwrap().clone());
        let body: Json = serde_json::from_slice(&body).unwrap();
        let _ = told.send(body["notification"].clone()).await;
        let (status, body) = match reply {
            Reply::Status(200) => (200, r#"{"rejected":[]}"#.to_owned()),
            Reply::Status(status) => (status, String::new()),
            Reply::Reject(pushkey) => (200, format!(r#"{{"rejected":["{pushkey}"]}}"#)),
            Reply::Silence => return std::future::pending().await,
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The body of one request; `None` at the end.
async fn read(socket: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    let mut line = String::new();
    assert!(socket.read_line(&mut line).await.ok()? == 0 || line.contains("/push/v1/notify"));
    loop {
        line.clear();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    Some(body)
}
