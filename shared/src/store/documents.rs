//! Documents: configuration that people write and every node reads.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use bytes::Bytes;

use super::{Bucket, Metered, Page, PageRequest, Result};
use crate::{
    domain::{Application, Endpoint, Limit},
    id::{AppId, EndpointId},
};

/// Counts the changes of one application's configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(pub u64);

/// An application with all its endpoints, at one version.
#[derive(Clone, PartialEq, Debug)]
pub struct Configuration {
    /// Which version.
    pub version: Version,
    /// The application.
    pub application: Application,
    /// Its endpoints, oldest first.
    pub endpoints: BTreeMap<EndpointId, Arc<Endpoint>>,
}

impl Configuration {
    /// What all endpoints of the application share: `rate_limit` and the limits of its settings.
    pub fn limit(&self) -> Option<Metered> {
        let rate = self.application.rate_limit.and_then(NonZeroU32::new).map(Limit::per_second);
        let limits = rate.into_iter().chain(self.application.settings.limits.iter().copied());
        let limits: Vec<_> = limits.collect();
        let bucket = Bucket::Application(self.application.id);
        let Version(version) = self.version;
        (!limits.is_empty()).then_some(Metered { bucket, version, limits })
    }
}

/// One step of a commit.
#[derive(Clone, PartialEq, Debug)]
#[allow(clippy::large_enum_variant, reason = "few of them live, and none for long")]
pub enum Change {
    /// Creates or replaces the application.
    PutApplication(Application),
    /// Creates or replaces an endpoint.
    PutEndpoint(Endpoint),
    /// Removes an endpoint; its history goes with it, at the latest by [`super::Store::sweep`].
    DeleteEndpoint(EndpointId),
    /// Removes the application with all its endpoints; its log of messages goes in the same way, while
    /// bodies and dedup keys end with their own lifetimes.
    DeleteApplication,
}

/// A kind of environment-wide document.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// [`crate::domain::EventType`] by name.
    EventType,
    /// [`crate::domain::ApiKey`] by id.
    ApiKey,
    /// [`crate::domain::NamedLimit`] by name.
    Limit,
    /// [`crate::domain::PortalAccess`] by the application's id.
    Portal,
}

impl Kind {
    /// The name in keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventType => "event-type",
            Self::ApiKey => "api-key",
            Self::Limit => "limit",
            Self::Portal => "portal",
        }
    }
}

/// An environment-wide document: JSON by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// Its name, unique in its kind.
    pub name: String,
    /// The JSON.
    pub json: Bytes,
}

/// What a write expects to find.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expect {
    /// Whatever there is.
    Any,
    /// Nothing.
    Absent,
    /// Exactly this JSON.
    Exactly(Bytes),
}

/// Tells one listing of an application from a later one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Claim(pub u64);

/// What became of an application's entry in the index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Indexed {
    /// It is listed, and found by its uid.
    Done,
    /// The uid is another application's. That application may be missing, if its creation broke off:
    /// whoever finds this completes it.
    Taken(AppId),
}

/// Configuration.
#[async_trait::async_trait]
pub trait Documents: Send + Sync {
    /// An application's configuration, whole.
    async fn configuration(&self, app: AppId) -> Result<Option<Configuration>>;

    /// An application without its endpoints: costs the same however many it has.
    async fn application(&self, app: AppId) -> Result<Option<Application>> {
        Ok(self.configuration(app).await?.map(|configuration| configuration.application))
    }

    /// The version of an application's configuration: costs the same however many endpoints it has.
    async fn version(&self, app: AppId) -> Result<Option<Version>> {
        Ok(self.configuration(app).await?.map(|configuration| configuration.version))
    }

    /// Changes an application's configuration in one write and answers the new version.
    ///
    /// - MUST fail with [`super::ErrorKind::Conflict`] and change nothing if the version is not
    ///   `expected` (`None`: the application must not exist).
    /// - Each endpoint that is put or deleted MUST get a nudge in its lane's stream in the same write;
    ///   a change of the application nudges all its endpoints.
    /// - MUST be durable when answered.
    async fn commit(
        &self,
        app: AppId,
        expected: Option<Version>,
        changes: &[Change],
    ) -> Result<Version>;

    /// Lists an application and claims its uid; `old_uid` is given up in the same write, if it was
    /// this application's. Done before the application is first committed.
    async fn index(&self, app: AppId, uid: Option<&str>, old_uid: Option<&str>) -> Result<Indexed>;

    /// How an application is listed now: each [`Documents::index`] of it makes another claim.
    async fn claim(&self, app: AppId) -> Result<Claim>;

    /// Takes an application out of the list, and its uid with it. Done after its deletion, with the
    /// claim that was read before: it MUST change nothing if the application was indexed since, by
    /// whoever creates it anew.
    async fn unindex(&self, app: AppId, uid: Option<&str>, claim: Claim) -> Result<()>;

    /// The application that has this uid.
    async fn find_uid(&self, uid: &str) -> Result<Option<AppId>>;

    /// Applications by age. One may be missing, if its creation broke off.
    async fn applications(&self, page: &PageRequest) -> Result<Page<AppId>>;

    /// A document.
    async fn document(&self, kind: Kind, name: &str) -> Result<Option<Bytes>>;

    /// All documents of a kind, sorted by name.
    async fn documents(&self, kind: Kind) -> Result<Vec<Document>>;

    /// Writes a document; [`super::ErrorKind::Conflict`] if it is not as expected.
    async fn put_document(&self, kind: Kind, document: &Document, expect: &Expect) -> Result<()>;

    /// Removes a document; whether there was one.
    async fn delete_document(&self, kind: Kind, name: &str) -> Result<bool>;
}
