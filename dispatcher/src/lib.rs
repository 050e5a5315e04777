//! The dispatcher: pulls deliveries from the lanes it owns and brings them to their endpoints.

mod config;

use std::time::Duration;

pub use config::Config;
use prometheus::Registry;
use shared::{
    health::Probe,
    store::{SharedStore, StoreError},
};

/// A running dispatcher.
#[derive(Debug)]
pub struct Dispatcher {}

impl Dispatcher {
    /// Starts the actors. Call it inside an actix system.
    pub async fn start(
        config: Config,
        store: SharedStore,
        metrics: &Registry,
    ) -> Result<Self, StoreError> {
        let _ = (config, store, metrics);
        Ok(Self {})
    }

    /// What must be alive for it to be ready.
    pub fn probes(&self) -> Vec<Probe> {
        Vec::new()
    }

    /// Stops pulling, finishes what is in flight, settles, releases the lanes; at most until the
    /// deadline.
    pub async fn stop(self, deadline: Duration) {
        let _ = deadline;
    }
}
