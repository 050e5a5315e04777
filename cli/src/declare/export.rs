//! `sluicegate export`: a file of what the server has. Secrets are not in it, so whoever applies it leaves
//! them as they are.

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::{
    file::Declaration,
    remote::{Remote, RemoteApplication},
    sameness::is_nothing,
    step::NOT_DECLARED,
};
use crate::{arguments::ServerFlags, client::Server, exit::Result};

const HEAD: &str = "\
# What the server has, as `sluicegate apply` reads it. Secrets, headers and keys are left out: what is left
# out stays as it is. To declare them, add `secret: {fromEnv: NAME}` or `headers: {X-Token: {fromFile: PATH}}`
# to an endpoint, and `key: {fromFile: PATH}` to an API key.
";

const LIMIT: [&str; 5] = ["name", "count", "per", "burst", "description"];
const EVENT_TYPE: [&str; 8] = [
    "name",
    "description",
    "archived",
    "deprecated",
    "groupName",
    "featureFlag",
    "featureFlags",
    "schemas",
];
const APPLICATION: [&str; 3] = ["name", "throttleRate", "metadata"];
const ENDPOINT: [&str; 8] = [
    "url",
    "description",
    "version",
    "disabled",
    "eventTypes",
    "channels",
    "throttleRate",
    "metadata",
];
const API_KEY: [&str; 5] = ["id", "name", "scope", "appId", "expiresAt"];

/// Prints it.
pub(crate) async fn export(flags: &ServerFlags) -> Result<()> {
    let server = Server::find(flags)?;
    let remote = Remote::read(&server, |_| true).await?;
    let all = |shown: &[Value], fields: &[&str]| -> Vec<Value> {
        shown.iter().map(|one| Value::Object(picked(one, fields))).collect()
    };
    let declaration = json!({
        "limits": all(&remote.limits, &LIMIT),
        "eventTypes": remote.event_types.iter().map(event_type).collect::<Vec<_>>(),
        "applications": remote.applications.iter().map(application).collect::<Vec<_>>(),
        "operationalEndpoints":
            remote.operational_endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "apiKeys": all(&remote.api_keys, &API_KEY),
    });
    // By way of the format itself: what it cannot say is an error, and its fields have its order.
    let declaration: Declaration = serde_json::from_value(declaration)
        .context("the server has something that this version cannot declare")?;
    let text = serde_saphyr::to_string(&declaration).context("what was read cannot be written")?;
    print!("{HEAD}{text}");
    Ok(())
}

/// These fields, as far as there is something in them.
fn picked(shown: &Value, fields: &[&str]) -> Map<String, Value> {
    let filled = fields.iter().filter(|field| !is_nothing(&shown[**field]));
    filled.map(|field| ((*field).to_owned(), shown[*field].clone())).collect()
}

/// The same, with the name that applications and endpoints have.
fn named(shown: &Value, fields: &[&str]) -> Map<String, Value> {
    let mut entry = with_settings(shown, fields);
    let name = if shown["uid"].is_string() { "uid" } else { "id" };
    entry.insert(name.to_owned(), shown[name].clone());
    entry
}

/// These fields and the settings of our own.
fn with_settings(shown: &Value, fields: &[&str]) -> Map<String, Value> {
    let mut entry = picked(shown, fields);
    if let Value::Object(settings) = &shown["sluicegate"] {
        let mut settings = settings.clone();
        settings
            .retain(|field, value| !NOT_DECLARED.contains(&field.as_str()) && !is_nothing(value));
        if !settings.is_empty() {
            entry.insert("sluicegate".to_owned(), Value::Object(settings));
        }
    }
    entry
}

fn event_type(shown: &Value) -> Value {
    Value::Object(with_settings(shown, &EVENT_TYPE))
}

fn endpoint(shown: &Value) -> Value {
    Value::Object(named(shown, &ENDPOINT))
}

fn application(found: &RemoteApplication) -> Value {
    let mut entry = named(&found.shown, &APPLICATION);
    entry.insert("name".to_owned(), found.shown["name"].clone());
    if !found.endpoints.is_empty() {
        let endpoints: Vec<_> = found.endpoints.iter().map(endpoint).collect();
        entry.insert("endpoints".to_owned(), endpoints.into());
    }
    Value::Object(entry)
}
