//! Applications: the tenants.
//!
//! An application is listed, and its uid claimed, before it is first committed; it leaves the list
//! after its deletion. So whatever breaks off in between can be completed by whoever finds it.
//! Creating one is not deduplicated by idempotency key: a uid does that, with `get_if_exists`.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use futures_util::future::try_join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{Application, ApplicationSettings},
    id::AppId,
    store::{Change, Configuration, ErrorKind, Indexed, Kind, Order, Page, StoreError, Version},
    time::Millis,
};

use super::{
    Api, MAX_TRIES,
    application_settings::ApplicationSettingsIn,
    list::{ListQuery, gather},
    may_decide_again,
    openapi::{Name, Rate, Time, Title},
    patch::Patch,
    pause,
    retry_policy::RetryBounds,
};
use crate::{
    error::{ApiError, Result},
    ingest::{Body, Faults},
};

/// A change of an application, or a whole one.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"], "examples" = [{"name": "Acme Inc.", "uid": "acme"}]))]
pub(super) struct ApplicationIn {
    /// For people.
    #[schemars(with = "Title")]
    name: Patch<String>,
    /// A name of your own, by which it may be called instead of its id.
    #[schemars(with = "Option<Name>")]
    uid: Patch<String>,
    /// The older name of `throttleRate`.
    #[schemars(with = "Option<Rate>")]
    rate_limit: Patch<u32>,
    /// Most attempts per second over all its endpoints.
    #[schemars(with = "Option<Rate>")]
    throttle_rate: Patch<u32>,
    /// Of your own, at most 8192 bytes in all.
    metadata: Patch<BTreeMap<String, String>>,
    sluicegate: Patch<ApplicationSettingsIn>,
}

impl ApplicationIn {
    /// As the body of PUT and POST: all of it.
    pub(super) fn whole(self) -> Self {
        Self {
            name: self.name.whole(),
            uid: self.uid.whole(),
            rate_limit: Patch::Absent,
            throttle_rate: self.throttle_rate.or(self.rate_limit).whole(),
            metadata: self.metadata.whole(),
            sluicegate: match self.sluicegate {
                Patch::Value(settings) => Patch::Value(settings.whole()),
                Patch::Absent | Patch::Null => Patch::Null,
            },
        }
    }

    fn rate(&self) -> Patch<u32> {
        self.throttle_rate.clone().or(self.rate_limit.clone())
    }

    pub(super) fn check(&self, bounds: &RetryBounds) -> Result<()> {
        let mut faults = Faults::default();
        match &self.name {
            Patch::Absent => {}
            Patch::Null => faults.add("name", "field required"),
            Patch::Value(name) => faults.title("name", name),
        }
        faults.uid(self.uid.value(), |uid| uid.parse::<AppId>().is_ok());
        faults.rate(self.rate().value().copied());
        if let Some(metadata) = self.metadata.value() {
            faults.metadata(metadata);
        }
        if let Some(settings) = self.sluicegate.value() {
            settings.check(bounds, &mut faults);
        }
        faults.into_result()
    }

    fn apply(&self, bounds: &RetryBounds, application: &mut Application) {
        self.name.apply(&mut application.name, String::new());
        self.uid.apply_option(&mut application.uid);
        self.rate().apply_option(&mut application.rate_limit);
        self.metadata.apply(&mut application.metadata, BTreeMap::new());
        match &self.sluicegate {
            Patch::Absent => {}
            Patch::Null => {
                ApplicationSettingsIn::default().whole().apply(bounds, &mut application.settings)
            }
            Patch::Value(settings) => settings.apply(bounds, &mut application.settings),
        }
        application.updated_at = Millis::now();
    }
}

/// An application.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApplicationOut<'a> {
    id: AppId,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle_rate: Option<u32>,
    metadata: &'a BTreeMap<String, String>,
    sluicegate: &'a ApplicationSettings,
    #[schemars(with = "Time")]
    created_at: String,
    #[schemars(with = "Time")]
    updated_at: String,
}

impl<'a> From<&'a Application> for ApplicationOut<'a> {
    fn from(application: &'a Application) -> Self {
        Self {
            id: application.id,
            uid: application.uid.as_deref(),
            name: &application.name,
            rate_limit: application.rate_limit,
            throttle_rate: application.rate_limit,
            metadata: &application.metadata,
            sluicegate: &application.settings,
            created_at: application.created_at.rfc3339(),
            updated_at: application.updated_at.rfc3339(),
        }
    }
}

/// What became of a wish to create an application.
pub(super) enum Created {
    New(Application),
    /// The uid is this application's.
    Exists(Application),
}

impl Api {
    /// Creates the application that `input` describes, unless its uid is another's.
    pub(super) async fn create_application(&self, input: &ApplicationIn) -> Result<Created> {
        let fresh = AppId::new();
        let now = Millis::now();
        let mut application = Application {
            id: fresh,
            uid: None,
            name: String::new(),
            rate_limit: None,
            settings: Default::default(),
            metadata: BTreeMap::new(),
            created_at: now,
            updated_at: now,
            extra: serde_json::Map::new(),
        };
        input.apply(&self.retry_bounds, &mut application);
        for turn in 0..MAX_TRIES {
            pause(turn).await;
            let uid = application.uid.as_deref();
            if let Indexed::Taken(other) = self.store.index(application.id, uid, None).await? {
                if let Some(found) = self.store.configuration(other).await? {
                    return Ok(Created::Exists(found.application));
                }
                // Its creation broke off: this one completes it.
                application.id = other;
                continue;
            }
            let put = [Change::PutApplication(application.clone())];
            match self.store.commit(application.id, None, &put).await {
                Ok(_) => return Ok(Created::New(application)),
                Err(error) if !may_decide_again(&error) => return Err(error.into()),
                Err(_) => {
                    // Under an id that nobody else knows, only this very call can have happened.
                    if let Some(found) = self.store.configuration(application.id).await? {
                        let mine = application.id == fresh;
                        let created = if mine { Created::New } else { Created::Exists };
                        return Ok(created(found.application));
                    }
                }
            }
        }
        Err(StoreError::new(ErrorKind::Unavailable, "the application was not created").into())
    }

    /// Changes an application, its uid included.
    async fn change_application(&self, app: AppId, input: &ApplicationIn) -> Result<Application> {
        for turn in 0..MAX_TRIES {
            pause(turn).await;
            let Some(found) = self.store.configuration(app).await? else { break };
            let mut application = found.application.clone();
            input.apply(&self.retry_bounds, &mut application);
            let (uid, old_uid) = (application.uid.as_deref(), found.application.uid.as_deref());
            if uid != old_uid
                && let Indexed::Taken(_) = self.store.index(app, uid, old_uid).await?
            {
                return Err(uid_taken());
            }
            let put = [Change::PutApplication(application.clone())];
            match self.store.commit(app, Some(found.version), &put).await {
                Ok(_) => return Ok(application),
                Err(error) if may_decide_again(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ApiError::NotFound("application"))
    }

    /// Deletes an application at whatever version it is.
    async fn delete_configuration(&self, app: AppId, mut version: Version) -> Result<()> {
        for turn in 0..MAX_TRIES {
            pause(turn).await;
            match self.store.commit(app, Some(version), &[Change::DeleteApplication]).await {
                Ok(_) => return Ok(()),
                Err(error) if may_decide_again(&error) => {}
                Err(error) => return Err(error.into()),
            }
            match self.store.configuration(app).await? {
                Some(changed) => version = changed.version,
                None => return Ok(()),
            }
        }
        Err(StoreError::new(ErrorKind::Unavailable, "the application was not deleted").into())
    }
}

fn uid_taken() -> ApiError {
    ApiError::Conflict("an application with this uid exists".to_owned())
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct CreateQuery {
    /// Answer 200 with the application that has this uid already, instead of 409.
    #[serde(default)]
    get_if_exists: bool,
}

pub(super) async fn create(
    api: web::Data<Api>,
    query: web::Query<CreateQuery>,
    body: Body,
) -> Result<HttpResponse> {
    let input = body.json::<ApplicationIn>()?.whole();
    input.check(&api.retry_bounds)?;
    match api.create_application(&input).await? {
        Created::New(new) => Ok(HttpResponse::Created().json(ApplicationOut::from(&new))),
        Created::Exists(old) if query.get_if_exists => {
            Ok(HttpResponse::Ok().json(ApplicationOut::from(&old)))
        }
        Created::Exists(_) => Err(uid_taken()),
    }
}

pub(super) async fn get(api: web::Data<Api>, path: web::Path<String>) -> Result<HttpResponse> {
    let found = api.configuration(&path).await?;
    Ok(HttpResponse::Ok().json(ApplicationOut::from(&found.application)))
}

/// Replaces the application, or creates it. A path that is no id is its uid, unless the body names
/// one.
pub(super) async fn put(
    api: web::Data<Api>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse> {
    let mut input = body.json::<ApplicationIn>()?.whole();
    let names_an_id = path.parse::<AppId>().is_ok();
    if input.uid == Patch::Null && !names_an_id {
        input.uid = Patch::Value(path.clone());
    }
    input.check(&api.retry_bounds)?;
    match api.configuration(&path).await {
        Ok(Configuration { application, .. }) => {
            let changed = api.change_application(application.id, &input).await?;
            Ok(HttpResponse::Ok().json(ApplicationOut::from(&changed)))
        }
        Err(ApiError::NotFound(_)) if !names_an_id => match api.create_application(&input).await? {
            Created::New(new) => Ok(HttpResponse::Created().json(ApplicationOut::from(&new))),
            Created::Exists(_) => Err(uid_taken()),
        },
        Err(error) => Err(error),
    }
}

pub(super) async fn patch(
    api: web::Data<Api>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse> {
    let input = body.json::<ApplicationIn>()?;
    input.check(&api.retry_bounds)?;
    let found = api.configuration(&path).await?;
    let changed = api.change_application(found.application.id, &input).await?;
    Ok(HttpResponse::Ok().json(ApplicationOut::from(&changed)))
}

pub(super) async fn delete(api: web::Data<Api>, path: web::Path<String>) -> Result<HttpResponse> {
    let found = api.configuration(&path).await?;
    let (app, uid) = (found.application.id, found.application.uid);
    // Read before it is gone: whoever creates it anew afterwards makes a claim of their own.
    let claim = api.store.claim(app).await?;
    api.delete_configuration(app, found.version).await?;
    api.store.unindex(app, uid.as_deref(), claim).await?;
    api.store.delete_document(Kind::Portal, &app.to_string()).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn is_listed(Configuration { endpoints, .. }: &Configuration, query: &ListQuery) -> bool {
    let excluded = |flag: Option<bool>, holds: bool| flag.unwrap_or(false) && holds;
    !excluded(query.exclude_apps_with_no_endpoints, endpoints.is_empty())
        && !excluded(
            query.exclude_apps_with_disabled_endpoints,
            endpoints.values().any(|endpoint| endpoint.disabled),
        )
}

impl Api {
    /// An application, if it passes the filters. Only where one looks at its endpoints are they read.
    async fn listed(&self, app: AppId, query: &ListQuery) -> Result<Option<Application>> {
        if query.exclude_apps_with_no_endpoints.is_none()
            && query.exclude_apps_with_disabled_endpoints.is_none()
        {
            return Ok(self.store.application(app).await?);
        }
        let found = self.store.configuration(app).await?;
        let found = found.filter(|found| is_listed(found, query));
        Ok(found.map(|found| found.application))
    }
}

pub(super) async fn list(
    api: web::Data<Api>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let listed = gather(
        &query,
        query.order(Order::OldestFirst),
        async |request| {
            let page = api.store.applications(&request).await?;
            let loading = page.entries.iter().map(|(_, app)| api.listed(*app, &query));
            let loaded = try_join_all(loading).await?;
            let entries = page.entries.into_iter().zip(loaded);
            let entries = entries.map(|((cursor, _), found)| (cursor, found)).collect();
            Ok(Page { entries, done: page.done })
        },
        |_| None,
        async |found: &Option<Application>| Ok(found.is_some()),
    )
    .await?;
    listed.respond(|found| found.as_ref().map(ApplicationOut::from))
}
