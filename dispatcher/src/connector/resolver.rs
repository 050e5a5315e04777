//! Name resolution for the HTTP client, that gives out checked addresses only.

use std::{net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use shared::guard::{Guard, Reach};

use super::names::Names;

/// A name that has an address which the guard refuses. One bad address spoils all of them: a name
/// that mixes public and private ones is an attack, or a mistake.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that deliveries must not go to")]
pub(super) struct Forbidden;

/// The names of this process behind the guard.
pub(super) struct Resolver {
    names: Arc<Names>,
    guard: Arc<Guard>,
    reach: Reach,
}

impl Resolver {
    pub(super) fn new(names: Arc<Names>, guard: Arc<Guard>, reach: Reach) -> Self {
        Self { names, guard, reach }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (names, guard, reach) = (Arc::clone(&self.names), Arc::clone(&self.guard), self.reach);
        Box::pin(async move {
            let addresses = names.addresses(name.as_str()).await?;
            if addresses.iter().any(|address| !guard.address(*address, reach)) {
                return Err(Forbidden.into());
            }
            let addresses: Vec<_> =
                addresses.iter().map(|address| SocketAddr::new(*address, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
