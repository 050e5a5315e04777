//! Name resolution that gives out checked addresses only.

use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use shared::guard::{Guard, Reach};

/// A name that has an address which the guard refuses. One bad address spoils all of them: a name
/// that mixes public and private ones is an attack, or a mistake.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that deliveries must not go to")]
pub(super) struct Forbidden;

/// The system's resolver behind the guard.
pub(super) struct Resolver {
    guard: Arc<Guard>,
    reach: Reach,
}

impl Resolver {
    pub(super) fn new(guard: Arc<Guard>, reach: Reach) -> Self {
        Self { guard, reach }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, reach) = (Arc::clone(&self.guard), self.reach);
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if addresses.iter().any(|address| !guard.address(address.ip(), reach)) {
                return Err(Forbidden.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
