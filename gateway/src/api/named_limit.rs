//! Limits with a name, which endpoints of any application share by naming them.
//!
//! One that is deleted limits nobody any more; endpoints that name it stay as they are.

use std::cell::Cell;

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{Limit, NamedLimit},
    store::Kind,
    time::Millis,
};

use super::{
    Api,
    limit::{LimitIn, MAX_COUNT},
    list::ListQuery,
    openapi::{Span, Time},
    record::Record,
};
use crate::{
    error::{ApiError, Result},
    ingest::{Body, Faults},
};

const MISSING: ApiError = ApiError::NotFound("limit");
/// Each dispatcher reads all of them again and again.
const MOST: usize = 1000;

/// A limit with a name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"count": 100, "per": "10s"}]))]
pub(super) struct NamedLimitIn {
    /// How many attempts may start…
    #[schemars(range(min = 1, max = MAX_COUNT))]
    count: u32,
    /// …within this time, from 100ms to 7d.
    #[schemars(with = "Span")]
    per: String,
    /// How many of them may start at the same moment after a pause.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    burst: Option<u32>,
    #[serde(default)]
    #[schemars(length(max = 4096))]
    description: String,
    #[serde(default, rename = "managedBy")]
    managed_by: Option<String>,
}

/// A limit with a name.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct NamedLimitOut<'a> {
    name: &'a str,
    description: &'a str,
    #[serde(flatten)]
    limit: Limit,
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_by: Option<&'a str>,
    #[schemars(with = "Time")]
    created_at: String,
    #[schemars(with = "Time")]
    updated_at: String,
}

impl<'a> From<&'a NamedLimit> for NamedLimitOut<'a> {
    fn from(limit: &'a NamedLimit) -> Self {
        Self {
            name: &limit.name,
            description: &limit.description,
            limit: limit.limit,
            managed_by: limit.managed_by.as_deref(),
            created_at: limit.created_at.rfc3339(),
            updated_at: limit.updated_at.rfc3339(),
        }
    }
}

impl Record for NamedLimit {
    const KIND: Kind = Kind::Limit;
    const WHAT: &'static str = "a limit";

    fn document_name(&self) -> &str {
        &self.name
    }
}

impl NamedLimitIn {
    /// The limit, if everything is as it should be.
    fn check(&self, name: &str) -> Result<Limit> {
        let mut faults = Faults::default();
        faults.name("name", name);
        faults.description(&self.description);
        faults.managed_by("managedBy", self.managed_by.as_ref());
        let limit = LimitIn { count: self.count, per: self.per.clone(), burst: self.burst }.read();
        match limit {
            Ok(limit) => faults.into_result().map(|()| limit),
            Err(fault) => {
                faults.add("count", fault);
                Err(faults.into_result().err().unwrap_or(ApiError::Overloaded))
            }
        }
    }
}

impl Api {
    /// The first of these names that nobody has defined.
    pub(super) async fn unknown_limit<'a>(&self, names: &'a [String]) -> Result<Option<&'a str>> {
        for name in names {
            if self.record::<NamedLimit>(name).await?.is_none() {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Writes a limit; whether it is a new one.
    async fn write_limit(
        &self,
        name: &str,
        limit: Limit,
        input: &NamedLimitIn,
    ) -> Result<(NamedLimit, bool)> {
        let is_new = Cell::new(false);
        let written = self.write_record(name, async |old: Option<NamedLimit>| {
            let now = Millis::now();
            is_new.set(old.is_none());
            let known = old.as_ref().and_then(|old| old.managed_by.clone());
            let (version, created_at, extra) = match old {
                Some(old) => (now.0.max(old.version + 1), old.created_at, old.extra),
                None if self.store.documents(Kind::Limit).await?.len() >= MOST => {
                    let msg = format!("there are {MOST} limits: delete one first");
                    return Err(ApiError::Conflict(msg));
                }
                None => (now.0, now, serde_json::Map::new()),
            };
            Ok(NamedLimit {
                name: name.to_owned(),
                description: input.description.clone(),
                limit,
                version,
                managed_by: input.managed_by.clone().or(known),
                created_at,
                updated_at: now,
                extra,
            })
        });
        Ok((written.await?, is_new.get()))
    }
}

pub(super) async fn get(api: web::Data<Api>, path: web::Path<String>) -> Result<HttpResponse> {
    let limit: NamedLimit = api.record(&path).await?.ok_or(MISSING)?;
    Ok(HttpResponse::Ok().json(NamedLimitOut::from(&limit)))
}

/// Creates or replaces a limit. It holds within a second for all who name it.
pub(super) async fn put(
    api: web::Data<Api>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse> {
    let input = body.json::<NamedLimitIn>()?;
    let (limit, created) = api.write_limit(&path, input.check(&path)?, &input).await?;
    let mut response = if created { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.json(NamedLimitOut::from(&limit)))
}

pub(super) async fn delete(api: web::Data<Api>, path: web::Path<String>) -> Result<HttpResponse> {
    let was_there = api.store.delete_document(Kind::Limit, &path).await?;
    was_there.then_some(()).ok_or(MISSING)?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn list(
    api: web::Data<Api>,
    query: web::Query<ListQuery>,
) -> Result<HttpResponse> {
    let listed = api.list_records(&query, |_: &NamedLimit| true).await?;
    listed.respond(NamedLimitOut::from)
}
