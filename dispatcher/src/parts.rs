//! What all actors of one dispatcher share.

use std::sync::Arc;

use shared::store::SharedStore;

use crate::{
    Config, credits::Credits, destinations::Board, metrics::Metrics, named::NamedLimits,
    operator::Operator, routes::RouteCache, siding::Siding, store_clock::StoreClock,
};

/// Handed to every actor when it starts.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: SharedStore,
    pub(crate) credits: Credits,
    pub(crate) routes: RouteCache,
    pub(crate) siding: Siding,
    pub(crate) operator: Operator,
    pub(crate) named: NamedLimits,
    pub(crate) store_clock: StoreClock,
    pub(crate) board: Arc<Board>,
    pub(crate) metrics: Metrics,
}

impl Parts {
    pub(crate) fn new(
        config: Config,
        store: SharedStore,
        metrics: Metrics,
        routes: RouteCache,
        siding: Siding,
    ) -> Arc<Self> {
        Arc::new(Self {
            credits: Credits::new(config.max_in_flight, config.max_body_bytes),
            operator: Operator::start(Arc::clone(&store), metrics.clone()),
            routes,
            siding,
            named: NamedLimits::new(),
            store_clock: StoreClock::default(),
            board: Arc::default(),
            config,
            store,
            metrics,
        })
    }
}
