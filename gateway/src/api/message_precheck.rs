//! Whether anybody would get a message: for producers to whom making one is dear.

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Api, openapi::Name};
use crate::{
    error::Result,
    ingest::{Body, Faults},
};

const MAX_CHANNELS: usize = 64;

/// A message that may be sent.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "MessagePrecheckIn")]
pub(super) struct PrecheckIn {
    #[schemars(with = "Name")]
    event_type: String,
    #[schemars(with = "Option<Vec<Name>>", length(max = MAX_CHANNELS))]
    channels: Option<Vec<String>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessagePrecheckOut")]
pub(super) struct PrecheckOut {
    /// Whether an endpoint would get it, as far as can be told without its payload.
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
