//! Whose key it is. The store knows; what it said is remembered for a moment, so that a request costs
//! no call of its own. A key that was deleted is therefore refused within [`REMEMBERED`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use moka::future::Cache;
use shared::{
    domain::ApiKey,
    store::{Document, ErrorKind, Expect, Kind, SharedStore, StoreError},
    time::Millis,
};

use super::{Caller, Key, Rejection};
use crate::error::Result;

/// How long an answer of the store is believed.
const REMEMBERED: Duration = Duration::from_secs(5);
const MAX_REMEMBERED: u64 = 100_000;
/// How exactly the last use of a key is written down.
const USE_PRECISION: Duration = Duration::from_secs(60);

/// A key that exists.
struct Known {
    caller: Caller,
    record: ApiKey,
    json: Bytes,
    /// Its use was seen to since it was loaded.
    used: AtomicBool,
}

/// All keys.
#[derive(Clone)]
pub(super) struct Keys {
    store: SharedStore,
    /// By the hash of what was shown; `None` where there is no such key.
    known: Cache<[u8; 32], Option<Arc<Known>>>,
}

impl Keys {
    pub(super) fn new(store: SharedStore) -> Self {
        let known = Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(REMEMBERED).build();
        Self { store, known }
    }

    /// Who shows this, which has this hash, unless it is no key, or one that is not good any more.
    pub(super) async fn caller(
        &self,
        shown: &[u8],
        hash: [u8; 32],
    ) -> Result<std::result::Result<Caller, Rejection>> {
        let known = match self.known.get(&hash).await {
            Some(known) => known,
            None => {
                let Some(key) = Key::parse(shown) else { return Ok(Err(Rejection::Malformed)) };
                let known = self.load(&key).await?.map(Arc::new);
                self.known.insert(hash, known.clone()).await;
                known
            }
        };
        let now = Millis::now();
        let Some(known) = known else { return Ok(Err(Rejection::Unknown)) };
        if !known.record.is_current(now) {
            return Ok(Err(Rejection::Expired));
        }
        if !known.used.swap(true, Ordering::Relaxed) {
            self.write_use(&known, now);
        }
        Ok(Ok(known.caller.clone()))
    }

    async fn load(&self, key: &Key) -> Result<Option<Known>> {
        let Some(json) = self.store.document(Kind::ApiKey, key.id()).await? else {
            return Ok(None);
        };
        let record: ApiKey = serde_json::from_slice(&json).map_err(|error| {
            StoreError::caused_by(ErrorKind::Corrupt, "an API key cannot be read", error)
        })?;
        if !key.has_hash(&record.hash) {
            return Ok(None);
        }
        let caller = Caller::new(&record.id, &[record.scope], record.app);
        Ok(Some(Known { caller, record, json, used: AtomicBool::new(false) }))
    }

    /// Writes down, beside the request, that a key was used, unless that was done a moment ago.
    fn write_use(&self, known: &Known, now: Millis) {
        let last = known.record.last_used_at;
        if last.is_some_and(|last| now.since(last) < USE_PRECISION) {
            return;
        }
        let record = ApiKey { last_used_at: Some(now), ..known.record.clone() };
        let (store, expect) = (Arc::clone(&self.store), Expect::Exactly(known.json.clone()));
        tokio::spawn(async move {
            let Ok(json) = serde_json::to_vec(&record) else { return };
            let document = Document { name: record.id, json: json.into() };
            match store.put_document(Kind::ApiKey, &document, &expect).await {
                Ok(()) => {}
                // Another gateway was faster, or the key was changed or deleted: that counts more.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => tracing::warn!(%error, "api_key.use_not_written"),
            }
        });
    }
}
