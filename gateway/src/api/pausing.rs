//! Pausing and resuming: while an endpoint, or its application, is paused, messages are accepted and
//! wait, and nothing is sent. A change of the configuration nudges the lanes that serve it, so both
//! take effect at once.

use actix_web::{HttpResponse, web};
use shared::{
    domain::{Application, Endpoint},
    store::Change,
    time::Millis,
};

use super::{Api, application::ApplicationOut, endpoint::EndpointOut, find_endpoint};
use crate::error::Result;

pub(super) async fn pause_application(
    api: web::Data<Api>,
    path: web::Path<String>,
) -> Result<HttpResponse> {
    let application = set_application(&api, &path, true).await?;
    Ok(HttpResponse::Ok().json(ApplicationOut::from(&application)))
}

pub(super) async fn resume_application(
    api: web::Data<Api>,
    path: web::Path<String>,
) -> Result<HttpResponse> {
    let application = set_application(&api, &path, false).await?;
    Ok(HttpResponse::Ok().json(ApplicationOut::from(&application)))
}

pub(super) async fn pause_endpoint(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let endpoint = set_endpoint(&api, path.into_inner(), true).await?;
    Ok(HttpResponse::Ok().json(EndpointOut::from(&endpoint)))
}

pub(super) async fn resume_endpoint(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let endpoint = set_endpoint(&api, path.into_inner(), false).await?;
    Ok(HttpResponse::Ok().json(EndpointOut::from(&endpoint)))
}

async fn set_application(api: &Api, app: &str, paused: bool) -> Result<Application> {
    api.change(app, |configuration| {
        let mut application = configuration.application.clone();
        if application.settings.paused == paused {
            return Ok((vec![], application));
        }
        application.settings.paused = paused;
        application.updated_at = Millis::now();
        Ok((vec![Change::PutApplication(application.clone())], application))
    })
    .await
}

async fn set_endpoint(api: &Api, (app, name): (String, String), paused: bool) -> Result<Endpoint> {
    api.change(&app, |configuration| {
        let mut endpoint = Endpoint::clone(find_endpoint(configuration, &name)?);
        if endpoint.settings.paused == paused {
            return Ok((vec![], endpoint));
        }
        endpoint.settings.paused = paused;
        endpoint.updated_at = Millis::now();
        Ok((vec![Change::PutEndpoint(endpoint.clone())], endpoint))
    })
    .await
}
