//! The operators' server: metrics, destinations, liveness, readiness. It never serves the API.

use std::{io, net::SocketAddr, time::Duration};

use actix_web::{
    App, HttpResponse, HttpResponseBuilder, HttpServer,
    dev::{Server, ServerHandle},
    http::header::ContentType,
    web::{self, Data},
};
use dispatcher::{Destinations, Query};
use prometheus::{Registry, TextEncoder};

use crate::readiness::Readiness;

/// A bound server. It serves while its [`Server`] is awaited.
pub(crate) struct Admin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Stops it.
    pub(crate) handle: ServerHandle,
    /// Ends when it was stopped, or when it died.
    pub(crate) server: Server,
}

/// What it shows.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) metrics: Registry,
    pub(crate) readiness: Readiness,
    /// `None` in a process that delivers nothing.
    pub(crate) destinations: Option<Destinations>,
}

/// Binds. One thread is enough for those who look.
pub(crate) fn bind(address: SocketAddr, shown: Shown) -> io::Result<Admin> {
    let server = HttpServer::new(move || {
        let Shown { metrics, readiness, destinations } = shown.clone();
        App::new()
            .app_data(Data::new(metrics))
            .app_data(Data::new(readiness))
            .app_data(Data::new(destinations))
            .route("/metrics", web::get().to(show_metrics))
            .route("/destinations", web::get().to(show_destinations))
            .route("/livez", web::get().to(alive))
            .route("/readyz", web::get().to(ready))
    })
    .workers(1)
    .disable_signals()
    .client_request_timeout(Duration::from_secs(5))
    .bind(address)?;
    let address = server.addrs().first().copied().unwrap_or(address);
    let server = server.run();
    Ok(Admin { address, handle: server.handle(), server })
}

async fn show_metrics(metrics: Data<Registry>) -> HttpResponse {
    match TextEncoder::new().encode_to_string(&metrics.gather()) {
        Ok(text) => HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(text),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

async fn show_destinations(
    destinations: Data<Option<Destinations>>,
    query: Result<web::Query<Query>, actix_web::Error>,
) -> HttpResponse {
    let plain = |mut response: HttpResponseBuilder, text: String| {
        response.content_type(ContentType::plaintext()).body(text + "\n")
    };
    let Some(destinations) = destinations.as_ref() else {
        return plain(
            HttpResponse::NotFound(),
            "this process delivers nothing: ask a dispatcher".into(),
        );
    };
    let query = match query {
        Ok(query) => query.into_inner(),
        Err(error) => return plain(HttpResponse::BadRequest(), error.to_string()),
    };
    match destinations.page(query).await {
        Ok(page) => HttpResponse::Ok().json(page),
        Err(error) => plain(HttpResponse::BadRequest(), error.to_string()),
    }
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("alive\n")
}

async fn ready(readiness: Data<Readiness>) -> HttpResponse {
    let wrong = readiness.wrong();
    let (mut response, text) = if wrong.is_empty() {
        (HttpResponse::Ok(), "ready".to_owned())
    } else {
        (HttpResponse::ServiceUnavailable(), wrong.join("\n"))
    };
    response.content_type(ContentType::plaintext()).body(text + "\n")
}
