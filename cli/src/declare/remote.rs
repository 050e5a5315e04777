//! What the server has, read by pages of its lists: how many requests that takes depends on how much
//! there is divided by a page, and on the number of applications.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    entries::EndpointEntry,
    file::{Declaration, Lined},
};
use crate::{
    client::{Refused, Server},
    exit::Result,
};

/// Entries of a page: the most that the server gives.
const PAGE: usize = 250;
/// Applications that are read at once.
const AT_ONCE: usize = 16;
/// Endpoints whose secrets are compared with one request: they may have 16 KiB of headers each.
const COMPARED_AT_ONCE: usize = 50;

/// What the server has.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) limits: Vec<Value>,
    pub(super) event_types: Vec<Value>,
    pub(super) api_keys: Vec<Value>,
    pub(super) applications: Vec<RemoteApplication>,
    pub(super) operational_endpoints: Vec<Value>,
}

/// An application, with its endpoints if they were asked for.
#[derive(Debug)]
pub(super) struct RemoteApplication {
    pub(super) shown: Value,
    pub(super) endpoints: Vec<Value>,
}

/// Endpoints whose secrets are others than wanted: application (none: the operator), endpoint, as the
/// server's ids, and in which fields.
pub(super) type Different = BTreeMap<(Option<String>, String), BTreeSet<String>>;

impl Remote {
    /// Reads everything; endpoints only of the applications that are `wanted`.
    pub(super) async fn read(server: &Server, wanted: impl Fn(&Value) -> bool) -> Result<Self> {
        let applications = list(server, "app").await?;
        let applications = stream::iter(applications.into_iter().map(|shown| {
            let is_wanted = wanted(&shown);
            async move {
                let endpoints = match is_wanted {
                    true => list(server, &format!("app/{}/endpoint", text(&shown, "id"))).await?,
                    false => Vec::new(),
                };
                Ok::<_, Refused>(RemoteApplication { shown, endpoints })
            }
        }));
        Ok(Self {
            limits: list(server, "sluicegate/limit").await?,
            event_types: list(server, "event-type?include_archived=true&with_content=true").await?,
            api_keys: list(server, "sluicegate/api-key").await?,
            applications: applications.buffered(AT_ONCE).try_collect().await?,
            operational_endpoints: list(server, "operational-webhook/endpoint").await?,
        })
    }

    /// Asks which of the endpoints that exist have other secrets than the file says.
    pub(super) async fn compare_secrets(
        &self,
        server: &Server,
        declaration: &Declaration,
    ) -> Result<Different> {
        let mut questions = Vec::new();
        let operator =
            questions_about(&declaration.operational_endpoints, &self.operational_endpoints);
        questions.extend(operator.into_iter().map(|endpoints| (None, endpoints)));
        for Lined { value: entry, .. } in &declaration.applications {
            let Some(found) = self.applications.iter().find(|one| entry.is(&one.shown)) else {
                continue;
            };
            let app = text(&found.shown, "id").to_owned();
            for endpoints in questions_about(&entry.endpoints, &found.endpoints) {
                questions.push((Some(app.clone()), endpoints));
            }
        }
        let answers = stream::iter(questions.into_iter().map(|(app, endpoints)| async move {
            let body = json!({"appId": app, "endpoints": endpoints});
            let answer =
                server.call(Method::POST, "sluicegate/secrets/compare", Some(&body)).await?;
            Ok::<_, Refused>((app, answer))
        }));
        let answers: Vec<(Option<String>, Value)> = answers.buffered(AT_ONCE).try_collect().await?;
        let mut different = Different::new();
        for (app, answer) in answers {
            for one in answer["different"].as_array().into_iter().flatten() {
                let fields = one["fields"].as_array().into_iter().flatten();
                let fields = fields.filter_map(Value::as_str).map(str::to_owned).collect();
                different.insert((app.clone(), text(one, "endpointId").to_owned()), fields);
            }
        }
        Ok(different)
    }
}

/// What is to be asked about the secrets of endpoints that exist, in parts.
fn questions_about(entries: &[Lined<EndpointEntry>], found: &[Value]) -> Vec<Vec<Value>> {
    let by_name = by_name(found);
    let questions: Vec<Value> = entries
        .iter()
        .map(|entry| &entry.value)
        .filter(|entry| entry.secrets.secret.is_some() || entry.secrets.headers.is_some())
        .filter_map(|entry| {
            let shown = by_name.get(entry.key().ok()?.as_str())?;
            Some(json!({
                "endpointId": text(shown, "id"),
                "secret": entry.secrets.secret, "headers": entry.secrets.headers,
            }))
        })
        .collect();
    questions.chunks(COMPARED_AT_ONCE).map(<[Value]>::to_vec).collect()
}

/// What is shown, by uid and by id.
pub(super) fn by_name(shown: &[Value]) -> BTreeMap<&str, &Value> {
    let names = ["uid", "id", "name"].into_iter();
    let named = |field| shown.iter().filter_map(move |one| Some((one[field].as_str()?, one)));
    names.rev().flat_map(named).collect()
}

/// A text of what is shown.
pub(super) fn text<'a>(shown: &'a Value, field: &str) -> &'a str {
    shown[field].as_str().unwrap_or_default()
}

/// All entries of a list.
async fn list(server: &Server, path: &str) -> std::result::Result<Vec<Value>, Refused> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let mut entries = Vec::new();
    let mut iterator = String::new();
    loop {
        let path = format!("{path}{separator}limit={PAGE}{iterator}");
        let mut page = server.call(Method::GET, &path, None).await?;
        if let Value::Array(data) = page["data"].take() {
            entries.extend(data);
        }
        match (&page["done"], page["iterator"].as_str()) {
            (Value::Bool(false), Some(next)) => iterator = format!("&iterator={next}"),
            _ => return Ok(entries),
        }
    }
}
