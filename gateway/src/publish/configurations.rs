//! The applications' configurations, kept near.
//!
//! Nothing here is ever trusted alone: the store checks the version with each write, and a stale copy
//! is loaded again. So what one gateway changed, the next message at any gateway knows of.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use shared::{
    audit,
    id::AppId,
    operational,
    store::{Configuration, ErrorKind, SharedStore, StoreError, Version},
};

use super::Subscriptions;
use crate::error::{ApiError, Result};

/// How many applications and endpoints are kept, in all.
const MAX_KEPT: u64 = 500_000;
/// What nobody asked for in this time is dropped.
const IDLE: Duration = Duration::from_secs(600);

/// A cache over the store; its clones share what they keep.
#[derive(Clone)]
pub(crate) struct Configurations {
    store: SharedStore,
    by_id: Cache<AppId, Arc<Kept>>,
    uids: Cache<String, AppId>,
}

/// What is kept of an application.
pub(crate) struct Kept {
    pub(super) configuration: Configuration,
    pub(super) subscriptions: Subscriptions,
}

/// Why a configuration could not be loaded.
#[derive(Debug, Clone)]
enum NotLoaded {
    Missing,
    Failed(ErrorKind),
}

impl From<&NotLoaded> for ApiError {
    fn from(reason: &NotLoaded) -> Self {
        match reason {
            NotLoaded::Missing => Self::NotFound("application"),
            NotLoaded::Failed(kind) => {
                // Nothing was to be written, so a lost answer is no more than a missing one.
                let kind = match kind {
                    ErrorKind::Ambiguous => ErrorKind::Unavailable,
                    kind => *kind,
                };
                StoreError::new(kind, "the application's configuration cannot be loaded").into()
            }
        }
    }
}

impl Configurations {
    pub(crate) fn new(store: SharedStore) -> Self {
        let weight = |_: &AppId, kept: &Arc<Kept>| {
            let endpoints = kept.configuration.endpoints.len();
            u32::try_from(endpoints).unwrap_or(u32::MAX).saturating_add(1)
        };
        Self {
            store,
            by_id: Cache::builder()
                .max_capacity(MAX_KEPT)
                .weigher(weight)
                .time_to_idle(IDLE)
                .build(),
            uids: Cache::builder().max_capacity(MAX_KEPT).time_to_idle(IDLE).build(),
        }
    }

    /// The configuration of the application with this id or uid, possibly a stale one.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Arc<Kept>> {
        if let Ok(id) = name.parse::<AppId>() {
            if [operational::APPLICATION, audit::APPLICATION].contains(&id) {
                return Err(ApiError::NotFound("application"));
            }
            return self.load(id).await;
        }
        if let Some(id) = self.uids.get(name).await {
            match self.load(id).await {
                Ok(kept) if kept.has_uid(name) => return Ok(kept),
                Ok(_) | Err(ApiError::NotFound(_)) => self.uids.invalidate(name).await,
                Err(error) => return Err(error),
            }
        }
        let Some(id) = self.store.find_uid(name).await? else {
            return Err(ApiError::NotFound("application"));
        };
        let mut kept = self.load(id).await?;
        if !kept.has_uid(name) {
            // The copy may be older than the uid.
            self.by_id.invalidate(&id).await;
            kept = self.load(id).await?;
        }
        if !kept.has_uid(name) {
            return Err(ApiError::NotFound("application"));
        }
        self.uids.insert(name.to_owned(), id).await;
        Ok(kept)
    }

    /// Drops the copy that was found stale, unless somebody loaded another one meanwhile.
    pub(crate) async fn reload(&self, app: AppId, stale: Version) {
        if self.by_id.get(&app).await.is_some_and(|kept| kept.configuration.version == stale) {
            self.by_id.invalidate(&app).await;
        }
    }

    /// Drops all that is known of an application that is no more.
    pub(crate) async fn forget(&self, app: AppId, name: &str) {
        self.by_id.invalidate(&app).await;
        self.uids.invalidate(name).await;
    }

    async fn load(&self, app: AppId) -> Result<Arc<Kept>> {
        // Requests that miss together load once.
        let loading = self.by_id.try_get_with(app, async {
            match self.store.configuration(app).await {
                Ok(Some(configuration)) => Ok(Arc::new(Kept {
                    subscriptions: Subscriptions::new(&configuration.endpoints),
                    configuration,
                })),
                Ok(None) => Err(NotLoaded::Missing),
                Err(error) => {
                    tracing::warn!(%app, %error, "configuration.not_loaded");
                    Err(NotLoaded::Failed(error.kind()))
                }
            }
        });
        loading.await.map_err(|reason| ApiError::from(reason.as_ref()))
    }
}

impl Kept {
    fn has_uid(&self, uid: &str) -> bool {
        self.configuration.application.uid.as_deref() == Some(uid)
    }
}
