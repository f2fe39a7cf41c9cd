//! The bus over NATS (core, at most once).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use futures_util::StreamExt as _;
use metrics::counter;
use tokio::sync::{mpsc, watch};

use crate::Topic;

/// Messages that may wait to be sent; more are dropped.
const TOLD_MAX: usize = 4_096;
/// How often the server is asked whether it is still there; after two silent answers it is not.
const PING_EVERY: Duration = Duration::from_millis(500);
/// Longest to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to connect.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Where the other nodes are reached.
#[derive(Clone, Default)]
pub struct BusConfig {
    /// NATS servers, as `nats://host:4222` or `tls://host:4222`; the one of the own site first.
    pub servers: Vec<String>,
    /// The token that the servers ask for.
    pub token: Option<String>,
    /// Begins every subject, so that several installations may share the servers.
    pub prefix: String,
}

/// The bus cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// A server's address is no address.
    #[error("`{0}` is no address of a NATS server: write it as nats://host:4222")]
    Address(String),
}

/// The connection to the NATS servers; clones share it.
#[derive(Clone, Debug)]
pub struct Nats {
    queue: mpsc::Sender<(Topic, Vec<u8>)>,
    client: watch::Receiver<Option<Client>>,
    prefix: Arc<str>,
    is_there: Arc<AtomicBool>,
}

impl Nats {
    pub(crate) fn open(config: BusConfig) -> Result<Self, BusError> {
        let address = |server: &String| {
            server.parse::<ServerAddr>().map_err(|_| BusError::Address(server.clone()))
        };
        let servers = config.servers.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        let (queue, told) = mpsc::channel(TOLD_MAX);
        let (found, client) = watch::channel(None);
        let is_there = Arc::new(AtomicBool::new(false));
        let prefix: Arc<str> = config.prefix.as_str().into();
        let options = options(config.token, Arc::clone(&is_there));
        let sending = send(told, client.clone(), Arc::clone(&prefix), Arc::clone(&is_there));
        tokio::spawn(async move {
            // Does not fail: it goes on trying in the background.
            match options.connect(servers).await {
                Ok(client) => drop(found.send_replace(Some(client))),
                Err(error) => tracing::error!(%error, "no bus"),
            }
        });
        tokio::spawn(sending);
        Ok(Self { queue, client, prefix, is_there })
    }

    pub(crate) fn tell(&self, topic: Topic, message: Vec<u8>) {
        if self.queue.try_send((topic, message)).is_err() {
            dropped(topic);
        }
    }

    pub(crate) fn listen(&self, topic: Topic, heard: mpsc::Sender<Vec<u8>>) {
        let mut client = self.client.clone();
        let subject = subject(&self.prefix, topic);
        tokio::spawn(async move {
            let Ok(found) = client.wait_for(Option::is_some).await.map(|found| found.clone())
            else {
                return;
            };
            let Some(client) = found else { return };
            // The client subscribes again by itself when it has lost its server.
            let mut messages = match client.subscribe(subject).await {
                Ok(messages) => messages,
                Err(error) => return tracing::error!(%error, "cannot listen to the bus"),
            };
            while let Some(message) = messages.next().await {
                match heard.try_send(message.payload.to_vec()) {
                    Ok(()) => {}
                    Err(mpsc::error::TrySendError::Full(_)) => dropped(topic),
                    Err(mpsc::error::TrySendError::Closed(_)) => return,
                }
            }
        });
    }

    pub(crate) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }
}

fn options(token: Option<String>, is_there: Arc<AtomicBool>) -> ConnectOptions {
    let options = match token {
        Some(token) => ConnectOptions::with_token(token),
        None => ConnectOptions::new(),
    };
    options
        .name("haechi")
        .no_echo()
        .ping_interval(PING_EVERY)
        .connection_timeout(CONNECT_TIMEOUT)
        .retain_servers_order()
        .ignore_discovered_servers()
        .retry_on_initial_connect()
        .reconnect_delay_callback(|attempts| {
            let pause = Duration::from_millis(50)
                .saturating_mul(u32::try_from(attempts).unwrap_or(u32::MAX));
            pause.min(RECONNECT_PAUSE_MAX)
        })
        .event_callback(move |event| {
            let is_there = Arc::clone(&is_there);
            async move {
                match event {
                    Event::Connected => {
                        is_there.store(true, Ordering::Relaxed);
                        tracing::info!("the bus is there");
                    }
                    Event::Disconnected => {
                        is_there.store(false, Ordering::Relaxed);
                        tracing::warn!("the bus is gone: other nodes are heard of by polling");
                    }
                    _ => {}
                }
            }
        })
}

/// Sends what is queued while there is a connection, and drops it while there is none: it would be
/// old news.
async fn send(
    mut told: mpsc::Receiver<(Topic, Vec<u8>)>,
    client: watch::Receiver<Option<Client>>,
    prefix: Arc<str>,
    is_there: Arc<AtomicBool>,
) {
    while let Some((topic, message)) = told.recv().await {
        let known = client.borrow().clone().filter(|_| is_there.load(Ordering::Relaxed));
        let Some(client) = known else {
            dropped(topic);
            continue;
        };
        if message.len() > client.server_info().max_payload
            || client.publish(subject(&prefix, topic), message.into()).await.is_err()
        {
            dropped(topic);
        }
    }
}

fn subject(prefix: &str, topic: Topic) -> String {
    format!("{prefix}.{}", topic.name())
}

fn dropped(topic: Topic) {
    counter!("haechi_bus_dropped", "topic" => topic.name()).increment(1);
}
