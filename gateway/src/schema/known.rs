//! Which event types validate. The store knows; what it said is remembered for a moment, so that a
//! message costs no call of its own. A change holds at once where it was made, elsewhere within
//! [`REMEMBERED`].

use std::{sync::Arc, time::Duration};

use actix_web::web;
use bytes::Bytes;
use moka::future::Cache;
use shared::{
    domain::EventType,
    store::{ErrorKind, Kind, SharedStore, StoreError},
};

use super::compile::Schema;
use crate::error::Result;

/// How long an answer of the store is believed.
const REMEMBERED: Duration = Duration::from_secs(5);
const MAX_REMEMBERED: u64 = 20_000;

/// The schemas of all event types that validate.
#[derive(Clone)]
pub(crate) struct Schemas {
    store: SharedStore,
    /// `None` where a type does not validate, or is not known.
    known: Cache<String, Option<Arc<Schema>>>,
}

impl Schemas {
    pub(crate) fn new(store: SharedStore) -> Self {
        let known = Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(REMEMBERED).build();
        Self { store, known }
    }

    /// Judges a payload by the schema of its type, if that validates.
    pub(crate) async fn judge(&self, event_type: &str, payload: &Bytes) -> Result<()> {
        let schema = match self.known.get(event_type).await {
            Some(schema) => schema,
            None => self.load(event_type).await?,
        };
        let Some(schema) = schema else { return Ok(()) };
        if schema.is_short(payload.len()) {
            return schema.judge(payload);
        }
        let payload = payload.clone();
        let judged = web::block(move || schema.judge(&payload)).await;
        judged.map_err(|error| {
            StoreError::caused_by(ErrorKind::Unavailable, "a payload cannot be validated", error)
        })?
    }

    /// Forgets what was known of a type: it has changed.
    pub(crate) async fn forget(&self, event_type: &str) {
        self.known.invalidate(event_type).await;
    }

    async fn load(&self, name: &str) -> Result<Option<Arc<Schema>>> {
        let loading = self.known.try_get_with(name.to_owned(), async {
            let json = self.store.document(Kind::EventType, name).await;
            let json = json.map_err(|error| error.kind())?;
            let event_type = json.map(|json| serde_json::from_slice::<EventType>(&json));
            let event_type = event_type.transpose().map_err(|_| ErrorKind::Corrupt)?;
            Ok(match event_type.as_ref().and_then(Schema::of) {
                None => None,
                Some(Ok(schema)) => Some(Arc::new(schema)),
                Some(Err(reason)) => {
                    // Written by a newer version, which knows more.
                    tracing::warn!(event_type = name, reason, "schema.not_compiled");
                    None
                }
            })
        });
        let loaded = loading.await;
        Ok(loaded.map_err(|kind| StoreError::new(*kind, "the event type cannot be loaded"))?)
    }
}
