//! Documents.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use shared::{
    domain::Queue,
    id::{AppId, EndpointId},
    store::{
        Change, Claim, Configuration, Document, Documents, Entry, ErrorKind, Expect, Indexed, Kind,
        NudgeKind, Page, PageRequest, Result, StoreError, Version,
    },
};

use super::{Model, State, history::page};

#[async_trait::async_trait]
impl Documents for Model {
    async fn configuration(&self, app: AppId) -> Result<Option<Configuration>> {
        Ok(self.state().configurations.get(&app).cloned())
    }

    async fn commit(
        &self,
        app: AppId,
        expected: Option<Version>,
        changes: &[Change],
    ) -> Result<Version> {
        let mut state = self.state();
        let found = state.configurations.get(&app).map(|configuration| configuration.version);
        if found != expected {
            return Err(StoreError::new(ErrorKind::Conflict, "another version"));
        }
        let version = Version(found.map_or(1, |version| version.0 + 1));
        for change in changes {
            state.change(app, version, change);
        }
        if let Some(configuration) = state.configurations.get_mut(&app) {
            configuration.version = version;
        }
        self.appended.notify_waiters();
        Ok(version)
    }

    async fn index(&self, app: AppId, uid: Option<&str>, old_uid: Option<&str>) -> Result<Indexed> {
        let mut state = self.state();
        if let Some(uid) = uid {
            match state.uids.get(uid) {
                Some(&holder) if holder != app => return Ok(Indexed::Taken(holder)),
                _ => state.uids.insert(uid.into(), app),
            };
        }
        if old_uid != uid {
            state.give_up_uid(app, old_uid);
        }
        state.last_claim += 1;
        let claim = Claim(state.last_claim);
        state.index.insert(app, claim);
        Ok(Indexed::Done)
    }

    async fn claim(&self, app: AppId) -> Result<Claim> {
        Ok(self.state().index.get(&app).copied().unwrap_or_default())
    }

    async fn unindex(&self, app: AppId, uid: Option<&str>, claim: Claim) -> Result<()> {
        let mut state = self.state();
        if state.index.get(&app).copied().unwrap_or_default() != claim {
            return Ok(());
        }
        state.give_up_uid(app, uid);
        state.index.remove(&app);
        Ok(())
    }

    async fn find_uid(&self, uid: &str) -> Result<Option<AppId>> {
        Ok(self.state().uids.get(uid).copied())
    }

    async fn applications(&self, request: &PageRequest) -> Result<Page<AppId>> {
        let state = self.state();
        Ok(page(state.index.keys().map(|app| (app.to_string(), *app)), request))
    }

    async fn document(&self, kind: Kind, name: &str) -> Result<Option<Bytes>> {
        Ok(self.state().documents.get(&(kind.name(), name.into())).cloned())
    }

    async fn documents(&self, kind: Kind) -> Result<Vec<Document>> {
        let state = self.state();
        let documents = state.documents.iter();
        Ok(documents
            .filter(|((of, _), _)| *of == kind.name())
            .map(|((_, name), json)| Document { name: name.clone(), json: json.clone() })
            .collect())
    }

    async fn put_document(&self, kind: Kind, document: &Document, expect: &Expect) -> Result<()> {
        let mut state = self.state();
        let found = state.documents.get(&(kind.name(), document.name.clone()));
        let expected = match expect {
            Expect::Any => true,
            Expect::Absent => found.is_none(),
            Expect::Exactly(json) => found == Some(json),
        };
        if !expected {
            return Err(StoreError::new(ErrorKind::Conflict, "another document"));
        }
        state.documents.insert((kind.name(), document.name.clone()), document.json.clone());
        Ok(())
    }

    async fn delete_document(&self, kind: Kind, name: &str) -> Result<bool> {
        Ok(self.state().documents.remove(&(kind.name(), name.into())).is_some())
    }
}

impl State {
    fn change(&mut self, app: AppId, version: Version, change: &Change) {
        match change {
            Change::PutApplication(application) => {
                let configuration =
                    self.configurations.entry(app).or_insert_with(|| Configuration {
                        version,
                        application: application.clone(),
                        endpoints: BTreeMap::new(),
                    });
                configuration.application = application.clone();
                self.nudge_all(app, NudgeKind::Changed);
            }
            Change::PutEndpoint(endpoint) => {
                if let Some(configuration) = self.configurations.get_mut(&app) {
                    configuration.endpoints.insert(endpoint.id, Arc::new(endpoint.clone()));
                }
                self.nudge(Queue::live(app, endpoint.id), NudgeKind::Changed);
            }
            Change::DeleteEndpoint(endpoint) => {
                if let Some(configuration) = self.configurations.get_mut(&app) {
                    configuration.endpoints.remove(endpoint);
                }
                self.remove_history(app, *endpoint);
                self.nudge(Queue::live(app, *endpoint), NudgeKind::Deleted);
            }
            Change::DeleteApplication => {
                self.nudge_all(app, NudgeKind::Deleted);
                let configuration = self.configurations.remove(&app);
                for endpoint in configuration.into_iter().flat_map(|found| found.endpoints) {
                    self.remove_history(app, endpoint.0);
                }
            }
        }
    }

    fn nudge_all(&mut self, app: AppId, kind: NudgeKind) {
        let endpoints = self.configurations.get(&app).map(|found| found.endpoints.clone());
        for endpoint in endpoints.into_iter().flatten() {
            self.nudge(Queue::live(app, endpoint.0), kind);
        }
    }

    fn nudge(&mut self, queue: Queue, kind: NudgeKind) {
        self.append(queue.lane(), Entry::Nudge { queue, kind });
    }

    fn remove_history(&mut self, app: AppId, endpoint: EndpointId) {
        self.attempts.retain(|(of, attempt)| (*of, attempt.endpoint) != (app, endpoint));
        self.tallies.retain(|(of, _), _| (of.app, of.endpoint) != (app, endpoint));
        // Not taken out: the places of those behind would change.
        let gone = self.dead.iter().enumerate();
        let gone = gone.filter(|(_, (of, letter))| (*of, letter.endpoint) == (app, endpoint));
        self.purged.extend(gone.map(|(place, _)| place));
    }

    fn give_up_uid(&mut self, app: AppId, uid: Option<&str>) {
        if let Some(uid) = uid
            && self.uids.get(uid) == Some(&app)
        {
            self.uids.remove(uid);
        }
    }
}
