//! The floor over Redis, in two processes: one appends to a stream, the other reads it and deletes.

use std::{net::SocketAddr, num::NonZeroUsize};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use redis::{
    AsyncCommands, AsyncConnectionConfig, Client,
    aio::MultiplexedConnection,
    streams::{StreamId, StreamReadOptions, StreamReadReply},
};
use tokio::sync::mpsc;

use super::{PAGE, Poster};

const STREAM: &str = "floor";

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
        .context("the floor's server ended")
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

/// Serves the second half until killed: posts each body to all `targets`, at most `max_in_flight`
/// bodies at a time.
pub async fn serve_dispatcher(
    redis: &str,
    targets: &[String],
    max_in_flight: usize,
) -> anyhow::Result<()> {
    let mut reader = connect(redis).await?;
    let (poster, ids) = Poster::new(targets, max_in_flight)?;
    let deleting = tokio::spawn(delete(connect(redis).await?, ids));
    let options = StreamReadOptions::default().block(1000).count(PAGE);
    let mut position = "0".to_owned();
    while !deleting.is_finished() {
        let reply: Option<StreamReadReply> =
            reader.xread_options(&[STREAM], &[&position], &options).await?;
        let entries = reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        for StreamId { id, map, .. } in entries {
            position.clone_from(&id);
            if let Some(redis::Value::BulkString(body)) = map.into_values().next() {
                poster.begin(id, body.into()).await?;
            }
        }
    }
    deleting.await?
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
