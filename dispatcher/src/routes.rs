//! Routes: an application's configuration, prepared for sending, cached by version.

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT},
};
use shared::{
    domain::{Endpoint, Strand},
    id::{AppId, EndpointId},
    store::{Configuration, Metered, SharedStore, StoreError, Version},
};
use url::Url;

use crate::retry::Schedule;

/// Forgotten when nobody asked for this long.
const IDLE: Duration = Duration::from_secs(600);
const MOST_APPLICATIONS: u64 = 100_000;

/// One application's endpoints at one version.
#[derive(Debug)]
pub(crate) struct Routes {
    version: Version,
    endpoints: HashMap<EndpointId, Arc<Route>>,
    names_limits: bool,
}

/// Everything about an endpoint that does not change from one attempt to the next.
#[derive(Debug)]
pub(crate) struct Route {
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

/// URL and fixed headers of the requests to an endpoint.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
}

impl Route {
    /// `schedule` and `limit` are the application's.
    fn new(
        endpoint: Arc<Endpoint>,
        schedule: &Arc<Schedule>,
        configured: &Schedule,
        limit: Option<Arc<Metered>>,
    ) -> Self {
        let target = Target::of(&endpoint);
        let schedule = match &endpoint.settings.retry {
            Some(policy) => Arc::new(configured.with(policy)),
            None => Arc::clone(schedule),
        };
        let poison = endpoint.settings.ordering.as_ref().and_then(|ordering| ordering.poison);
        let ordered = poison.map(|poison| Box::new(schedule.with_poison(poison)));
        Self { endpoint, target, schedule, ordered, application_limit: limit }
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
    fn of(endpoint: &Endpoint) -> Option<Self> {
        let mut headers = HeaderMap::with_capacity(endpoint.headers.len() + 8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("Sluicegate/", env!("CARGO_PKG_VERSION"))),
        );
        for (name, value) in &endpoint.headers {
            let name: HeaderName = name.parse().ok()?;
            headers.insert(name, HeaderValue::from_str(value).ok()?);
        }
        // What was compressed would have to be inflated to be read.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        Some(Self { url: endpoint.url.parse().ok()?, headers })
    }
}

impl Routes {
    fn new(configuration: Configuration, configured: &Arc<Schedule>) -> Self {
        let schedule = match &configuration.application.settings.retry {
            Some(policy) => Arc::new(configured.with(policy)),
            None => Arc::clone(configured),
        };
        let limit = configuration.limit().map(Arc::new);
        let names_limits = |it: &Arc<Endpoint>| !it.settings.shared_limits.is_empty();
        let names_limits = configuration.endpoints.values().any(names_limits);
        let route = |endpoint| Route::new(endpoint, &schedule, configured, limit.clone());
        let endpoints = configuration.endpoints.into_iter();
        let endpoints = endpoints.map(|(id, endpoint)| (id, Arc::new(route(endpoint)))).collect();
        Self { version: configuration.version, endpoints, names_limits }
    }

    /// Whether an endpoint names limits that it shares with others.
    pub(crate) fn name_limits(&self) -> bool {
        self.names_limits
    }

    /// The route to an endpoint, unless that was deleted.
    pub(crate) fn get(&self, endpoint: EndpointId) -> Option<Arc<Route>> {
        self.endpoints.get(&endpoint).cloned()
    }
}

/// The routes of all applications that this process serves.
#[derive(Clone)]
pub(crate) struct RouteCache {
    store: SharedStore,
    routes: moka::sync::Cache<AppId, Arc<Routes>>,
    /// What holds where nobody sets another one.
    configured: Arc<Schedule>,
}

impl RouteCache {
    pub(crate) fn new(store: SharedStore, configured: Schedule) -> Self {
        let routes =
            moka::sync::Cache::builder().max_capacity(MOST_APPLICATIONS).time_to_idle(IDLE).build();
        Self { store, routes, configured: Arc::new(configured) }
    }

    /// The routes of an application at this version or a later one; `None` if it was deleted.
    pub(crate) async fn at(
        &self,
        app: AppId,
        version: Version,
    ) -> Result<Option<Arc<Routes>>, StoreError> {
        match self.routes.get(&app) {
            Some(routes) if routes.version >= version => Ok(Some(routes)),
            _ => self.load(app).await,
        }
    }

    /// The newest routes of an application; `None` if it was deleted.
    pub(crate) async fn load(&self, app: AppId) -> Result<Option<Arc<Routes>>, StoreError> {
        match self.store.configuration(app).await? {
            Some(configuration) => {
                let routes = Arc::new(Routes::new(configuration, &self.configured));
                self.routes.insert(app, Arc::clone(&routes));
                Ok(Some(routes))
            }
            None => {
                self.routes.invalidate(&app);
                Ok(None)
            }
        }
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
}
