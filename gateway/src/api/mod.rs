//! The management API: one file per resource, each with what goes in and what comes out.
//!
//! Reads and changes go to the store itself, never to a cache: what a request was told is true when it
//! is told. Changes are decided on one version of a configuration and committed only if it is still
//! the latest.

mod api_key;
mod application;
mod application_settings;
mod attempt;
mod background_task;
mod content;
mod dead_letter;
mod endpoint;
mod endpoint_headers;
mod endpoint_secret;
mod endpoint_settings;
mod endpoint_state;
mod endpoint_url;
mod event_type;
mod health;
mod limit;
mod list;
mod message;
mod message_settings;
mod named_limit;
mod ordering;
mod patch;
mod pausing;
mod recipients;
mod replay;
mod retry_policy;
mod routes;

use std::{sync::Arc, time::Duration};

pub(crate) use retry_policy::RetryBounds;
pub(crate) use routes::routes;
use shared::guard::Guard;
use shared::{
    domain::{Endpoint, Queue},
    id::AppId,
    store::{Change, Configuration, ErrorKind, SharedStore, StoreError},
};

use crate::error::{ApiError, Result};

/// How often a change is decided again because somebody else was faster, or the answer was lost.
const MAX_TRIES: u64 = 24;
/// Longest pause after the first try; it grows with each one.
const PAUSE_MS: u64 = 4;

/// What the handlers work with.
pub(crate) struct Api {
    pub(crate) store: SharedStore,
    pub(crate) secret_overlap: Duration,
    pub(crate) guard: Guard,
    /// How long a message may have its payload kept.
    pub(crate) longest_retention: Duration,
    pub(crate) retry_bounds: RetryBounds,
}

impl Api {
    /// The queue of an endpoint, both named by id or uid.
    async fn queue(&self, app: &str, endpoint: &str) -> Result<Queue> {
        let configuration = self.configuration(app).await?;
        let endpoint = find_endpoint(&configuration, endpoint)?.id;
        Ok(Queue::live(configuration.application.id, endpoint))
    }

    /// The application with this id or uid, with its endpoints.
    async fn configuration(&self, name: &str) -> Result<Configuration> {
        let missing = || ApiError::NotFound("application");
        if let Ok(id) = name.parse::<AppId>() {
            return self.store.configuration(id).await?.ok_or_else(missing);
        }
        let id = self.store.find_uid(name).await?.ok_or_else(missing)?;
        let configuration = self.store.configuration(id).await?.ok_or_else(missing)?;
        let fits = configuration.application.uid.as_deref() == Some(name);
        fits.then_some(configuration).ok_or_else(missing)
    }

    /// Changes an application's endpoints: `decide` sees the latest configuration and says what is to
    /// change and what to answer. It may be asked more than once.
    async fn change<T>(
        &self,
        name: &str,
        decide: impl Fn(&Configuration) -> Result<(Vec<Change>, T)>,
    ) -> Result<T> {
        let mut failure = None;
        for turn in 0..MAX_TRIES {
            pause(turn).await;
            let configuration = self.configuration(name).await?;
            let (changes, answer) = decide(&configuration)?;
            if changes.is_empty() {
                return Ok(answer);
            }
            let app = configuration.application.id;
            match self.store.commit(app, Some(configuration.version), &changes).await {
                Ok(_) => return Ok(answer),
                Err(error) if may_decide_again(&error) => failure = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(failure.map_or(ApiError::Overloaded, ApiError::from))
    }
}

/// Waits a random while before all but the first try, so that those who collided do not collide again.
async fn pause(turn: u64) {
    if turn > 0 {
        let ms = rand::random_range(0..=PAUSE_MS * turn);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// Whether a failed commit is worth another look at the configuration.
fn may_decide_again(error: &StoreError) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Ambiguous)
}

/// The endpoint with this id or uid.
fn find_endpoint<'a>(configuration: &'a Configuration, name: &str) -> Result<&'a Arc<Endpoint>> {
    let endpoints = &configuration.endpoints;
    match name.parse() {
        Ok(id) => endpoints.get(&id),
        Err(_) => endpoints.values().find(|endpoint| endpoint.uid.as_deref() == Some(name)),
    }
    .ok_or(ApiError::NotFound("endpoint"))
}
