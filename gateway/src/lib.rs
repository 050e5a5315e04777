//! The gateway: takes messages over HTTP and stores them. It holds no state of its own: any request
//! may go to any gateway of an installation.
//!
//! ```text
//! access ──▶ ingest ──▶ publish ──▶ 202
//!                  ╲
//!                   ▶ api (applications, endpoints, event types, history)
//! ```

mod access;
mod api;
#[cfg(feature = "benchmarks")]
#[doc(hidden)]
pub mod benchmarks;
mod compress;
mod config;
mod error;
mod ingest;
mod metrics;
mod portal;
mod publish;
mod schema;
mod server;

use std::{io, net::SocketAddr, time::Duration};

pub use access::{Issuer, SignatureAlgorithm};
pub use config::Config;
use prometheus::Registry;
use shared::{health::Probe, store::SharedStore};

/// The text of a new API key, to be registered with the API.
pub fn generate_api_key() -> String {
    access::Key::generate().reveal().to_owned()
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    server: server::Running,
}

impl Gateway {
    /// Binds and serves. Fails if the address cannot be bound, or if the registry already has the
    /// metrics of a gateway.
    pub async fn start(config: Config, store: SharedStore, metrics: &Registry) -> io::Result<Self> {
        let metrics = metrics::Metrics::register(metrics).map_err(io::Error::other)?;
        Ok(Self { server: server::start(config, store, metrics)? })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// What must be alive for it to be ready.
    pub fn probes(&self) -> Vec<Probe> {
        vec![self.server.probe()]
    }

    /// Stops accepting, finishes what is under way, at most until the deadline.
    pub async fn stop(self, deadline: Duration) {
        self.server.stop(deadline).await;
    }
}
