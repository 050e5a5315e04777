//! Limits with a name, as the store has them: read again and again while an endpoint here names one, so
//! that a change takes effect within a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
    time::Duration,
};

use shared::{
    domain::NamedLimit,
    store::{Bucket, Kind, Metered, Store, StoreError},
};
use tokio::sync::watch;

use crate::parts::Parts;

/// Between two readings.
const EVERY: Duration = Duration::from_millis(500);

/// By name.
pub(crate) type Known = Arc<BTreeMap<String, Metered>>;

/// One a process.
#[derive(Debug)]
pub(crate) struct NamedLimits(watch::Sender<Option<Known>>);

impl NamedLimits {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// What was read last; nothing if nobody asked for it yet.
    pub(crate) fn known(&self) -> Option<Known> {
        self.0.borrow().clone()
    }

    /// Tells when it changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Known>> {
        self.0.subscribe()
    }

    /// Reads them if one of these is not known: it may have been made a moment ago, and until it is read
    /// it would limit nothing.
    pub(crate) async fn ensure(
        &self,
        store: &dyn Store,
        names: &BTreeSet<String>,
    ) -> Result<(), StoreError> {
        match self.known() {
            Some(known) if names.iter().all(|name| known.contains_key(name)) => Ok(()),
            Some(_) | None => self.read(store).await,
        }
    }

    async fn read(&self, store: &dyn Store) -> Result<(), StoreError> {
        let documents = store.documents(Kind::Limit).await?;
        let limits = documents.into_iter().filter_map(|document| {
            let limit: NamedLimit = serde_json::from_slice(&document.json)
                .inspect_err(|error| {
                    tracing::error!(name = %document.name, %error, "limit cannot be read");
                })
                .ok()?;
            let NamedLimit { version, limit, .. } = limit;
            let bucket = Bucket::Named(document.name.clone());
            Some((document.name, Metered { bucket, version, limits: vec![limit] }))
        });
        let read = Some(Arc::new(limits.collect()));
        self.0.send_if_modified(|known| {
            let changed = *known != read;
            *known = read;
            changed
        });
        Ok(())
    }
}

/// Reads them while this process lives.
pub(crate) async fn keep_up(parts: Weak<Parts>) {
    while let Some(parts) = parts.upgrade() {
        if parts.named.known().is_some()
            && let Err(error) = parts.named.read(&*parts.store).await
        {
            parts.metrics.store_error(error.kind());
            tracing::warn!(%error, "named limits cannot be read");
        }
        drop(parts);
        tokio::time::sleep(EVERY).await;
    }
}
