//! What this node tells the other nodes, and takes from them.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use haechi_base::{RoomNid, UserNid};
use haechi_bus::{Bus, BusConfig, Topic};
use haechi_config::Config;
use haechi_rooms::{Rooms, Said};
use haechi_store::{Db, Hint};
use tokio::sync::broadcast::error::RecvError;

/// Begins every subject on the bus.
const PREFIX: &str = "haechi";

/// Connects the store and the rooms with those of the other nodes.
pub(crate) fn join(config: &Config, db: &Db, rooms: &Rooms) -> anyhow::Result<Bus> {
    let token = config.bus.token().map_err(|problem| anyhow!("{problem}"))?;
    let token = token.map(|token| token.expose().to_owned());
    let servers = config.bus.nats.clone();
    let bus = Bus::open(BusConfig { servers, token, prefix: PREFIX.to_owned() })
        .context("cannot set up the bus, see `bus.nats`")?;
    if matches!(bus, Bus::Nats(_)) {
        tokio::spawn(tell_hints(db.clone(), bus.clone()));
        tokio::spawn(hear_hints(db.clone(), bus.clone()));
        tokio::spawn(tell_typing(rooms.clone(), bus.clone()));
        tokio::spawn(hear_typing(rooms.clone(), bus.clone()));
    }
    Ok(bus)
}

async fn tell_hints(db: Db, bus: Bus) {
    let Some(mut hints) = db.hints() else { return };
    while let Some(hint) = hints.recv().await {
        bus.tell(Topic::Hint, hint.encode());
    }
}

async fn hear_hints(db: Db, bus: Bus) {
    let mut heard = bus.listen(Topic::Hint);
    while let Some(message) = heard.recv().await {
        if let Some(hint) = Hint::decode(&message) {
            db.hear(hint);
        }
    }
}

async fn tell_typing(rooms: Rooms, bus: Bus) {
    let mut said = rooms.typing().said();
    loop {
        match said.recv().await {
            Ok(said) => bus.tell(Topic::Typing, encode(&said)),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

async fn hear_typing(rooms: Rooms, bus: Bus) {
    let mut heard = bus.listen(Topic::Typing);
    while let Some(message) = heard.recv().await {
        if let Some(said) = decode(&message) {
            rooms.typing().hear(said);
        }
    }
}

fn encode(said: &Said) -> Vec<u8> {
    let millis = said.timeout.map(|timeout| timeout.as_millis());
    serde_json::to_vec(&(said.room, said.user, millis)).unwrap_or_default()
}

fn decode(message: &[u8]) -> Option<Said> {
    let (room, user, millis): (RoomNid, UserNid, Option<u64>) =
        serde_json::from_slice(message).ok()?;
    Some(Said { room, user, timeout: millis.map(Duration::from_millis) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_travels_as_bytes() {
        for timeout in [None, Some(Duration::from_secs(4))] {
            let said = Said { room: RoomNid(7), user: UserNid(-3), timeout };
            assert_eq!(decode(&encode(&said)), Some(said));
        }
        assert_eq!(decode(b"[1]"), None);
    }
}
