//! The signing secrets of an endpoint: shown to their owner, and rotated with an overlap in which the
//! old one still signs beside the new one.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{Endpoint, Secret},
    id::AppId,
    sealing::KeyRing,
    store::Change,
    time::Millis,
};

use super::{Api, find_endpoint, place::OneEndpoint};
use crate::{
    error::{ApiError, Result},
    ingest::Body,
};

/// Longest overlap: a week.
const MAX_OVERLAP_S: u64 = 7 * 86_400;
/// How many secrets may sign at the same time: each one is a signature in each attempt.
const MAX_SIGNING: usize = 8;

/// The signing secret of an endpoint.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "EndpointSecretOut")]
pub(super) struct SecretOut {
    /// `whsec_` and base64.
    key: String,
}

/// How a signing secret is rotated.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "EndpointSecretRotateIn")]
pub(super) struct RotateIn {
    /// The new secret, as `whsec_` and base64; made where none is given.
    key: Option<String>,
    /// How long the old one signs beside it, in seconds; `gateway.secret_overlap` where it is not given.
    #[schemars(range(max = MAX_OVERLAP_S))]
    grace_period_seconds: Option<u64>,
}

/// Makes `secret` the current one; the one before signs for `overlap` more. Without an overlap nothing
/// of the old ones is read, so that a secret can be set where they cannot be read any more.
pub(super) fn rotate_to(
    endpoint: &mut Endpoint,
    (app, keys): (AppId, &KeyRing),
    secret: Secret,
    overlap: Duration,
    now: Millis,
) -> Result<()> {
    let end = now.after(overlap);
    let mut old = std::mem::take(&mut endpoint.secrets);
    for signing in &mut old {
        signing.expires_at.get_or_insert(end);
    }
    for signing in old.into_iter().filter(|signing| signing.signs_at(now)) {
        if endpoint.open_secret(app, keys, &signing)?.secret != secret {
            endpoint.secrets.push(signing);
        }
    }
    if endpoint.secrets.len() >= MAX_SIGNING {
        let detail = format!("{MAX_SIGNING} secrets still sign; wait until one of them expires");
        return Err(ApiError::Conflict(detail));
    }
    Ok(endpoint.seal_secret(app, keys, secret)?)
}

pub(super) async fn get(api: web::Data<Api>, place: OneEndpoint) -> Result<HttpResponse> {
    let OneEndpoint { owner, name } = place;
    let configuration = api.configuration_of(&owner).await?;
    let endpoint = find_endpoint(&configuration, &name)?;
    let current = endpoint.secrets.first().ok_or(ApiError::NotFound("secret"))?;
    let opened = endpoint.open_secret(configuration.application.id, &api.keys, current)?;
    Ok(HttpResponse::Ok().json(SecretOut { key: opened.secret.reveal() }))
}

/// Rotates, and shows the new secret: SDKs from 2.0 on read it, older ones ignore it.
pub(super) async fn rotate(
    api: web::Data<Api>,
    place: OneEndpoint,
    body: Body,
) -> Result<HttpResponse> {
    let OneEndpoint { owner, name } = place;
    let input: RotateIn = body.json_or_default()?;
    let overlap = match input.grace_period_seconds {
        None => api.secret_overlap,
        Some(seconds) if seconds <= MAX_OVERLAP_S => Duration::from_secs(seconds),
        Some(_) => {
            let msg = format!("expected at most {MAX_OVERLAP_S}");
            return Err(ApiError::field("gracePeriodSeconds", msg));
        }
    };
    let secret = match &input.key {
        None => Secret::generate(),
        Some(key) => Secret::parse(key).map_err(|e| ApiError::field("key", e.to_string()))?,
    };
    api.change_of(&owner, |configuration| {
        let mut endpoint = Endpoint::clone(find_endpoint(configuration, &name)?);
        let place = (configuration.application.id, &api.keys);
        if let Some(current) = endpoint.secrets.first()
            && let Ok(opened) = endpoint.open_secret(place.0, place.1, current)
            && opened.secret == secret
        {
            return Ok((vec![], ()));
        }
        let now = Millis::now();
        rotate_to(&mut endpoint, place, secret.clone(), overlap, now)?;
        endpoint.updated_at = now;
        Ok((vec![Change::PutEndpoint(endpoint)], ()))
    })
    .await?;
    Ok(HttpResponse::Ok().json(SecretOut { key: secret.reveal() }))
}
