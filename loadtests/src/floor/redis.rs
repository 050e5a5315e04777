//! The floor: the least that a gateway over Redis can do, on the libraries that Sluicegate uses.
//!
//! One process takes a POST, appends its body to a stream and answers 202; another reads the
//! stream, posts each body to one URL and deletes the entry. No authentication, checks, fan-out,
//! signatures, retries, limits, leases or history: what Sluicegate costs beyond this is the price
//! of its features. It must never grow any.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use bytes::Bytes;
use redis::{
    AsyncCommands, AsyncConnectionConfig, Client,
    aio::MultiplexedConnection,
    streams::{StreamId, StreamReadOptions, StreamReadReply},
};
use reqwest::header::{CONTENT_TYPE, HeaderName};
use tokio::sync::{Semaphore, mpsc};

const STREAM: &str = "pipe";
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const PAGE: usize = 512;

/// A connection whose commands, from however many tasks, travel in pipelines.
async fn connect(redis: &str) -> anyhow::Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let client = Client::open(redis)?;
    client.get_multiplexed_async_connection_with_config(&config).await.context("no Redis")
}

/// Serves the first half until killed.
pub fn serve_gateway(listen: SocketAddr, redis: &str) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let connection = connect(redis).await?;
        HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(connection.clone()))
                .route("/readyz", web::get().to(HttpResponse::Ok))
                .default_service(web::post().to(append))
        })
        .workers(std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
        .bind(listen)?
        .run()
        .await
        .context("the pipe's server ended")
    })
}

async fn append(body: web::Bytes, connection: web::Data<MultiplexedConnection>) -> HttpResponse {
    let mut connection = MultiplexedConnection::clone(&connection);
    let fields = [("b", &body[..])];
    match connection.xadd::<_, _, _, _, String>(STREAM, "*", &fields).await {
        Ok(id) => HttpResponse::Accepted().json(serde_json::json!({ "id": id })),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

/// Serves the second half until killed: posts each body to `target`, at most `max_in_flight` at a
/// time.
pub async fn serve_dispatcher(
    redis: &str,
    target: &str,
    max_in_flight: usize,
) -> anyhow::Result<()> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .timeout(Duration::from_secs(15))
        .build()?;
    let mut reader = connect(redis).await?;
    let (done, ids) = mpsc::channel(max_in_flight);
    let deleting = tokio::spawn(delete(connect(redis).await?, ids));
    let credits = Arc::new(Semaphore::new(max_in_flight));
    let options = StreamReadOptions::default().block(1000).count(PAGE);
    let mut position = "0".to_owned();
    while !deleting.is_finished() {
        let reply: Option<StreamReadReply> =
            reader.xread_options(&[STREAM], &[&position], &options).await?;
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        for StreamId { id, map, .. } in entries {
            position.clone_from(&id);
            let Some(redis::Value::BulkString(body)) = map.into_values().next() else {
                continue;
            };
            let credit = credits.clone().acquire_owned().await?;
            let (client, target, done) = (client.clone(), target.to_owned(), done.clone());
            tokio::spawn(async move {
                if post(&client, &target, &id, body.into()).await {
                    let _ = done.send(id).await;
                }
                drop(credit);
            });
        }
    }
    deleting.await?
}

async fn post(client: &reqwest::Client, target: &str, id: &str, body: Bytes) -> bool {
    let request =
        client.post(target).header(WEBHOOK_ID, id).header(CONTENT_TYPE, "application/json");
    match request.body(body).send().await {
        // The body is read so that the connection can be used again.
        Ok(response) => response.status().is_success() && response.bytes().await.is_ok(),
        Err(_) => false,
    }
}

/// Deletes what was delivered, as many entries in one command as are waiting.
async fn delete(
    mut connection: MultiplexedConnection,
    mut done: mpsc::Receiver<String>,
) -> anyhow::Result<()> {
    let mut ids = Vec::with_capacity(PAGE);
    while done.recv_many(&mut ids, PAGE).await > 0 {
        let _: usize = connection.xdel(STREAM, &ids).await?;
        ids.clear();
    }
    Ok(())
}
