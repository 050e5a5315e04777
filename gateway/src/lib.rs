//! The gateway: takes messages over HTTP and stores them. It holds no state of its own.

mod config;

use std::{io, net::SocketAddr, time::Duration};

pub use config::Config;
use prometheus::Registry;
use shared::{health::Probe, store::SharedStore};

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
}

impl Gateway {
    /// Binds and serves. Fails if the address cannot be bound.
    pub async fn start(config: Config, store: SharedStore, metrics: &Registry) -> io::Result<Self> {
        let _ = (store, metrics);
        Ok(Self { address: config.listen })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What must be alive for it to be ready.
    pub fn probes(&self) -> Vec<Probe> {
        Vec::new()
    }

    /// Stops accepting, finishes what is under way, at most until the deadline.
    pub async fn stop(self, deadline: Duration) {
        let _ = deadline;
    }
}
