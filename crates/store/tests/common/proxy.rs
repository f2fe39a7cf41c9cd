//! A TCP proxy before PostgreSQL that breaks a connection around the `COMMIT` of what is awaited.

use std::sync::Arc;

use haechi_store::DbConfig;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
};

/// When the connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never hears of the commit.
    Before,
    /// The server answers, but nobody hears it.
    After,
}

pub(crate) struct Proxy {
    port: u16,
    server: String,
    armed: Armed,
    done: Arc<Notify>,
    held: watch::Sender<bool>,
}

/// How to cut, and what the connection to be cut has written before: it may be given other commits to
/// do, such as renewing its lane.
type Armed = Arc<Mutex<Option<(Cut, &'static str)>>>;

/// A `COMMIT` as the driver sends it: tag, length, text.
const COMMIT: &[u8] = b"Q\x00\x00\x00\x0bCOMMIT\x00";

impl Proxy {
    pub(crate) async fn before(config: &DbConfig) -> Self {
        let DbConfig::Postgres { url, .. } = config else { panic!("only for PostgreSQL") };
        let server = host_of(url.as_str()).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (armed, done) = (Armed::default(), Arc::new(Notify::new()));
        let (held, holds) = watch::channel(false);
        let proxy = Self { port, server, armed, done, held };
        let (server, armed, done) =
            (proxy.server.clone(), Arc::clone(&proxy.armed), Arc::clone(&proxy.done));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let mut holds = holds.clone();
                let (armed, done) = (Arc::clone(&armed), Arc::clone(&done));
                tokio::spawn(async move {
                    if holds.wait_for(|held| !held).await.is_ok() {
                        relay(client, server, armed, done).await;
                    }
                });
            }
        });
        proxy
    }

    /// The way to the database through the proxy, with only one committer.
    pub(crate) fn config(&self, config: &DbConfig) -> DbConfig {
        let mut config = config.clone();
        if let DbConfig::Postgres { url, committers, .. } = &mut config {
            let through = format!("127.0.0.1:{}", self.port);
            *url = url.as_str().replacen(&self.server, &through, 1).into();
            *committers = std::num::NonZeroUsize::MIN;
        }
        config
    }

    /// Cuts the connection that commits what holds this text; [`Proxy::cut`] tells when.
    pub(crate) fn arm(&self, cut: Cut, text: &'static str) {
        *self.armed.lock() = Some((cut, text));
    }

    /// Lets new connections wait, or go on.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Returns when the connection is cut.
    pub(crate) async fn cut(&self) {
        self.done.notified().await;
    }
}

/// `host:port` of an address.
pub(crate) fn host_of(url: &str) -> &str {
    let rest = url.split_once('@').map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

async fn relay(client: TcpStream, server: TcpStream, armed: Armed, done: Arc<Notify>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    let mut written = false;
    loop {
        tokio::select! {
            read = from_client.read(&mut up) => {
                let Some(length) = read.ok().filter(|length| *length > 0) else { return };
                let data = &up[..length];
                let commit = data.windows(COMMIT.len()).position(|part| part == COMMIT);
                let order = *armed.lock();
                written |= order.is_some_and(|(_, text)| {
                    data.windows(text.len()).any(|part| part == text.as_bytes())
                });
                let how = order.map(|(cut, _)| cut).filter(|_| written);
                match commit {
                    Some(at) if how == Some(Cut::Before) => {
                        *armed.lock() = None;
                        let _ = to_server.write_all(&data[..at]).await;
                        done.notify_one();
                        return;
                    }
                    Some(at) if how == Some(Cut::After) => {
                        *armed.lock() = None;
                        let _ = to_server.write_all(&data[..at + COMMIT.len()]).await;
                        // `C` + length + "COMMIT": the server has done it
                        let mut heard: Vec<u8> = Vec::new();
                        while !heard.windows(7).any(|part| part == b"COMMIT\0") {
                            let length = from_server.read(&mut down).await.unwrap();
                            heard.extend_from_slice(&down[..length]);
                        }
                        done.notify_one();
                        return;
                    }
                    _ => {
                        if to_server.write_all(data).await.is_err() {
                            return;
                        }
                    }
                }
            }
            read = from_server.read(&mut down) => {
                let Some(length) = read.ok().filter(|length| *length > 0) else { return };
                if to_client.write_all(&down[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
