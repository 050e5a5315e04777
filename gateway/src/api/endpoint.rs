//! Endpoints: the destinations of an application.
//!
//! PUT replaces everything except secret and headers, which it keeps unless they are given.

use std::{collections::BTreeMap, time::Duration};

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{DisabledReason, Endpoint, EndpointSettings, Secret},
    id::{AppId, EndpointId},
    sealing::KeyRing,
    store::{Change, Configuration, Order},
    time::Millis,
};

use super::{
    Api,
    endpoint_headers::{self, Headers},
    endpoint_secret::rotate_to,
    endpoint_settings::{SettingsIn, SettingsOut},
    endpoint_url, find_endpoint,
    list::{ListQuery, gather, page_of},
    openapi::{Name, Rate, Time},
    patch::Patch,
    place::{Endpoints, OneEndpoint},
    retry_policy::RetryBounds,
};
use crate::{
    error::Result,
    ingest::{Body, Faults},
};

const MAX_FILTER_TYPES: usize = 512;
const MAX_CHANNELS: usize = 64;
const FIRST_VERSION: u32 = 1;

/// A change of an endpoint, or a whole one.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["url"], "examples" = [
    {"url": "https://example.com/webhooks", "eventTypes": ["invoice.paid"], "throttleRate": 50}
]))]
pub(super) struct EndpointIn {
    /// Where messages go: public and https, unless `allow_cidr` says otherwise.
    #[schemars(with = "String", length(max = 2048), extend("format" = "uri"))]
    url: Patch<String>,
    /// A name of your own, by which it may be called instead of its id.
    #[schemars(with = "Option<Name>")]
    uid: Patch<String>,
    #[schemars(length(max = 4096))]
    description: Patch<String>,
    #[schemars(range(min = 1))]
    version: Patch<u32>,
    /// It gets nothing new, and nothing is sent.
    disabled: Patch<bool>,
    /// The older name of `eventTypes`.
    #[schemars(with = "Option<Vec<Name>>", length(max = MAX_FILTER_TYPES))]
    filter_types: Patch<Vec<String>>,
    /// The types of messages that it wants; none means all.
    #[schemars(with = "Option<Vec<Name>>", length(max = MAX_FILTER_TYPES))]
    event_types: Patch<Vec<String>>,
    /// It wants messages of at least one of these channels; none means all messages.
    #[schemars(with = "Option<Vec<Name>>", length(max = MAX_CHANNELS))]
    channels: Patch<Vec<String>>,
    /// The older name of `throttleRate`.
    #[schemars(with = "Option<Rate>")]
    rate_limit: Patch<u32>,
    /// Most attempts per second.
    #[schemars(with = "Option<Rate>")]
    throttle_rate: Patch<u32>,
    /// Of your own, at most 8192 bytes in all.
    metadata: Patch<BTreeMap<String, String>>,
    /// Sent with each attempt.
    headers: Patch<Headers>,
    /// The signing secret, as `whsec_` and base64; made where none is given.
    secret: Patch<String>,
    sluicegate: Patch<SettingsIn>,
}

/// A change whose fields were checked.
struct Checked {
    input: EndpointIn,
    url: Option<String>,
    secret: Option<Secret>,
    retry_bounds: RetryBounds,
    keys: KeyRing,
}

impl EndpointIn {
    /// One name for what has two: `eventTypes` goes before `filterTypes`, `throttleRate` before
    /// `rateLimit`.
    fn merged(mut self) -> Self {
        self.event_types = self.event_types.or(std::mem::take(&mut self.filter_types));
        self.throttle_rate = self.throttle_rate.or(std::mem::take(&mut self.rate_limit));
        self
    }

    /// As the body of PUT and POST: all of it.
    fn whole(self) -> Self {
        Self {
            url: self.url.whole(),
            uid: self.uid.whole(),
            description: self.description.whole(),
            version: self.version.whole(),
            disabled: self.disabled.whole(),
            event_types: self.event_types.whole(),
            channels: self.channels.whole(),
            throttle_rate: self.throttle_rate.whole(),
            metadata: self.metadata.whole(),
            sluicegate: match self.sluicegate {
                Patch::Value(settings) => Patch::Value(settings.whole()),
                Patch::Absent | Patch::Null => Patch::Null,
            },
            ..self
        }
    }

    async fn check(self, api: &Api) -> Result<Checked> {
        let unknown = match self.sluicegate.value() {
            Some(settings) => api.unknown_limit(settings.shared_limits()).await?,
            None => None,
        };
        let mut faults = Faults::default();
        let (mut url, mut secret) = (None, None);
        match &self.url {
            Patch::Absent => {}
            Patch::Null => faults.add("url", "field required"),
            Patch::Value(text) => match endpoint_url::normalise(text, &api.guard) {
                Ok(normal) => url = Some(normal),
                Err(msg) => faults.add("url", msg),
            },
        }
        if let Some(text) = self.secret.value() {
            match Secret::parse(text) {
                Ok(parsed) => secret = Some(parsed),
                Err(error) => faults.add("secret", error.to_string()),
            }
        }
        faults.uid(self.uid.value(), |uid| uid.parse::<EndpointId>().is_ok());
        if let Some(description) = self.description.value() {
            faults.description(description);
        }
        if self.version.value() == Some(&0) {
            faults.add("version", "must be at least 1");
        }
        if let Some(types) = self.event_types.value() {
            faults.names("eventTypes", types, MAX_FILTER_TYPES);
        }
        if let Some(channels) = self.channels.value() {
            faults.names("channels", channels, MAX_CHANNELS);
        }
        faults.rate(self.throttle_rate.value().copied());
        if let Some(settings) = self.sluicegate.value() {
            settings.check(&api.retry_bounds, &mut faults);
        }
        if let Some(metadata) = self.metadata.value() {
            faults.metadata(metadata);
        }
        if let Some(headers) = self.headers.value() {
            endpoint_headers::check(headers, "headers", &mut faults);
        }
        if let Some(unknown) = unknown {
            faults.add(
                "sluicegate",
                format!(
                    "there is no limit `{unknown}`: PUT /api/v1/sluicegate/limit/{unknown} first"
                ),
            );
        }
        faults.into_result()?;
        let (retry_bounds, keys) = (api.retry_bounds.clone(), api.keys.clone());
        Ok(Checked { input: self, url, secret, retry_bounds, keys })
    }
}

impl Checked {
    fn apply(&self, app: AppId, endpoint: &mut Endpoint) -> Result<()> {
        let (input, now) = (&self.input, Millis::now());
        if let Some(url) = &self.url {
            endpoint.url.clone_from(url);
        }
        input.uid.apply_option(&mut endpoint.uid);
        input.description.apply(&mut endpoint.description, String::new());
        input.version.apply(&mut endpoint.version, FIRST_VERSION);
        match input.disabled {
            Patch::Absent => {}
            Patch::Value(true) => endpoint.disable(DisabledReason::Operator, now),
            Patch::Null | Patch::Value(false) => endpoint.enable(now),
        }
        input.event_types.apply(&mut endpoint.filter_types, vec![]);
        input.channels.apply(&mut endpoint.channels, vec![]);
        input.throttle_rate.apply_option(&mut endpoint.rate_limit);
        match &input.sluicegate {
            Patch::Absent => {}
            Patch::Null => {
                SettingsIn::default().whole().apply(&self.retry_bounds, &mut endpoint.settings)
            }
            Patch::Value(settings) => settings.apply(&self.retry_bounds, &mut endpoint.settings),
        }
        input.metadata.apply(&mut endpoint.metadata, BTreeMap::new());
        match &input.headers {
            Patch::Absent => {}
            Patch::Null => endpoint.headers = Headers::new().into(),
            Patch::Value(headers) => endpoint.seal_headers(app, &self.keys, headers.clone())?,
        }
        if let Some(secret) = &self.secret {
            rotate_to(endpoint, (app, &self.keys), secret.clone(), Duration::ZERO, now)?;
        }
        endpoint.updated_at = now;
        Ok(())
    }

    /// A new endpoint.
    fn create(&self, app: AppId, id: EndpointId) -> Result<Endpoint> {
        let now = Millis::now();
        let mut endpoint = Endpoint {
            id,
            uid: None,
            url: String::new(),
            description: String::new(),
            version: FIRST_VERSION,
            disabled: false,
            switched: None,
            filter_types: vec![],
            channels: vec![],
            rate_limit: None,
            settings: EndpointSettings::default(),
            headers: Headers::new().into(),
            secrets: vec![],
            metadata: BTreeMap::new(),
            created_at: now,
            updated_at: now,
            extra: serde_json::Map::new(),
        };
        self.apply(app, &mut endpoint)?;
        if endpoint.secrets.is_empty() {
            rotate_to(&mut endpoint, (app, &self.keys), Secret::generate(), Duration::ZERO, now)?;
        }
        Ok(endpoint)
    }
}

/// An endpoint: everything but its secrets and headers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointOut<'a> {
    id: EndpointId,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    url: &'a str,
    description: &'a str,
    version: u32,
    disabled: bool,
    filter_types: Option<&'a [String]>,
    event_types: Option<&'a [String]>,
    channels: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle_rate: Option<u32>,
    metadata: &'a BTreeMap<String, String>,
    sluicegate: SettingsOut<'a>,
    #[schemars(with = "Time")]
    created_at: String,
    #[schemars(with = "Time")]
    updated_at: String,
}

impl<'a> From<&'a Endpoint> for EndpointOut<'a> {
    fn from(endpoint: &'a Endpoint) -> Self {
        let some = |list: &'a Vec<String>| (!list.is_empty()).then_some(list.as_slice());
        Self {
            id: endpoint.id,
            uid: endpoint.uid.as_deref(),
            url: &endpoint.url,
            description: &endpoint.description,
            version: endpoint.version,
            disabled: endpoint.disabled,
            filter_types: some(&endpoint.filter_types),
            event_types: some(&endpoint.filter_types),
            channels: some(&endpoint.channels),
            rate_limit: endpoint.rate_limit,
            throttle_rate: endpoint.rate_limit,
            metadata: &endpoint.metadata,
            sluicegate: SettingsOut::from(endpoint),
            created_at: endpoint.created_at.rfc3339(),
            updated_at: endpoint.updated_at.rfc3339(),
        }
    }
}

pub(super) async fn create(
    api: web::Data<Api>,
    place: Endpoints,
    body: Body,
) -> Result<HttpResponse> {
    let input = body.json::<EndpointIn>()?.merged().whole().check(&api).await?;
    // Made before the first try, so that a repeated one cannot create a second endpoint.
    let id = EndpointId::new();
    let created = |configuration: &Configuration| input.create(configuration.application.id, id);
    let new = api.put_endpoint(&place.0, created).await?;
    Ok(HttpResponse::Created().json(EndpointOut::from(&new)))
}

pub(super) async fn get(api: web::Data<Api>, place: OneEndpoint) -> Result<HttpResponse> {
    let OneEndpoint { owner, name } = place;
    let configuration = api.configuration_of(&owner).await?;
    let endpoint = find_endpoint(&configuration, &name)?;
    Ok(HttpResponse::Ok().json(EndpointOut::from(endpoint.as_ref())))
}

/// Replaces the endpoint, or creates it. A path that is no id is its uid, unless the body names one.
pub(super) async fn put(
    api: web::Data<Api>,
    place: OneEndpoint,
    body: Body,
) -> Result<HttpResponse> {
    let OneEndpoint { owner, name } = place;
    let mut input = body.json::<EndpointIn>()?.merged().whole();
    let names_an_id = name.parse::<EndpointId>().is_ok();
    if input.uid == Patch::Null && !names_an_id {
        input.uid = Patch::Value(name.clone());
    }
    let input = input.check(&api).await?;
    let new = EndpointId::new();
    let put = api
        .put_endpoint(&owner, |configuration| {
            let app = configuration.application.id;
            match find_endpoint(configuration, &name) {
                Ok(old) if old.id != new => {
                    let mut endpoint = Endpoint::clone(old);
                    input.apply(app, &mut endpoint)?;
                    Ok(endpoint)
                }
                Err(error) if names_an_id => Err(error),
                Ok(_) | Err(_) => input.create(app, new),
            }
        })
        .await?;
    let mut response = if put.id == new { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(EndpointOut::from(&put)))
}

pub(super) async fn patch(
    api: web::Data<Api>,
    place: OneEndpoint,
    body: Body,
) -> Result<HttpResponse> {
    let OneEndpoint { owner, name } = place;
    let input = body.json::<EndpointIn>()?.merged().check(&api).await?;
    let patched = api
        .put_endpoint(&owner, |configuration| {
            let mut endpoint = Endpoint::clone(find_endpoint(configuration, &name)?);
            input.apply(configuration.application.id, &mut endpoint)?;
            Ok(endpoint)
        })
        .await?;
    Ok(HttpResponse::Ok().json(EndpointOut::from(&patched)))
}

pub(super) async fn delete(api: web::Data<Api>, place: OneEndpoint) -> Result<HttpResponse> {
    let OneEndpoint { owner, name } = place;
    api.change_of(&owner, |configuration| {
        let id = find_endpoint(configuration, &name)?.id;
        Ok((vec![Change::DeleteEndpoint(id)], ()))
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn list(
    api: web::Data<Api>,
    place: Endpoints,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let configuration = api.configuration_of(&place.0).await?;
    let sorted = || configuration.endpoints.values().map(|one| (one.id.to_string(), one.as_ref()));
    let listed = gather(
        &query,
        query.order(Order::OldestFirst),
        async |request| Ok(page_of(sorted().collect(), &request)),
        |_| None,
        async |_| Ok(true),
    )
    .await?;
    listed.respond(|endpoint| EndpointOut::from(*endpoint))
}
