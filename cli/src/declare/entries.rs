//! Entries: what a file may say of each thing, and what of it the API is to be sent. Fields that are left
//! out have their defaults.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    file::Lined,
    reference::{HeaderValue, Reference, resolve_headers},
};

/// A limit with a name.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LimitEntry {
    pub(super) name: String,
    count: u32,
    per: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    burst: Option<u32>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
}

/// An event type.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EventTypeEntry {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default, skip_serializing_if = "is_false")]
    archived: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    deprecated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feature_flag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feature_flags: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schemas: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sluicegate: Option<EventTypeSettings>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EventTypeSettings {
    #[serde(default, skip_serializing_if = "is_false")]
    validate: bool,
}

/// An application with its endpoints.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ApplicationEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    /// Of one that exists and has no uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    throttle_rate: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sluicegate: Option<ApplicationSettings>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) endpoints: Vec<Lined<EndpointEntry>>,
}

/// The object `sluicegate` of an application. What its fields may hold is the server's business.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApplicationSettings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limits: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quota_bytes: Option<u64>,
}

/// An endpoint.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct EndpointEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    /// Of one that exists and has no uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    url: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default = "first", skip_serializing_if = "is_first")]
    version: u32,
    /// Where it is left out, it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    event_types: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    channels: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    throttle_rate: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sluicegate: Option<EndpointSettings>,
    /// Where it is left out, the endpoint keeps its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Reference>,
    /// Where they are left out, the endpoint keeps its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, HeaderValue>>,
    /// What the references lead to.
    #[serde(skip)]
    pub(super) secrets: Secrets,
}

/// The object `sluicegate` of an endpoint. What its fields may hold is the server's business.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EndpointSettings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limits: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shared_limits: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ordering: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcomes: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filter: Option<Value>,
}

/// What an endpoint's references lead to.
#[derive(Default)]
pub(super) struct Secrets {
    pub(super) secret: Option<String>,
    pub(super) headers: Option<BTreeMap<String, String>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(***)")
    }
}

/// An API key.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ApiKeyEntry {
    pub(super) name: String,
    pub(super) scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) app_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<String>,
    /// Of one that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Reference>,
    /// The key itself.
    #[serde(skip)]
    pub(super) text: Option<String>,
}

impl std::fmt::Debug for ApiKeyEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKeyEntry({})", self.name)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

const fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_first(version: &u32) -> bool {
    *version == first()
}

/// The one of both that names it.
fn uid_or_id(uid: Option<&String>, id: Option<&String>) -> Result<String, String> {
    match (uid, id) {
        (Some(name), None) | (None, Some(name)) => Ok(name.clone()),
        _ => Err("expected `uid`, or `id` for what exists and has no uid".to_owned()),
    }
}

/// Whether the server shows the one that is named so.
fn is_named(uid: Option<&String>, id: Option<&String>, shown: &Value) -> bool {
    match (uid, id) {
        (Some(uid), _) => shown["uid"] == uid.as_str(),
        (None, Some(id)) => shown["id"] == id.as_str(),
        (None, None) => false,
    }
}

impl LimitEntry {
    pub(super) fn body(&self) -> Map<String, Value> {
        object(json!({
            "count": self.count, "per": self.per, "burst": self.burst,
            "description": self.description,
        }))
    }
}

impl EventTypeEntry {
    pub(super) fn body(&self) -> Map<String, Value> {
        object(json!({
            "description": self.description, "archived": self.archived,
            "deprecated": self.deprecated, "groupName": self.group_name,
            "featureFlag": self.feature_flag, "featureFlags": self.feature_flags,
            "schemas": self.schemas,
            "sluicegate": self.sluicegate.as_ref().map_or(json!({}), |it| json!(it)),
        }))
    }
}

impl ApplicationEntry {
    pub(super) fn key(&self) -> Result<String, String> {
        uid_or_id(self.uid.as_ref(), self.id.as_ref())
    }

    pub(super) fn is(&self, shown: &Value) -> bool {
        is_named(self.uid.as_ref(), self.id.as_ref(), shown)
    }

    pub(super) const fn must_exist(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn body(&self) -> Map<String, Value> {
        object(json!({
            "name": self.name, "throttleRate": self.throttle_rate, "metadata": self.metadata,
            "sluicegate": self.sluicegate.as_ref().map_or(json!({}), |it| json!(it)),
        }))
    }
}

impl EndpointEntry {
    pub(super) fn key(&self) -> Result<String, String> {
        uid_or_id(self.uid.as_ref(), self.id.as_ref())
    }

    pub(super) fn is(&self, shown: &Value) -> bool {
        is_named(self.uid.as_ref(), self.id.as_ref(), shown)
    }

    pub(super) const fn must_exist(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn body(&self) -> Map<String, Value> {
        let mut body = object(json!({
            "url": self.url, "description": self.description, "version": self.version,
            "eventTypes": self.event_types, "channels": self.channels,
            "throttleRate": self.throttle_rate, "metadata": self.metadata,
            "sluicegate": self.sluicegate.as_ref().map_or(json!({}), |it| json!(it)),
        }));
        if let Some(disabled) = self.disabled {
            body.insert("disabled".to_owned(), disabled.into());
        }
        body
    }

    pub(super) fn resolve(&mut self, directory: &Path) -> Result<(), String> {
        self.secrets = Secrets {
            secret: self.secret.as_ref().map(|secret| secret.resolve(directory)).transpose()?,
            headers: self
                .headers
                .as_ref()
                .map(|headers| resolve_headers(headers, directory))
                .transpose()?,
        };
        Ok(())
    }
}

impl ApiKeyEntry {
    /// A key's id is part of its text: behind `sgk_`, ten characters.
    pub(super) fn resolve(&mut self, directory: &Path) -> Result<(), String> {
        let Some(reference) = &self.key else {
            return match self.id {
                Some(_) => Ok(()),
                None => Err("expected `key`, or `id` for a key that exists".to_owned()),
            };
        };
        let text = reference.resolve(directory)?;
        let id = text.strip_prefix("sgk_").and_then(|rest| rest.get(..10)).map(str::to_owned);
        let id = id.ok_or(
            "what is referred to is no API key: `sluicegate secrets generate-api-key` makes one",
        )?;
        if self.id.as_ref().is_some_and(|known| *known != id) {
            return Err("`id` is another one than that of `key`".to_owned());
        }
        (self.id, self.text) = (Some(id), Some(text));
        Ok(())
    }
}

/// The fields of a JSON object.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
