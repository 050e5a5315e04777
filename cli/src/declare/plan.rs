//! The plan: what is to be done so that the server has what a file says, and how people read it.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    entries::{ApiKeyEntry, ApplicationEntry, EndpointEntry},
    file::{Declaration, Lined},
    remote::{Different, Remote, by_name, text},
    sameness::same,
    step::{Step, Subject, Verb, mark, mark_inside, put},
};
use crate::exit::{Failure, Result};

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    /// The file, for errors.
    path: PathBuf,
    /// One after the other. Groups of a stage may be done at once, the steps of a group may not.
    pub(super) stages: Vec<Vec<Vec<Step>>>,
    /// What cannot be done.
    problems: Vec<String>,
}

impl Plan {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), stages: Vec::new(), problems: Vec::new() }
    }

    /// How many steps there are.
    pub(super) fn len(&self) -> usize {
        self.stages.iter().flatten().map(Vec::len).sum()
    }

    /// What cannot be done, each with its line.
    pub(super) fn take_problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }

    /// Fails if something cannot be done.
    pub(super) fn problems_as_failure(&self) -> Result<()> {
        match self.problems.as_slice() {
            [] => Ok(()),
            problems => Err(Failure::Runtime(anyhow!("{}", problems.join("\n")))),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Everything that the file wants to be there.
    pub(super) fn add(&mut self, file: &Declaration, remote: &Remote, different: &Different) {
        let by = file.name.as_str();
        let mut stages: [Vec<Vec<Step>>; 5] = Default::default();
        let [limits, event_types, applications, endpoints, api_keys] = &mut stages;
        let known = by_name(&remote.limits);
        for Lined { line, value: entry } in &file.limits {
            let subject = Subject {
                line: *line,
                what: format!("limit {}", entry.name),
                path: format!("sluicegate/limit/{}", entry.name),
                found: known.get(entry.name.as_str()).copied(),
            };
            limits.extend(put(subject, entry.body(), |body| mark(body, by)).map(|step| vec![step]));
        }
        let known = by_name(&remote.event_types);
        for Lined { line, value: entry } in &file.event_types {
            let subject = Subject {
                line: *line,
                what: format!("event type {}", entry.name),
                path: format!("event-type/{}", entry.name),
                found: known.get(entry.name.as_str()).copied(),
            };
            let marked = |body: &mut Map<_, _>| mark_inside(body, by);
            event_types.extend(put(subject, entry.body(), marked).map(|step| vec![step]));
        }
        for Lined { line, value: entry } in &file.applications {
            let (step, of_endpoints) =
                self.application(Lined { line: *line, value: entry }, by, remote, different);
            applications.extend(step.map(|step| vec![step]));
            endpoints.push(of_endpoints);
        }
        let found = remote.operational_endpoints.as_slice();
        let owner = ("operational-webhook/endpoint", "the operator", None);
        endpoints.push(self.endpoints(&file.operational_endpoints, found, owner, by, different));
        for Lined { line, value: entry } in &file.api_keys {
            match api_key(*line, entry, by, remote) {
                Ok(step) => api_keys.extend(step.map(|step| vec![step])),
                Err(problem) => self.problem(*line, &problem),
            }
        }
        self.stages.extend(stages);
    }

    fn problem(&mut self, line: u64, problem: &str) {
        self.problems.push(format!("{}:{line}: {problem}", self.path.display()));
    }

    /// The step of an application, if there is one, and those of its endpoints.
    fn application(
        &mut self,
        Lined { line, value: entry }: Lined<&ApplicationEntry>,
        by: &str,
        remote: &Remote,
        different: &Different,
    ) -> (Option<Step>, Vec<Step>) {
        let key = entry.key().unwrap_or_default();
        let found = remote.applications.iter().find(|one| entry.is(&one.shown));
        if found.is_none() && entry.must_exist() {
            self.problem(line, &format!("there is no application {key}: name it by `uid`"));
            return (None, Vec::new());
        }
        let path = format!("app/{key}");
        let subject = Subject {
            line,
            what: format!("application {key}"),
            path: path.clone(),
            found: found.map(|one| &one.shown),
        };
        let step = put(subject, entry.body(), |body| mark_inside(body, by));
        let id = found.map(|one| text(&one.shown, "id").to_owned());
        let endpoints = found.map_or(&[][..], |one| &one.endpoints);
        let owner = (&*format!("{path}/endpoint"), &*key, id);
        (step, self.endpoints(&entry.endpoints, endpoints, owner, by, different))
    }

    /// The steps of an owner's endpoints.
    fn endpoints(
        &mut self,
        entries: &[Lined<EndpointEntry>],
        found: &[Value],
        (path, owner, app): (&str, &str, Option<String>),
        by: &str,
        different: &Different,
    ) -> Vec<Step> {
        let known = by_name(found);
        let mut steps = Vec::new();
        for Lined { line, value: entry } in entries {
            let key = entry.key().unwrap_or_default();
            let found = known.get(key.as_str()).copied().filter(|shown| entry.is(shown));
            if found.is_none() && entry.must_exist() {
                self.problem(*line, &format!("there is no endpoint {key}: name it by `uid`"));
                continue;
            }
            let subject = Subject {
                line: *line,
                what: format!("endpoint {key} of {owner}"),
                path: format!("{path}/{key}"),
                found,
            };
            let id = found.map(|shown| text(shown, "id").to_owned()).unwrap_or_default();
            let differs = different.get(&(app.clone(), id)).cloned().unwrap_or_default();
            steps.extend(endpoint(subject, entry, &differs, by));
        }
        steps
    }
}

/// The step of an endpoint: what can be seen of it, and its secrets.
fn endpoint(
    subject: Subject<'_>,
    entry: &EndpointEntry,
    differs: &BTreeSet<String>,
    by: &str,
) -> Option<Step> {
    let (found, line, what, path) =
        (subject.found, subject.line, subject.what.clone(), subject.path.clone());
    let mut body = entry.body();
    let step = put(subject, body.clone(), |body| mark_inside(body, by));
    let is_new = found.is_none();
    let secrets = [
        ("secret", entry.secrets.secret.as_ref().map(|it| json!(it))),
        ("headers", entry.secrets.headers.as_ref().map(|it| json!(it))),
    ];
    let secrets: Vec<_> = secrets
        .into_iter()
        .filter_map(|(field, value)| Some((field, value?)))
        .filter(|(field, _)| is_new || differs.contains(*field))
        .collect();
    if step.is_none() && secrets.is_empty() {
        return None;
    }
    let mut step = step.unwrap_or_else(|| {
        if let Some(uid) = found.and_then(|found| found["uid"].as_str()) {
            body.insert("uid".to_owned(), uid.into());
        }
        Step {
            line: Some(line),
            what,
            verb: Verb::Change,
            changes: Vec::new(),
            method: Method::PUT,
            path,
            body: Some(Value::Object(body)),
        }
    });
    if let Some(Value::Object(body)) = &mut step.body {
        // Left out, it would be enabled.
        if let (None, Some(found)) = (body.get("disabled"), found) {
            body.insert("disabled".to_owned(), found["disabled"].clone());
        }
        for (field, value) in secrets {
            step.changes.push(format!("{field}: (not shown)"));
            body.insert(field.to_owned(), value);
        }
    }
    Some(step)
}

/// The step of an API key, if it is to be made.
fn api_key(
    line: u64,
    entry: &ApiKeyEntry,
    by: &str,
    remote: &Remote,
) -> std::result::Result<Option<Step>, String> {
    let (name, id) = (&entry.name, entry.id.as_deref().unwrap_or_default());
    let app_id = entry.app_id.as_ref().map(|wanted| {
        let apps = remote.applications.iter().map(|one| &one.shown);
        let found = apps.into_iter().find(|app| app["uid"] == wanted.as_str());
        found.map_or_else(|| wanted.clone(), |app| text(app, "id").to_owned())
    });
    if let Some(found) = remote.api_keys.iter().find(|shown| text(shown, "id") == id) {
        let wanted = json!({"name": name, "scope": entry.scope, "appId": app_id});
        let fields = ["name", "scope", "appId"];
        if let Some(field) = fields.into_iter().find(|field| !same(&wanted[*field], &found[*field]))
        {
            return Err(format!("{field} of API key {name} cannot be changed: make another key"));
        }
        return Ok(None);
    }
    let Some(key) = &entry.text else {
        return Err(format!("there is no API key {id}, and no `key` to make it from"));
    };
    let mut changes = vec![format!("scope: {}", entry.scope)];
    changes.extend(entry.app_id.as_ref().map(|app| format!("appId: {app}")));
    Ok(Some(Step {
        line: Some(line),
        what: format!("API key {name} ({id})"),
        verb: Verb::Create,
        changes,
        method: Method::POST,
        path: "sluicegate/api-key".to_owned(),
        body: Some(json!({
            "name": name, "scope": entry.scope, "appId": entry.app_id,
            "expiresAt": entry.expires_at, "managedBy": by, "key": key,
        })),
    }))
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.stages.iter().flatten().flatten() {
            write!(f, "{step}")?;
        }
        match self.len() {
            0 => writeln!(f, "nothing to change"),
            steps => writeln!(f, "{steps} to change"),
        }
    }
}
