//! Writing an endpoint down, and telling the operator if that disabled or enabled it.

use shared::{
    domain::{Destination, Endpoint},
    operational::{Occurrence, What},
    store::{Change, Configuration},
};

use super::{Api, Owner};
use crate::error::{ApiError, Result};

impl Api {
    /// Puts the endpoint that `decide` makes of the latest configuration.
    pub(super) async fn put_endpoint(
        &self,
        owner: &Owner,
        decide: impl Fn(&Configuration) -> Result<Endpoint>,
    ) -> Result<Endpoint> {
        let put = |configuration: &Configuration| {
            let endpoint = decide(configuration)?;
            let others = configuration.endpoints.values().filter(|other| other.id != endpoint.id);
            if endpoint.uid.is_some() && others.into_iter().any(|other| other.uid == endpoint.uid) {
                return Err(ApiError::Conflict("an endpoint with this uid exists".to_owned()));
            }
            let told = switched(configuration, &endpoint);
            Ok((vec![Change::PutEndpoint(endpoint.clone())], (endpoint, told)))
        };
        let (endpoint, told) = self.change_of(owner, put).await?;
        if let Some(occurrence) = told
            && let Err(error) = self.bulletin.publish(&[occurrence]).await
        {
            // What was asked for is done all the same.
            tracing::warn!(endpoint = %endpoint.id, %error, "operational_event.not_published");
        }
        Ok(endpoint)
    }
}

/// What there is to tell: whether an endpoint that there was is disabled, or enabled.
fn switched(configuration: &Configuration, endpoint: &Endpoint) -> Option<Occurrence> {
    let old = configuration.endpoints.get(&endpoint.id)?;
    let how = endpoint.switched.filter(|_| old.disabled != endpoint.disabled)?;
    let destination = Destination { app: configuration.application.id, endpoint: endpoint.id };
    let what = how.reason.map_or(What::Enabled, What::Disabled);
    Some(Occurrence { destination, at: how.at, failing_since: None, what })
}
