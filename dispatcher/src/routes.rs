//! Routes: an application's configuration, prepared for sending, cached by version.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
    sync::Arc,
    time::Duration,
};

use actix::ArbiterHandle;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT},
};
use moka::sync::Cache;
use shared::{
    domain::{Confidential, Endpoint, Secret, SigningSecret, Strand},
    id::{AppId, EndpointId},
    sealing::KeyRing,
    store::{Configuration, ErrorKind, Metered, SharedStore, StoreError, Version},
    time::Millis,
};
use tokio::{
    sync::{Mutex, oneshot},
    time::Instant,
};
use url::Url;

use crate::{log::Line, metrics::Metrics, persist::survived, retry::Schedule};

/// Forgotten when nobody asked for this long.
const IDLE: Duration = Duration::from_secs(600);
const MOST_APPLICATIONS: u64 = 100_000;
/// Who waits for a load has asked less than this long ago.
const LOADED: Duration = Duration::from_secs(60);

/// One application's endpoints at one version.
#[derive(Debug)]
pub(crate) struct Routes {
    version: Version,
    endpoints: BTreeMap<EndpointId, Arc<Route>>,
    named_limits: BTreeSet<String>,
}

/// Everything about an endpoint that does not change from one attempt to the next.
#[derive(Debug)]
pub(crate) struct Route {
    /// Of the configuration that it was made from.
    pub(crate) version: Version,
    /// Neither disabled, nor paused, nor is its application; and what is secret of it can be read.
    pub(crate) open: bool,
    pub(crate) endpoint: Arc<Endpoint>,
    /// `None` where the configuration cannot be turned into a request.
    pub(crate) target: Option<Target>,
    /// What all endpoints of its application share.
    pub(crate) application_limit: Option<Arc<Metered>>,
    /// When its deliveries are tried again…
    pub(crate) schedule: Arc<Schedule>,
    /// …and those of ordered strands, where that is another one.
    ordered: Option<Box<Schedule>>,
}

/// URL, headers of its own and signing secrets of the requests to an endpoint.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    secrets: Vec<SigningSecret<Secret>>,
}

/// What all routes of an application have in common.
struct Common {
    app: AppId,
    version: Version,
    paused: bool,
    schedule: Arc<Schedule>,
    limit: Option<Arc<Metered>>,
}

impl Route {
    /// An endpoint's route, where the application says this of all its endpoints.
    fn new(endpoint: Arc<Endpoint>, common: &Common, with: &Basis) -> Self {
        let configured = &with.schedule;
        let schedule = match &endpoint.settings.retry {
            Some(policy) => Arc::new(configured.with(policy)),
            None => Arc::clone(&common.schedule),
        };
        let poison = endpoint.settings.ordering.as_ref().and_then(|ordering| ordering.poison);
        let ordered = poison.map(|poison| Box::new(schedule.with_poison(poison)));
        let confidential = with.open(common.app, &endpoint);
        let wanted = !(common.paused || endpoint.disabled || endpoint.settings.paused);
        Self {
            version: common.version,
            open: wanted && confidential.is_some(),
            target: confidential.and_then(|confidential| Target::of(&endpoint, confidential)),
            application_limit: common.limit.clone(),
            schedule,
            ordered,
            endpoint,
        }
    }

    /// When deliveries of a strand are tried again.
    pub(crate) fn schedule_of(&self, strand: Strand) -> &Schedule {
        match &self.ordered {
            Some(ordered) if strand.is_ordered() => ordered,
            _ => &self.schedule,
        }
    }
}

impl Target {
    fn of(endpoint: &Endpoint, confidential: Confidential) -> Option<Self> {
        let header = |(name, value): (&String, &String)| {
            Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?))
        };
        let headers = confidential.headers.iter().map(header).collect::<Option<_>>()?;
        Some(Self { url: endpoint.url.parse().ok()?, headers, secrets: confidential.secrets })
    }

    /// Headers that each request to the endpoint has, with room for those of an attempt.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("Sluicegate/", env!("CARGO_PKG_VERSION"))),
        );
        headers.extend(self.headers.iter().cloned());
        // What was compressed would have to be inflated to be read.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers
    }

    /// The secrets that sign at this time, newest first.
    pub(crate) fn secrets(&self, now: Millis) -> impl Iterator<Item = &Secret> {
        let current = self.secrets.iter().filter(move |signing| signing.signs_at(now));
        current.map(|signing| &signing.secret)
    }
}

/// What routes are made with, besides the configuration.
#[derive(Clone)]
pub(crate) struct Basis {
    /// When is tried again where nobody says otherwise.
    pub(crate) schedule: Arc<Schedule>,
    /// Opens what is secret.
    pub(crate) keys: KeyRing,
    pub(crate) metrics: Metrics,
}

impl Basis {
    /// What is secret of an endpoint. Where that cannot be read, what is for the endpoint waits until
    /// its configuration changes or a process comes that has the key.
    fn open(&self, app: AppId, endpoint: &Endpoint) -> Option<Confidential> {
        let confidential = endpoint.confidential(app, &self.keys, Millis::now());
        if let Err(error) = &confidential {
            self.metrics.secrets_unreadable.inc();
            if let Some(left_out) = self.metrics.line(Line::Secret) {
                let endpoint = endpoint.id;
                tracing::error!(%app, %endpoint, %error, left_out, "endpoint.secret_unreadable");
            }
        }
        confidential.ok()
    }
}

impl Routes {
    fn new(configuration: Configuration, with: &Basis) -> Self {
        let settings = &configuration.application.settings;
        let common = Common {
            app: configuration.application.id,
            version: configuration.version,
            paused: settings.paused,
            limit: configuration.limit().map(Arc::new),
            schedule: match &settings.retry {
                Some(policy) => Arc::new(with.schedule.with(policy)),
                None => Arc::clone(&with.schedule),
            },
        };
        let settings = configuration.endpoints.values().map(|endpoint| &endpoint.settings);
        let named_limits = settings.flat_map(|it| it.shared_limits.iter().cloned()).collect();
        let endpoints = configuration
            .endpoints
            .into_iter()
            .map(|(id, endpoint)| (id, Arc::new(Route::new(endpoint, &common, with))))
            .collect();
        Self { version: configuration.version, endpoints, named_limits }
    }

    /// Limits that its endpoints name and share with others.
    pub(crate) fn named_limits(&self) -> &BTreeSet<String> {
        &self.named_limits
    }

    /// The route to an endpoint, unless that was deleted.
    pub(crate) fn get(&self, endpoint: EndpointId) -> Option<Arc<Route>> {
        self.endpoints.get(&endpoint).cloned()
    }

    /// The endpoints behind this one, in the order of their ids.
    pub(crate) fn behind(&self, endpoint: Option<EndpointId>) -> impl Iterator<Item = &Endpoint> {
        let from = endpoint.map_or(Unbounded, Excluded);
        self.endpoints.range((from, Unbounded)).map(|(_, route)| route.endpoint.as_ref())
    }
}

/// The routes of all applications that this process serves.
///
/// A large configuration takes milliseconds to read, so that is done on a thread of its own, and only
/// once at a time for an application, however many ask.
#[derive(Clone)]
pub(crate) struct RouteCache {
    store: SharedStore,
    basis: Basis,
    routes: Cache<AppId, Arc<Routes>>,
    loads: Cache<AppId, Arc<Turn>>,
    thread: ArbiterHandle,
}

/// Whose turn it is to load an application, and what came of the last turn.
type Turn = Mutex<Option<Load>>;

struct Load {
    began: Instant,
    result: Result<Option<Arc<Routes>>, ErrorKind>,
}

impl RouteCache {
    /// Routes that are read on this thread.
    pub(crate) fn new(store: SharedStore, basis: Basis, thread: ArbiterHandle) -> Self {
        let routes = Cache::builder().max_capacity(MOST_APPLICATIONS).time_to_idle(IDLE).build();
        let loads = Cache::builder().max_capacity(MOST_APPLICATIONS).time_to_idle(LOADED).build();
        Self { store, basis, routes, loads, thread }
    }

    /// The routes of an application at this version or a later one; `None` if it was deleted.
    pub(crate) async fn at(
        &self,
        app: AppId,
        version: Version,
    ) -> Result<Option<Arc<Routes>>, StoreError> {
        loop {
            if let Some(routes) = self.cached_at(app, version) {
                return Ok(Some(routes));
            }
            match self.load(app).await? {
                // One that began before that version was written, while others waited for it.
                Some(routes) if routes.version < version => {}
                routes => return Ok(routes),
            }
        }
    }

    /// The routes of an application if they are cached at this version or a later one.
    pub(crate) fn cached_at(&self, app: AppId, version: Version) -> Option<Arc<Routes>> {
        self.cached(app).filter(|routes| routes.version >= version)
    }

    /// The route to an endpoint; `None` if that was deleted. It may be older than the latest change.
    pub(crate) async fn route(
        &self,
        app: AppId,
        endpoint: EndpointId,
    ) -> Result<Option<Arc<Route>>, StoreError> {
        let cached = self.cached(app).and_then(|routes| routes.get(endpoint));
        match cached {
            Some(route) => Ok(Some(route)),
            None => Ok(self.load(app).await?.and_then(|routes| routes.get(endpoint))),
        }
    }

    /// What is cached of an application, however old.
    pub(crate) fn cached(&self, app: AppId) -> Option<Arc<Routes>> {
        self.routes.get(&app)
    }

    /// The routes of an application as they are now or later; `None` if it was deleted.
    pub(crate) async fn load(&self, app: AppId) -> Result<Option<Arc<Routes>>, StoreError> {
        let asked = Instant::now();
        let turn = self.loads.get_with(app, Arc::default);
        let mut last = turn.lock().await;
        if let Some(Load { began, result }) = last.as_ref()
            && *began >= asked
        {
            let failed = |kind| StoreError::new(kind, "somebody else's load failed");
            return result.clone().map_err(failed);
        }
        let began = Instant::now();
        let result = match self.unchanged(app).await {
            Ok(Some(routes)) => Ok(Some(routes)),
            Ok(None) => self.load_there(app).await,
            Err(error) => Err(error),
        };
        let known = result.as_ref().map(Clone::clone).map_err(StoreError::kind);
        *last = Some(Load { began, result: known });
        result
    }

    /// What is cached of an application, if the store has nothing later. A change of an application is
    /// told to the lanes of all its endpoints, and they ask one after the other: the first reads it.
    async fn unchanged(&self, app: AppId) -> Result<Option<Arc<Routes>>, StoreError> {
        let Some(routes) = self.cached(app) else { return Ok(None) };
        let version = self.store.version(app).await?;
        Ok((version == Some(routes.version)).then_some(routes))
    }

    /// Forgets all, because the store may have lost what it had: another change may have a version that
    /// is cached.
    pub(crate) fn forget(&self) {
        self.routes.invalidate_all();
    }

    /// Loads on the thread that is there for it.
    async fn load_there(&self, app: AppId) -> Result<Option<Arc<Routes>>, StoreError> {
        let (sender, loaded) = oneshot::channel();
        let me = self.clone();
        self.thread.spawn(async move {
            let routes = |configuration| Routes::new(configuration, &me.basis);
            let result = survived(async { Ok(me.store.configuration(app).await?.map(routes)) });
            // Who asked may have gone.
            let _ = sender.send(result.await.map(|routes| me.keep(app, routes)));
        });
        let stopped = |_| StoreError::new(ErrorKind::Unavailable, "the process is stopping");
        loaded.await.unwrap_or_else(|closed| Err(stopped(closed)))
    }

    /// Keeps what was loaded, unless something later was kept meanwhile.
    fn keep(&self, app: AppId, routes: Option<Routes>) -> Option<Arc<Routes>> {
        let Some(routes) = routes else {
            self.routes.invalidate(&app);
            return None;
        };
        let routes = Arc::new(routes);
        let kept = self.routes.entry(app).and_upsert_with(|before| match before {
            Some(before) if before.value().version > routes.version => before.into_value(),
            _ => routes,
        });
        Some(kept.into_value())
    }
}

#[cfg(test)]
mod tests {
    use actix_rt::Arbiter;
    use shared::store::{Durability, Lifetimes, embedded};

    use super::*;

    #[actix_rt::test]
    async fn an_older_configuration_does_not_replace_a_newer_one() {
        let directory = tempfile::tempdir().unwrap();
        let store =
            embedded::open(directory.path(), Durability::Process, Lifetimes::default()).unwrap();
        let thread = Arbiter::new();
        let basis = Basis {
            schedule: Arc::new(Schedule::new(Vec::new())),
            keys: KeyRing::default(),
            metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
        };
        let cache = RouteCache::new(store, basis, thread.handle());
        let app = AppId::new();
        let at = |version| Routes {
            version: Version(version),
            endpoints: Default::default(),
            named_limits: Default::default(),
        };
        assert_eq!(cache.keep(app, Some(at(2))).unwrap().version, Version(2));
        assert_eq!(cache.keep(app, Some(at(1))).unwrap().version, Version(2));
        assert_eq!(cache.cached(app).unwrap().version, Version(2));
        assert_eq!(cache.keep(app, Some(at(3))).unwrap().version, Version(3));
        assert!(cache.cached_at(app, Version(4)).is_none());
        assert!(cache.keep(app, None).is_none() && cache.cached(app).is_none());
        thread.stop();
    }
}
