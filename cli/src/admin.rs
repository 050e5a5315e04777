//! The operators' server: metrics, liveness, readiness. It never serves the API.

use std::{io, net::SocketAddr, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer,
    dev::{Server, ServerHandle},
    http::header::ContentType,
    web::{self, Data},
};
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

/// Binds. One thread is enough for those who look.
pub(crate) fn bind(
    address: SocketAddr,
    metrics: Registry,
    readiness: Readiness,
) -> io::Result<Admin> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::new(metrics.clone()))
            .app_data(Data::new(readiness.clone()))
            .route("/metrics", web::get().to(show_metrics))
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
