//! Disabling: takes an endpoint out of service that wants nothing more, or has failed for too long.
//!
//! The endpoint's document is changed as everybody changes it, by comparing and setting the version of
//! its configuration; so each lane and each gateway hears of it.

use std::sync::Arc;

use shared::{
    domain::{Destination, DisabledReason, Endpoint},
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

/// Disables the endpoint, unless it is another than the one that was judged: whoever changed it
/// meanwhile may have mended it. Whether it is disabled now, by this or before.
pub(crate) async fn disable(
    parts: &Parts,
    destination: Destination,
    judged: &Arc<Route>,
    reason: DisabledReason,
) -> bool {
    let mut pauses = Pauses::new();
    for _ in 0..MAX_TRIES {
        let read = async || parts.store.configuration(destination.app).await;
        let Ok(Some(configuration)) =
            until_refused(&parts.metrics, "read configuration", read).await
        else {
            return false;
        };
        let Some(found) = configuration.endpoints.get(&destination.endpoint) else { return false };
        if found.disabled {
            return true;
        }
        if **found != *judged.endpoint {
            return false;
        }
        let mut endpoint = Endpoint::clone(found);
        endpoint.disable(reason, Millis::now());
        let put = [Change::PutEndpoint(endpoint)];
        match parts.store.commit(destination.app, Some(configuration.version), &put).await {
            Ok(_) => {
                parts.metrics.disabled(reason);
                tracing::warn!(
                    app = %destination.app, endpoint = %destination.endpoint, reason = reason.name(),
                    "endpoint.disabled"
                );
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
