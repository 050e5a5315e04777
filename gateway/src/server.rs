//! The HTTP server: its limits, its workers, and how it ends.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App, HttpServer,
    dev::ServerHandle,
    middleware::{Condition, NormalizePath, TrailingSlash, from_fn},
    web,
};
use shared::guard::Guard;
use shared::{health::Probe, operational::Bulletin, store::SharedStore};
use tokio::task::JoinHandle;

use crate::{
    access::{Access, cors},
    api::{Api, RetryBounds, routes},
    compress::compress,
    config::Config,
    error::ApiError,
    ingest::observe,
    metrics::Metrics,
    portal,
    publish::{Configurations, Publish, Writer},
    schema::Schemas,
};

/// How long an idle connection is kept: longer than common load balancers keep theirs.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a request's head may take to arrive.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long a client may take to close its end.
const DISCONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Upper bound of a graceful stop; [`Running::stop`] has a deadline of its own.
const SHUTDOWN_S: u64 = 300;

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<()>,
}

/// Binds and serves.
pub(crate) fn start(config: Config, store: SharedStore, metrics: Metrics) -> io::Result<Running> {
    let (listen, workers) = (config.listen, config.workers.max(1));
    let access = Access::start(&config, Arc::clone(&store), &metrics);
    let access = web::Data::new(access.map_err(io::Error::other)?);
    let api = web::Data::new(Api {
        store: Arc::clone(&store),
        secret_overlap: config.secret_overlap,
        guard: Guard::new(config.allow_cidr.clone()),
        longest_retention: config.longest_retention,
        bulletin: Bulletin::new(Arc::clone(&store)),
        keys: config.keys.clone(),
        schemas: Schemas::new(Arc::clone(&store)),
        retry_bounds: RetryBounds {
            schedule: config.retry_schedule.clone(),
            request_timeout: config.request_timeout,
            message_lifetime: config.message_lifetime,
        },
    });
    let quota_bytes = config.quota_bytes;
    let cors_origins = config.cors_origins.clone();
    let configurations = Configurations::new(Arc::clone(&store));
    let config = web::Data::new(config);
    // One for all workers, so that what they want to write shares calls.
    let writer = Writer::start(Arc::clone(&store), metrics.clone());

    let server = HttpServer::new(move || {
        let writer = writer.clone();
        let tracer = config.tracer.clone();
        let publish =
            Publish::new(configurations.clone(), writer, metrics.clone(), quota_bytes, tracer);
        App::new()
            .app_data(config.clone())
            .app_data(access.clone())
            .app_data(api.clone())
            .app_data(web::Data::new(publish))
            .app_data(web::Data::new(metrics.clone()))
            .app_data(
                web::QueryConfig::default()
                    .error_handler(|error, _| ApiError::query("query", error.to_string()).into()),
            )
            .app_data(
                web::PathConfig::default().error_handler(|_, _| ApiError::NotFound("path").into()),
            )
            .configure(routes)
            .configure(portal::routes)
            .wrap(NormalizePath::new(TrailingSlash::Trim))
            .wrap(from_fn(observe))
            // Around what writes the errors, which would otherwise replace a body that is said to be compressed.
            .wrap(from_fn(compress))
            .wrap(Condition::new(!cors_origins.is_empty(), cors(&cors_origins)))
    })
    .workers(workers)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_DEADLINE)
    .client_disconnect_timeout(DISCONNECT_DEADLINE)
    .shutdown_timeout(SHUTDOWN_S)
    .disable_signals()
    .bind(listen)?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    let server = server.run();
    let handle = server.handle();
    let task = tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "gateway.ended");
        }
    });
    tracing::info!(%address, workers, "gateway.listening");
    Ok(Running { address, handle, task })
}

impl Running {
    pub(crate) fn probe(&self) -> Probe {
        let task = self.task.abort_handle();
        Probe::new("gateway", move || match task.is_finished() {
            false => Ok(()),
            true => Err("the listener has ended".to_owned()),
        })
    }

    pub(crate) async fn stop(mut self, deadline: Duration) {
        let graceful = async {
            self.handle.stop(true).await;
            // Its errors were logged by the task itself.
            let _ = (&mut self.task).await;
        };
        if tokio::time::timeout(deadline, graceful).await.is_err() {
            tracing::warn!("gateway.stopped_late");
            self.task.abort();
        }
    }
}
