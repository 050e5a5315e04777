//! Disabling: takes an endpoint out of service that wants nothing more, or has failed for too long.
//!
//! The endpoint's document is changed as everybody changes it, by comparing and setting the version of
//! its configuration; so each lane and each gateway hears of it.

use std::sync::Arc;

use shared::{
    domain::{Destination, DisabledReason, Endpoint},
    operational::{Occurrence, What},
    store::Change,
    time::Millis,
};

use crate::{
    parts::Parts,
    persist::{Pauses, until_refused},
    routes::Route,
};

/// How often a change is decided again because somebody else was faster, or the store failed.
const MAX_TRIES: usize = 12;

/// What an endpoint was found to deserve.
pub(crate) struct Judgement {
    pub(crate) destination: Destination,
    /// How it was when it was judged.
    pub(crate) route: Arc<Route>,
    pub(crate) reason: DisabledReason,
    pub(crate) failing_since: Option<Millis>,
}

/// Disables the endpoint, unless it is another than the one that was judged: whoever changed it
/// meanwhile may have mended it. Whether it is disabled now, by this or before.
pub(crate) async fn disable(parts: &Parts, judgement: &Judgement) -> bool {
    let destination = judgement.destination;
    let mut pauses = Pauses::new();
    let mut tried = None;
    for _ in 0..MAX_TRIES {
        let read = async || parts.store.configuration(destination.app).await;
        let Ok(Some(configuration)) =
            until_refused(&parts.metrics, "read configuration", read).await
        else {
            return false;
        };
        let Some(found) = configuration.endpoints.get(&destination.endpoint) else { return false };
        if found.disabled {
            // A try whose answer was lost.
            if tried.is_some() && found.switched == tried {
                done(parts, judgement, found);
            }
            return true;
        }
        if **found != *judgement.route.endpoint {
            return false;
        }
        let mut endpoint = Endpoint::clone(found);
        endpoint.disable(judgement.reason, Millis::now());
        tried = endpoint.switched;
        let put = [Change::PutEndpoint(endpoint.clone())];
        match parts.store.commit(destination.app, Some(configuration.version), &put).await {
            Ok(_) => {
                done(parts, judgement, &endpoint);
                return true;
            }
            // Somebody was faster; or it may have happened, and is found so.
            Err(error) => {
                tracing::debug!(?destination, %error, "endpoint.disable_repeated");
                pauses.pause().await;
            }
        }
    }
    tracing::error!(?destination, "endpoint.not_disabled");
    false
}

/// Says so, everywhere.
fn done(parts: &Parts, judgement: &Judgement, endpoint: &Endpoint) {
    let Judgement { destination, reason, failing_since, .. } = *judgement;
    let Destination { app, endpoint: id } = destination;
    parts.metrics.disabled(reason);
    tracing::warn!(%app, endpoint = %id, reason = reason.name(), "endpoint.disabled");
    let what = What::Disabled(reason);
    parts.operator.tell(Occurrence { destination, at: endpoint.updated_at, failing_since, what });
}
