//! What nodes tell one another in passing: hints that something was committed, and who is typing.
//!
//! Nothing here is needed for correctness. A message may come late, twice, or never; what is lost is
//! found in the database, a little later. So sending never waits, and what cannot be sent at once is
//! dropped.

mod nats;

use tokio::sync::mpsc;

use nats::Nats;
pub use nats::{BusConfig, BusError};

/// Messages that may wait for a listener; more are dropped.
const HEARD_MAX: usize = 4_096;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Something was committed.
    Hint,
    /// Somebody types, or has stopped.
    Typing,
}

impl Topic {
    fn name(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Typing => "typing",
        }
    }
}

/// The way to the other nodes; clones share it.
#[derive(Clone, Debug)]
pub enum Bus {
    /// There are no others.
    Local,
    /// They are reached through NATS.
    Nats(Nats),
}

impl Bus {
    /// Connects to the servers in the background, and again whenever the connection breaks; with no
    /// servers there is nobody to talk to.
    pub fn open(config: BusConfig) -> Result<Self, BusError> {
        if config.servers.is_empty() {
            return Ok(Self::Local);
        }
        Nats::open(config).map(Self::Nats)
    }

    /// Tells the other nodes. Does not wait; what cannot be sent at once is dropped.
    pub fn tell(&self, topic: Topic, message: Vec<u8>) {
        match self {
            Self::Local => {}
            Self::Nats(nats) => nats.tell(topic, message),
        }
    }

    /// What the other nodes tell from now on.
    pub fn listen(&self, topic: Topic) -> mpsc::Receiver<Vec<u8>> {
        let (sender, receiver) = mpsc::channel(HEARD_MAX);
        match self {
            Self::Local => {}
            Self::Nats(nats) => nats.listen(topic, sender),
        }
        receiver
    }

    /// Does it reach anybody? Always true where there is nobody to reach.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Local => true,
            Self::Nats(nats) => nats.is_there(),
        }
    }
}
