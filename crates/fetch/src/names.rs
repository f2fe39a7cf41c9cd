//! Turns names into addresses and lets only those through that may be connected to.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::may_connect;

/// Where names are looked up.
#[derive(Clone, Debug, Default)]
pub enum Names {
    /// As the machine does it.
    #[default]
    System,
    /// In a list; nothing else is known. For tests.
    Fixed(HashMap<String, Vec<IpAddr>>),
}

/// A name whose addresses are all closed.
#[derive(Debug, thiserror::Error)]
#[error("no address that may be connected to")]
pub(crate) struct Closed;

/// What the client connects to is what was checked: there is no second look-up in between.
pub(crate) struct GuardedNames {
    pub(crate) names: Arc<Names>,
    pub(crate) opened: Arc<[IpNet]>,
}

impl Resolve for GuardedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, opened) = (self.names.clone(), self.opened.clone());
        Box::pin(async move {
            let found = look_up(&names, name.as_str()).await?;
            let open: Vec<_> =
                found.into_iter().filter(|address| may_connect(address.ip(), &opened)).collect();
            if open.is_empty() {
                return Err(Closed.into());
            }
            Ok(Box::new(open.into_iter()) as Addrs)
        })
    }
}

async fn look_up(names: &Names, name: &str) -> std::io::Result<Vec<SocketAddr>> {
    match names {
        Names::System => Ok(tokio::net::lookup_host((name, 0)).await?.collect()),
        Names::Fixed(known) => {
            let addresses = known.get(name).ok_or(std::io::ErrorKind::NotFound)?;
            Ok(addresses.iter().map(|address| SocketAddr::new(*address, 0)).collect())
        }
    }
}
