//! What all actors of one dispatcher share.

use std::sync::Arc;

use shared::store::SharedStore;

use crate::{
    Config, credits::Credits, metrics::Metrics, operator::Operator, retry::Schedule,
    routes::RouteCache,
};

/// Handed to every actor when it starts.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: SharedStore,
    pub(crate) credits: Credits,
    pub(crate) routes: RouteCache,
    pub(crate) operator: Operator,
    pub(crate) metrics: Metrics,
}

impl Parts {
    pub(crate) fn new(config: Config, store: SharedStore, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            credits: Credits::new(config.max_in_flight, config.max_body_bytes),
            routes: RouteCache::new(
                Arc::clone(&store),
                Schedule::new(config.retry_schedule.clone()),
            ),
            operator: Operator::start(Arc::clone(&store), metrics.clone()),
            config,
            store,
            metrics,
        })
    }
}
