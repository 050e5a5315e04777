//! Content that was sent or answered by mistake: removed at once, everywhere. That it was there stays.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    id::{AppId, AttemptId},
    store::{ErrorKind, StoreError},
};

use super::Api;
use crate::{
    error::{ApiError, Result},
    ingest::Body,
};

/// How many messages one request may name.
const MAX_IDS: usize = 100;

impl Api {
    /// Removes the payload of a message, its headers, and what receivers answered to it. Deliveries
    /// that are open end as dead letters.
    async fn expunge(&self, app: AppId, name: &str) -> Result<()> {
        let message = self.find_message(app, name).await?;
        let id = message.header.id;
        if !message.header.options.expunged {
            let record = message.expunged().encode().map_err(|error| {
                StoreError::caused_by(ErrorKind::Corrupt, "the message cannot be encoded", error)
            })?;
            if !self.store.expunge(app, id, record).await? {
                return Err(ApiError::NotFound("message"));
            }
        }
        // Also when the first was done before: that call may have broken off here.
        self.store.expunge_responses(app, id, None).await?;
        Ok(())
    }
}

pub(super) async fn expunge_message(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let (app, name) = path.into_inner();
    let app = api.configuration(&app).await?.application.id;
    api.expunge(app, &name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The messages to expunge.
#[derive(Deserialize, JsonSchema)]
pub(super) struct MessagesIn {
    /// Ids or event ids.
    #[schemars(length(max = MAX_IDS))]
    ids: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ExpungedOut<'a> {
    /// What became of each message that was named.
    #[schemars(extend("additionalProperties" = {"type": "string", "enum": ["expunged", "not-found"]}))]
    results: BTreeMap<&'a str, &'static str>,
}

/// The same of several messages; what is not found stops none of the others.
pub(super) async fn expunge_messages(
    api: web::Data<Api>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse> {
    let MessagesIn { ids } = body.json()?;
    if ids.len() > MAX_IDS {
        return Err(ApiError::field("ids", format!("more than {MAX_IDS}")));
    }
    let app = api.configuration(&path).await?.application.id;
    let mut results = BTreeMap::new();
    for id in &ids {
        let result = match api.expunge(app, id).await {
            Ok(()) => "expunged",
            Err(ApiError::NotFound(_)) => "not-found",
            Err(error) => return Err(error),
        };
        results.insert(id.as_str(), result);
    }
    Ok(HttpResponse::Ok().json(ExpungedOut { results }))
}

/// Removes what the receiver answered to one attempt.
pub(super) async fn expunge_attempt(
    api: web::Data<Api>,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse> {
    let (app, name, attempt) = path.into_inner();
    let missing = || ApiError::NotFound("attempt");
    let attempt: AttemptId = attempt.parse().map_err(|_| missing())?;
    let app = api.configuration(&app).await?.application.id;
    let message = api.find_message(app, &name).await?.header.id;
    match api.store.expunge_responses(app, message, Some(attempt)).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(missing()),
    }
}
