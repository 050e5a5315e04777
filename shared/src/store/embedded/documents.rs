//! Documents: configuration, the index of applications, environment-wide documents.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Embedded, corrupt,
    draft::Draft,
    keys::{self, Key},
    records::{self, Fields},
    tables::Table,
    view::Lookup,
};
use crate::{
    domain::{Application, Endpoint, Queue},
    id::{AppId, EndpointId},
    store::{
        Bucket, Change, Claim, Configuration, Document, Documents, ErrorKind, Expect, Indexed,
        Kind, NudgeKind, Page, PageRequest, Result, StoreError, Version,
    },
};

#[async_trait::async_trait]
impl Documents for Embedded {
    async fn configuration(&self, app: AppId) -> Result<Option<Configuration>> {
        let view = self.core.view()?;
        let Some(record) = view.get(Table::Documents, keys::application(app))? else {
            return Ok(None);
        };
        let mut fields = Fields(&record);
        let version = fields.u64().map(Version).ok_or_else(|| corrupt("an application"))?;
        let application = decode::<Application>(fields.rest(), "an application")?;
        let mut endpoints = BTreeMap::new();
        for item in view.prefix(Table::Documents, keys::endpoints(app)) {
            let endpoint = decode::<Endpoint>(&item?.1, "an endpoint")?;
            endpoints.insert(endpoint.id, Arc::new(endpoint));
        }
        Ok(Some(Configuration { version, application, endpoints }))
    }

    async fn application(&self, app: AppId) -> Result<Option<Application>> {
        let record = self.core.view()?.get(Table::Documents, keys::application(app))?;
        // The version stands in front of it.
        let json = record.as_deref().map(|record| record.get(8..).unwrap_or_default());
        json.map(|json| decode(json, "an application")).transpose()
    }

    async fn version(&self, app: AppId) -> Result<Option<Version>> {
        version(&self.core.view()?, app)
    }

    async fn commit(
        &self,
        app: AppId,
        expected: Option<Version>,
        changes: &[Change],
    ) -> Result<Version> {
        let edits = changes.iter().map(Edit::new).collect::<Result<Vec<_>>>()?;
        self.writer.write(true, move |draft| commit(draft, app, expected, edits)).await
    }

    async fn index(&self, app: AppId, uid: Option<&str>, old_uid: Option<&str>) -> Result<Indexed> {
        let (uid, old_uid) = (uid.map(str::to_owned), old_uid.map(str::to_owned));
        self.writer.write(true, move |draft| index(draft, app, uid, old_uid)).await
    }

    async fn claim(&self, app: AppId) -> Result<Claim> {
        claim(&self.core.view()?, app)
    }

    async fn unindex(&self, app: AppId, uid: Option<&str>, known: Claim) -> Result<()> {
        let uid = uid.map(str::to_owned);
        self.writer
            .write(true, move |draft| {
                if claim(draft, app)? != known {
                    return Ok(());
                }
                if let Some(uid) = uid {
                    give_up(draft, app, &uid)?;
                }
                draft.remove(Table::Documents, keys::list().id(app.bits()));
                Ok(())
            })
            .await
    }

    async fn find_uid(&self, uid: &str) -> Result<Option<AppId>> {
        holder(&self.core.view()?, uid)
    }

    async fn applications(&self, page: &PageRequest) -> Result<Page<AppId>> {
        self.core.view()?.list(Table::Documents, keys::list(), None, page, |key, _| {
            let app = Fields(key).id().map(AppId::from_bits);
            app.map(Some).ok_or_else(|| corrupt("the list of applications"))
        })
    }

    async fn document(&self, kind: Kind, name: &str) -> Result<Option<Bytes>> {
        let found = self.core.view()?.get(Table::Documents, keys::document(kind, name))?;
        Ok(found.map(|json| Bytes::copy_from_slice(&json)))
    }

    async fn documents(&self, kind: Kind) -> Result<Vec<Document>> {
        let prefix = keys::kind(kind);
        let start = prefix.len();
        let documents = self.core.view()?.prefix(Table::Documents, prefix).map(|item| {
            let (key, json) = item?;
            let name = std::str::from_utf8(&key[start..]).map_err(|_| corrupt("a name"))?;
            Ok(Document { name: name.to_owned(), json: Bytes::copy_from_slice(&json) })
        });
        documents.collect()
    }

    async fn put_document(&self, kind: Kind, document: &Document, expect: &Expect) -> Result<()> {
        let (key, json) = (keys::document(kind, &document.name), document.json.clone());
        let expect = expect.clone();
        self.writer
            .write(true, move |draft| {
                let found = draft.get(Table::Documents, &key)?;
                let as_expected = match &expect {
                    Expect::Any => true,
                    Expect::Absent => found.is_none(),
                    Expect::Exactly(json) => found.is_some_and(|found| *found == **json),
                };
                if !as_expected {
                    return Err(conflict("the document is not as expected"));
                }
                draft.put(Table::Documents, key, &*json);
                Ok(())
            })
            .await
    }

    async fn delete_document(&self, kind: Kind, name: &str) -> Result<bool> {
        let key = keys::document(kind, name);
        self.writer
            .write(true, move |draft| {
                let was_there = draft.get(Table::Documents, &key)?.is_some();
                draft.remove(Table::Documents, key);
                Ok(was_there)
            })
            .await
    }
}

/// A change, with its document as it is stored.
enum Edit {
    Application(Vec<u8>),
    Endpoint(EndpointId, Vec<u8>),
    NoEndpoint(EndpointId),
    NoApplication,
}

impl Edit {
    fn new(change: &Change) -> Result<Self> {
        Ok(match change {
            Change::PutApplication(application) => Self::Application(encode(application)?),
            Change::PutEndpoint(endpoint) => Self::Endpoint(endpoint.id, encode(endpoint)?),
            Change::DeleteEndpoint(endpoint) => Self::NoEndpoint(*endpoint),
            Change::DeleteApplication => Self::NoApplication,
        })
    }
}

fn encode(document: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(document).map_err(|_| corrupt("a document"))
}

fn decode<T: DeserializeOwned>(json: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(json).map_err(|_| corrupt(what))
}

fn conflict(what: &str) -> StoreError {
    StoreError::new(ErrorKind::Conflict, what)
}

/// The version of an application's configuration, if there is such an application.
pub(super) fn version(of: &impl Lookup, app: AppId) -> Result<Option<Version>> {
    match of.get(Table::Documents, keys::application(app))? {
        None => Ok(None),
        Some(record) => {
            let version = Fields(&record).u64().map(Version);
            version.map(Some).ok_or_else(|| corrupt("an application"))
        }
    }
}

fn commit(
    draft: &mut Draft<'_>,
    app: AppId,
    expected: Option<Version>,
    edits: Vec<Edit>,
) -> Result<Version> {
    let key = keys::application(app);
    let old = draft.get(Table::Documents, &key)?;
    if version(draft, app)? != expected {
        return Err(conflict("the application was changed meanwhile"));
    }
    let next = Version(expected.map_or(1, |version| version.0 + 1));
    let mut application = old.map(|record| record[8..].to_vec());
    let creates = edits.iter().any(|edit| matches!(edit, Edit::Application(_)));
    if application.is_none() && !creates {
        return Err(conflict("there is no such application"));
    }

    let mut nudges = BTreeMap::new();
    for edit in edits {
        match edit {
            Edit::Application(json) => {
                application = Some(json);
                for endpoint in endpoints(draft, app)? {
                    nudges.entry(endpoint).or_insert(NudgeKind::Changed);
                }
            }
            Edit::Endpoint(endpoint, json) => {
                draft.put(Table::Documents, keys::endpoint(Queue::live(app, endpoint)), json);
                nudges.insert(endpoint, NudgeKind::Changed);
            }
            Edit::NoEndpoint(endpoint) => {
                delete_endpoint(draft, Queue::live(app, endpoint));
                nudges.insert(endpoint, NudgeKind::Deleted);
            }
            Edit::NoApplication => {
                application = None;
                for endpoint in endpoints(draft, app)? {
                    delete_endpoint(draft, Queue::live(app, endpoint));
                    nudges.insert(endpoint, NudgeKind::Deleted);
                }
                draft.drop_list(&keys::log(app));
                draft.charge(app, 0);
                draft.remove(Table::Documents, keys::bucket(&Bucket::Application(app)));
            }
        }
    }
    match application {
        Some(json) => draft.put(Table::Documents, key, versioned(next, &json)),
        None => draft.remove(Table::Documents, key),
    }
    for (endpoint, kind) in nudges {
        let queue = Queue::live(app, endpoint);
        draft.append(queue.lane(), records::encode_nudge(queue, kind));
    }
    Ok(next)
}

fn versioned(version: Version, json: &[u8]) -> Key {
    Key::new().u64(version.0).bytes(json)
}

/// The endpoints of an application, among them those that this group has put.
fn endpoints(draft: &Draft<'_>, app: AppId) -> Result<Vec<EndpointId>> {
    let prefix = keys::endpoints(app);
    let start = prefix.len();
    let found = draft.first(Table::Documents, prefix.clone(), prefix.end(), usize::MAX)?;
    let id = |(key, _): (fjall::Slice, fjall::Slice)| Fields(&key[start..]).id();
    let ids = found.into_iter().map(id).collect::<Option<Vec<_>>>();
    let ids = ids.ok_or_else(|| corrupt("an endpoint"))?;
    Ok(ids.into_iter().map(EndpointId::from_bits).collect())
}

/// Removes an endpoint's documents at once; the sweep removes its history.
fn delete_endpoint(draft: &mut Draft<'_>, queue: Queue) {
    draft.remove(Table::Documents, keys::endpoint(queue));
    draft.remove(Table::Documents, keys::state(queue.app, queue.endpoint));
    draft.drop_lists(queue);
}

fn holder(of: &impl Lookup, uid: &str) -> Result<Option<AppId>> {
    match of.get(Table::Documents, keys::uid(uid))? {
        None => Ok(None),
        Some(record) => {
            let app = Fields(&record).id().map(AppId::from_bits);
            app.map(Some).ok_or_else(|| corrupt("a uid"))
        }
    }
}

/// The stamp of the application's listing; 0 where there is none, or none that says so.
fn claim(of: &impl Lookup, app: AppId) -> Result<Claim> {
    let listed = of.get(Table::Documents, keys::list().id(app.bits()))?;
    Ok(listed.and_then(|record| Fields(&record).u64()).map(Claim).unwrap_or_default())
}

fn index(
    draft: &mut Draft<'_>,
    app: AppId,
    uid: Option<String>,
    old_uid: Option<String>,
) -> Result<Indexed> {
    if let Some(uid) = &uid
        && let Some(other) = holder(draft, uid)?
        && other != app
    {
        return Ok(Indexed::Taken(other));
    }
    if let Some(old) = old_uid.filter(|old| uid.as_ref() != Some(old)) {
        give_up(draft, app, &old)?;
    }
    if let Some(uid) = uid {
        draft.put(Table::Documents, keys::uid(&uid), app.bits().to_be_bytes());
    }
    let claim = draft.stamp();
    draft.put(Table::Documents, keys::list().id(app.bits()), claim.encode());
    Ok(Indexed::Done)
}

/// Frees a uid, if it is this application's.
fn give_up(draft: &mut Draft<'_>, app: AppId, uid: &str) -> Result<()> {
    if holder(draft, uid)? == Some(app) {
        draft.remove(Table::Documents, keys::uid(uid));
    }
    Ok(())
}
