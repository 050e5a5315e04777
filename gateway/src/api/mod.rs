//! The management API: one file per resource, each with what goes in and what comes out.
//!
//! Reads and changes go to the store itself, never to a cache: what a request was told is true when it
//! is told. Changes are decided on one version of a configuration and committed only if it is still
//! the latest.

mod api_key;
mod application;
mod application_settings;
mod attempt;
mod audit_log;
mod background_task;
#[cfg(feature = "benchmarks")]
pub(crate) mod benchmarks;
mod comparison;
mod content;
mod dead_letter;
mod endpoint;
mod endpoint_headers;
mod endpoint_message;
mod endpoint_put;
mod endpoint_secret;
mod endpoint_settings;
mod endpoint_state;
mod endpoint_stats;
mod endpoint_url;
mod environment;
mod event_type;
mod event_type_import;
mod example;
mod health;
mod limit;
mod list;
mod message;
mod message_batch;
mod message_filter;
mod message_header;
mod message_precheck;
mod message_settings;
mod named_limit;
mod openapi;
mod openapi_webhooks;
mod ordering;
mod patch;
mod pausing;
mod place;
mod portal;
mod recipients;
mod record;
mod replay;
mod retry_policy;
mod rewrap;
mod routes;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use place::Owner;
pub(crate) use retry_policy::RetryBounds;
pub(crate) use routes::routes;
use shared::guard::Guard;
use shared::{
    audit,
    domain::{Application, ApplicationSettings, Endpoint, Queue},
    id::AppId,
    operational::{self, Bulletin},
    sealing::KeyRing,
    store::{Change, Configuration, ErrorKind, SharedStore, StoreError, Version},
    time::Millis,
};

use crate::{
    error::{ApiError, Result},
    schema::Schemas,
};

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
    pub(crate) bulletin: Bulletin,
    pub(crate) keys: KeyRing,
    pub(crate) schemas: Schemas,
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
            if [operational::APPLICATION, audit::APPLICATION].contains(&id) {
                return Err(missing());
            }
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
        self.change_of(&Owner::Named(name.to_owned()), decide).await
    }

    /// An owner's application with its endpoints.
    async fn configuration_of(&self, owner: &Owner) -> Result<Configuration> {
        match owner {
            Owner::Named(name) => self.configuration(name).await,
            Owner::Operator => {
                let found = self.store.configuration(operational::APPLICATION).await?;
                Ok(found.unwrap_or_else(no_operator_yet))
            }
        }
    }

    /// As [`Api::change`]. The operator's application comes to be with its first endpoint.
    async fn change_of<T>(
        &self,
        owner: &Owner,
        decide: impl Fn(&Configuration) -> Result<(Vec<Change>, T)>,
    ) -> Result<T> {
        let mut failure = None;
        for turn in 0..MAX_TRIES {
            pause(turn).await;
            let configuration = self.configuration_of(owner).await?;
            let (mut changes, answer) = decide(&configuration)?;
            if changes.is_empty() {
                return Ok(answer);
            }
            let app = configuration.application.id;
            let expected = Some(configuration.version).filter(|version| *version != NOT_YET);
            if expected.is_none() {
                changes.insert(0, Change::PutApplication(configuration.application));
            }
            match self.store.commit(app, expected, &changes).await {
                Ok(_) => return Ok(answer),
                Err(error) if may_decide_again(&error) => failure = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(failure.map_or(ApiError::Overloaded, ApiError::from))
    }
}

/// The version of what does not exist: the first one is 1.
const NOT_YET: Version = Version(0);

/// The operator's application before its first endpoint.
fn no_operator_yet() -> Configuration {
    let now = Millis::now();
    let application = Application {
        id: operational::APPLICATION,
        uid: None,
        name: "operational webhooks".to_owned(),
        rate_limit: None,
        settings: ApplicationSettings::default(),
        metadata: BTreeMap::new(),
        created_at: now,
        updated_at: now,
        extra: serde_json::Map::new(),
    };
    Configuration { version: NOT_YET, application, endpoints: BTreeMap::new() }
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
