//! Documents: a hash per application, and environment-wide hashes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use ::redis::{Value, cmd};
use bytes::Bytes;

use super::{
    Redis,
    entry::pack_nudge,
    error::corrupt,
    keys,
    lanes::bytes,
    scripts::{COMMIT, Call, INDEX, PUT_DOCUMENT, UNINDEX},
};
use crate::{
    domain::{Application, Queue},
    id::{AppId, EndpointId},
    placement::Shard,
    store::{
        Change, Claim, Configuration, Cursor, Document, Documents, ErrorKind, Expect, Indexed,
        Kind, NudgeKind, Page, PageRequest, Result, StoreError, Version,
    },
};

/// What some changes come to.
#[derive(Default)]
struct Plan {
    /// The application goes, with what it had before the changes.
    wipes: bool,
    application: Option<Vec<u8>>,
    /// JSON of endpoints; `None` removes.
    endpoints: BTreeMap<EndpointId, Option<Vec<u8>>>,
}

impl Plan {
    fn of(changes: &[Change]) -> Result<Self> {
        let mut plan = Self::default();
        for change in changes {
            match change {
                Change::PutApplication(application) => plan.application = Some(json(application)?),
                Change::PutEndpoint(endpoint) => {
                    plan.endpoints.insert(endpoint.id, Some(json(endpoint)?));
                }
                Change::DeleteEndpoint(endpoint) => {
                    plan.endpoints.insert(*endpoint, None);
                }
                Change::DeleteApplication => {
                    plan.wipes = true;
                    plan.application = None;
                    plan.endpoints.values_mut().for_each(|endpoint| *endpoint = None);
                }
            }
        }
        Ok(plan)
    }

    /// Whether endpoints that no change names are concerned.
    const fn concerns_all(&self) -> bool {
        self.wipes || self.application.is_some()
    }

    /// Whether nothing of the application remains.
    fn ends_application(&self) -> bool {
        self.wipes && self.application.is_none() && self.endpoints.values().all(Option::is_none)
    }
}

#[async_trait::async_trait]
impl Documents for Redis {
    async fn configuration(&self, app: AppId) -> Result<Option<Configuration>> {
        let fields: HashMap<String, Vec<u8>> = self.ask(cmd("HGETALL").arg(keys::app(app))).await?;
        let (Some(version), Some(application)) =
            (fields.get(keys::VERSION_FIELD), fields.get(keys::APPLICATION_FIELD))
        else {
            return Ok(None);
        };
        let version = std::str::from_utf8(version)
            .ok()
            .and_then(|version| version.parse().ok())
            .ok_or_else(|| corrupt("the version of an application cannot be read", ""))?;
        let endpoints = fields
            .iter()
            .filter(|(field, _)| field.starts_with(keys::ENDPOINT_FIELD))
            .map(|(_, json)| {
                let endpoint: crate::domain::Endpoint = parse(json, "an endpoint")?;
                Ok((endpoint.id, Arc::new(endpoint)))
            })
            .collect::<Result<_>>()?;
        Ok(Some(Configuration {
            version: Version(version),
            application: parse(application, "an application")?,
            endpoints,
        }))
    }

    async fn version(&self, app: AppId) -> Result<Option<Version>> {
        let mut command = cmd("HGET");
        command.arg(keys::app(app)).arg(keys::VERSION_FIELD);
        Ok(self.serving.command::<Option<u64>>(&command).await?.map(Version))
    }

    async fn application(&self, app: AppId) -> Result<Option<Application>> {
        let mut command = cmd("HGET");
        command.arg(keys::app(app)).arg(keys::APPLICATION_FIELD);
        let json: Value = self.ask(&command).await?;
        bytes(json)?.map(|json| parse(&json, "an application")).transpose()
    }

    async fn commit(
        &self,
        app: AppId,
        expected: Option<Version>,
        changes: &[Change],
    ) -> Result<Version> {
        let plan = Plan::of(changes)?;
        let before = if plan.concerns_all() { self.endpoints(app).await? } else { HashSet::new() };
        let version = Version(expected.map_or(0, |version| version.0) + 1);
        let call = commit_call(app, expected, version, plan, before, self.lifetimes.history);
        let done: bool = self.write(&call).await?;
        if done {
            Ok(version)
        } else {
            Err(StoreError::new(ErrorKind::Conflict, "somebody changed the application first"))
        }
    }

    async fn index(&self, app: AppId, uid: Option<&str>, old_uid: Option<&str>) -> Result<Indexed> {
        let mut call = Call::new(&INDEX);
        call.key(keys::applications())
            .key(keys::uids())
            .key(keys::claims())
            .arg(app.bare().to_string())
            .arg(optional(uid))
            .arg(optional(old_uid));
        let answer: String = self.write(&call).await?;
        if answer == "1" {
            return Ok(Indexed::Done);
        }
        parse_app(&answer).map(Indexed::Taken)
    }

    async fn claim(&self, app: AppId) -> Result<Claim> {
        let mut command = cmd("HGET");
        command.arg(keys::claims()).arg(app.bare().as_str());
        let claim: Option<u64> = self.ask(&command).await?;
        Ok(claim.map(Claim).unwrap_or_default())
    }

    async fn unindex(&self, app: AppId, uid: Option<&str>, claim: Claim) -> Result<()> {
        let mut call = Call::new(&UNINDEX);
        call.key(keys::applications())
            .key(keys::uids())
            .key(keys::claims())
            .arg(app.bare().to_string())
            .arg(optional(uid))
            .number(claim.0);
        self.write(&call).await
    }

    async fn find_uid(&self, uid: &str) -> Result<Option<AppId>> {
        let app: Option<String> = self.ask(cmd("HGET").arg(keys::uids()).arg(uid)).await?;
        app.as_deref().map(parse_app).transpose()
    }

    async fn applications(&self, page: &PageRequest) -> Result<Page<AppId>> {
        let (apps, done) = self.listed(keys::applications(), page.after.as_ref(), page).await?;
        let entries = apps
            .into_iter()
            .map(|app| Ok((Cursor(app.clone()), parse_app(&app)?)))
            .collect::<Result<_>>()?;
        Ok(Page { entries, done })
    }

    async fn document(&self, kind: Kind, name: &str) -> Result<Option<Bytes>> {
        let json: Value = self.ask(cmd("HGET").arg(keys::documents(kind)).arg(name)).await?;
        bytes(json)
    }

    async fn documents(&self, kind: Kind) -> Result<Vec<Document>> {
        let documents: BTreeMap<String, Vec<u8>> =
            self.ask(cmd("HGETALL").arg(keys::documents(kind))).await?;
        Ok(documents.into_iter().map(|(name, json)| Document { name, json: json.into() }).collect())
    }

    async fn put_document(&self, kind: Kind, document: &Document, expect: &Expect) -> Result<()> {
        let mut call = Call::new(&PUT_DOCUMENT);
        call.key(keys::documents(kind)).arg(document.name.clone()).arg(document.json.clone());
        match expect {
            Expect::Any => call.arg("*"),
            Expect::Absent => call.arg(""),
            Expect::Exactly(json) => call.arg([b"=", &json[..]].concat()),
        };
        if self.write(&call).await? {
            Ok(())
        } else {
            Err(StoreError::new(ErrorKind::Conflict, "somebody changed the document first"))
        }
    }

    async fn delete_document(&self, kind: Kind, name: &str) -> Result<bool> {
        self.ask(cmd("HDEL").arg(keys::documents(kind)).arg(name)).await
    }
}

impl Redis {
    /// The endpoints that there are now. Should they change before the commit, so does the version,
    /// and the commit is refused.
    async fn endpoints(&self, app: AppId) -> Result<HashSet<EndpointId>> {
        let fields: Vec<String> = self.ask(cmd("HKEYS").arg(keys::app(app))).await?;
        fields
            .iter()
            .filter_map(|field| field.strip_prefix(keys::ENDPOINT_FIELD))
            .map(|id| {
                EndpointId::from_bare(id).map_err(|error| corrupt("not an endpoint's field", error))
            })
            .collect()
    }
}

fn commit_call(
    app: AppId,
    expected: Option<Version>,
    version: Version,
    plan: Plan,
    before: HashSet<EndpointId>,
    history: Duration,
) -> Call {
    let ends = plan.ends_application();
    let mut puts: Vec<(String, Vec<u8>)> = Vec::new();
    let mut removals = Vec::new();
    let mut drops = Vec::new();
    let mut nudges = Vec::new();
    let mut remove = |endpoint: EndpointId| {
        let shard = Shard::of(app);
        drops.push(keys::attempts(shard, endpoint));
        drops.push(keys::struck(shard, endpoint));
        drops.push(keys::dead(shard, endpoint));
        drops.push(keys::state(shard, endpoint));
        drops.extend(keys::tallies(shard, endpoint, history));
        removals.push(keys::endpoint_field(endpoint));
    };
    if let Some(application) = plan.application {
        puts.push((keys::APPLICATION_FIELD.to_owned(), application));
    }
    for endpoint in before.iter().filter(|endpoint| !plan.endpoints.contains_key(endpoint)) {
        if plan.wipes {
            remove(*endpoint);
        }
        let kind = if plan.wipes { NudgeKind::Deleted } else { NudgeKind::Changed };
        nudges.push((*endpoint, kind));
    }
    for (endpoint, json) in plan.endpoints {
        let kind = if json.is_some() { NudgeKind::Changed } else { NudgeKind::Deleted };
        nudges.push((endpoint, kind));
        match json {
            Some(json) => puts.push((keys::endpoint_field(endpoint), json)),
            None => remove(endpoint),
        }
    }
    if plan.wipes {
        drops.push(keys::log(app));
    }

    let mut call = Call::new(&COMMIT);
    call.key(keys::app(app));
    match expected {
        None => call.arg(""),
        Some(version) => call.number(version.0),
    };
    if ends {
        call.arg("");
    } else {
        call.number(version.0);
    }
    call.count(puts.len()).count(removals.len()).count(nudges.len());
    for (field, value) in puts {
        call.arg(field).arg(value);
    }
    for field in removals {
        call.arg(field);
    }
    for (endpoint, kind) in nudges {
        let queue = Queue::live(app, endpoint);
        call.key(keys::lane(queue.lane())).arg(pack_nudge(queue, kind));
    }
    for key in drops {
        call.key(key);
    }
    call
}

fn json(record: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|error| corrupt("a document cannot be written", error))
}

fn parse<T: serde::de::DeserializeOwned>(json: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| corrupt(&format!("{what} cannot be read"), error))
}

fn parse_app(text: &str) -> Result<AppId> {
    AppId::from_bare(text).map_err(|error| corrupt("not an application's id", error))
}

/// A text that may be missing, as scripts take it.
fn optional(text: Option<&str>) -> String {
    text.map(|text| format!("={text}")).unwrap_or_default()
}
