//! Limits with a name, which endpoints of any application share by naming them.
//!
//! One that is deleted limits nobody any more; endpoints that name it stay as they are.

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{Limit, NamedLimit},
    store::{Document, ErrorKind, Expect, Kind, Order, StoreError},
    time::Millis,
};

use super::{
    Api, MAX_TRIES,
    limit::LimitIn,
    list::{ListQuery, gather, page_of},
    pause,
};
use crate::{
    error::{ApiError, Result},
    ingest::{Body, Faults},
};

const MISSING: ApiError = ApiError::NotFound("limit");
/// Each dispatcher reads all of them again and again.
const MOST: usize = 1000;

/// A limit as it is sent: all of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NamedLimitIn {
    count: u32,
    per: String,
    burst: Option<u32>,
    #[serde(default)]
    description: String,
}

/// A limit as it is shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NamedLimitOut<'a> {
    name: &'a str,
    description: &'a str,
    #[serde(flatten)]
    limit: Limit,
    created_at: String,
    updated_at: String,
}

impl<'a> From<&'a NamedLimit> for NamedLimitOut<'a> {
    fn from(limit: &'a NamedLimit) -> Self {
        Self {
            name: &limit.name,
            description: &limit.description,
            limit: limit.limit,
            created_at: limit.created_at.rfc3339(),
            updated_at: limit.updated_at.rfc3339(),
        }
    }
}

fn decode(json: &[u8]) -> Result<NamedLimit> {
    Ok(serde_json::from_slice(json).map_err(|error| {
        StoreError::caused_by(ErrorKind::Corrupt, "a limit cannot be read", error)
    })?)
}

fn encode(limit: &NamedLimit) -> Result<Document> {
    let json = serde_json::to_vec(limit).map_err(|error| {
        StoreError::caused_by(ErrorKind::Corrupt, "a limit cannot be written", error)
    })?;
    Ok(Document { name: limit.name.clone(), json: Bytes::from(json) })
}

impl NamedLimitIn {
    /// The limit, if everything is as it should be.
    fn check(self, name: &str) -> Result<(Limit, String)> {
        let mut faults = Faults::default();
        faults.name("name", name);
        faults.description(&self.description);
        let limit = LimitIn { count: self.count, per: self.per, burst: self.burst }.read();
        match limit {
            Ok(limit) => faults.into_result().map(|()| (limit, self.description)),
            Err(fault) => {
                faults.add("count", fault);
                Err(faults.into_result().err().unwrap_or(ApiError::Overloaded))
            }
        }
    }
}

impl Api {
    /// A limit by its name.
    pub(super) async fn named_limit(&self, name: &str) -> Result<Option<NamedLimit>> {
        let json = self.store.document(Kind::Limit, name).await?;
        json.as_deref().map(decode).transpose()
    }

    /// The first of these names that nobody has defined.
    pub(super) async fn unknown_limit<'a>(&self, names: &'a [String]) -> Result<Option<&'a str>> {
        for name in names {
            if self.named_limit(name).await?.is_none() {
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
        description: String,
    ) -> Result<(NamedLimit, bool)> {
        for turn in 0..MAX_TRIES {
            pause(turn).await;
            let json = self.store.document(Kind::Limit, name).await?;
            let now = Millis::now();
            let (expect, mut new) = match json {
                Some(json) => {
                    let old = decode(&json)?;
                    let version = now.0.max(old.version + 1);
                    (Expect::Exactly(json), NamedLimit { version, ..old })
                }
                None => {
                    if self.store.documents(Kind::Limit).await?.len() >= MOST {
                        let msg = format!("there are {MOST} limits: delete one first");
                        return Err(ApiError::Conflict(msg));
                    }
                    let new = NamedLimit {
                        name: name.to_owned(),
                        description: String::new(),
                        limit,
                        version: now.0,
                        created_at: now,
                        updated_at: now,
                        extra: serde_json::Map::new(),
                    };
                    (Expect::Absent, new)
                }
            };
            new.limit = limit;
            new.description.clone_from(&description);
            new.updated_at = now;
            match self.store.put_document(Kind::Limit, &encode(&new)?, &expect).await {
                Ok(()) => return Ok((new, expect == Expect::Absent)),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::new(ErrorKind::Conflict, "the limit changes all the time").into())
    }
}

pub(super) async fn get(api: web::Data<Api>, path: web::Path<String>) -> Result<HttpResponse> {
    let limit = api.named_limit(&path).await?.ok_or(MISSING)?;
    Ok(HttpResponse::Ok().json(NamedLimitOut::from(&limit)))
}

/// Creates or replaces a limit. It holds within a second for all who name it.
pub(super) async fn put(
    api: web::Data<Api>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse> {
    let (limit, description) = body.json::<NamedLimitIn>()?.check(&path)?;
    let (limit, created) = api.write_limit(&path, limit, description).await?;
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
    let documents = api.store.documents(Kind::Limit).await?;
    let limits = documents.into_iter().map(|it| Ok((it.name, decode(&it.json)?)));
    let limits = limits.collect::<Result<Vec<_>>>()?;
    let listed = gather(
        &query,
        query.order(Order::OldestFirst),
        async |request| Ok(page_of(limits.clone(), &request)),
        |_| None,
        async |_| Ok(true),
    )
    .await?;
    listed.respond(NamedLimitOut::from)
}
