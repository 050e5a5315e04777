//! Content that was sent or answered by mistake: removed at once, everywhere. That it was there stays.

use actix_web::{HttpResponse, web};
use shared::{
    id::AttemptId,
    store::{ErrorKind, StoreError},
};

use super::Api;
use crate::error::{ApiError, Result};

/// Removes the payload of a message, its headers, and what receivers answered to it. Deliveries that
/// are open end as dead letters.
pub(super) async fn expunge_message(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let (app, name) = path.into_inner();
    let app = api.configuration(&app).await?.application.id;
    let message = api.find_message(app, &name).await?;
    let id = message.header.id;
    if !message.header.options.expunged {
        let record = message.expunged().encode().map_err(|error| {
            StoreError::caused_by(ErrorKind::Corrupt, "the message cannot be encoded", error)
        })?;
        if !api.store.expunge(app, id, record).await? {
            return Err(ApiError::NotFound("message"));
        }
    }
    // Also when the first was done before: that call may have broken off here.
    api.store.expunge_responses(app, id, None).await?;
    Ok(HttpResponse::NoContent().finish())
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
