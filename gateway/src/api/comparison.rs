//! Comparing secrets: whether endpoints have the ones that somebody wants them to have. Who declares a
//! thousand endpoints asks for all of them at once, and is told names only.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{Endpoint, Headers, Secret},
    id::AppId,
};

use super::{Api, find_endpoint, place::Owner};
use crate::{
    error::{ApiError, Result},
    ingest::Body,
};

/// Endpoints that one request may name.
const MOST: usize = 250;

/// The secrets that endpoints are to have.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "SecretComparisonIn")]
pub(super) struct ComparisonIn {
    /// Id or uid; the operator's endpoints, if none is named.
    app_id: Option<String>,
    #[schemars(length(max = MOST))]
    endpoints: Vec<WantedIn>,
}

/// What an endpoint is to have; what is left out may be anything.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "WantedSecretsIn")]
struct WantedIn {
    /// Id or uid.
    endpoint_id: String,
    secret: Option<String>,
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    headers: Option<Headers>,
}

/// The endpoints that have others.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SecretComparisonOut")]
pub(super) struct ComparisonOut<'a> {
    different: Vec<DifferentOut<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DifferentSecretsOut")]
struct DifferentOut<'a> {
    /// As it was asked for.
    endpoint_id: &'a str,
    /// `secret`, `headers`.
    fields: Vec<&'static str>,
}

impl WantedIn {
    /// In what the endpoint differs. What cannot be read is not what is wanted.
    fn differs(&self, api: &Api, app: AppId, endpoint: &Endpoint) -> Vec<&'static str> {
        let has_secret = |wanted: &String| {
            let wanted = Secret::parse(wanted).ok();
            let current = endpoint.secrets.first();
            let current = current.and_then(|one| endpoint.open_secret(app, &api.keys, one).ok());
            wanted.is_some() && wanted == current.map(|one| one.secret)
        };
        let has_headers = |wanted: &Headers| {
            endpoint.open_headers(app, &api.keys).is_ok_and(|headers| headers == *wanted)
        };
        let mut fields = Vec::new();
        if !self.secret.as_ref().is_none_or(has_secret) {
            fields.push("secret");
        }
        if !self.headers.as_ref().is_none_or(has_headers) {
            fields.push("headers");
        }
        fields
    }
}

pub(super) async fn compare(api: web::Data<Api>, body: Body) -> Result<HttpResponse> {
    let input: ComparisonIn = body.json()?;
    if input.endpoints.len() > MOST {
        return Err(ApiError::field("endpoints", format!("more than {MOST}")));
    }
    let owner = input.app_id.clone().map_or(Owner::Operator, Owner::Named);
    let configuration = api.configuration_of(&owner).await?;
    let app = configuration.application.id;
    let mut different = Vec::new();
    for wanted in &input.endpoints {
        let endpoint = find_endpoint(&configuration, &wanted.endpoint_id)?;
        let fields = wanted.differs(&api, app, endpoint);
        if !fields.is_empty() {
            different.push(DifferentOut { endpoint_id: &wanted.endpoint_id, fields });
        }
    }
    Ok(HttpResponse::Ok().json(ComparisonOut { different }))
}
