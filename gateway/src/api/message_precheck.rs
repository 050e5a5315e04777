//! Whether anybody would get a message: for producers to whom making one is dear.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::Api;
use crate::{
    error::Result,
    ingest::{Body, Faults},
};

const MAX_CHANNELS: usize = 64;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrecheckIn {
    event_type: String,
    channels: Option<Vec<String>>,
}

#[derive(Serialize)]
struct PrecheckOut {
    active: bool,
}

/// Whether an enabled endpoint wants messages of this type and these channels. What its filter says of
/// the payload cannot be known before there is one.
pub(super) async fn active(
    api: web::Data<Api>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse> {
    let input: PrecheckIn = body.json()?;
    let channels = input.channels.unwrap_or_default();
    let mut faults = Faults::default();
    faults.name("eventType", &input.event_type);
    faults.names("channels", &channels, MAX_CHANNELS);
    faults.into_result()?;
    let configuration = api.configuration(&path).await?;
    let mut endpoints = configuration.endpoints.values();
    let active = endpoints.any(|endpoint| endpoint.listens(&input.event_type, &channels));
    Ok(HttpResponse::Ok().json(PrecheckOut { active }))
}
