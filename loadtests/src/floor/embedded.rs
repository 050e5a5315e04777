//! The floor on the embedded store's engine, in one process: its log with an fsync before the answer.

use std::{net::SocketAddr, num::NonZeroUsize, path::Path, sync::Arc};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context;
use shared::store::embedded::Log;
use tokio::sync::{Notify, mpsc};

use super::{PAGE, Poster};

/// The log, and the news that something was appended.
struct Floor {
    log: Log,
    appended: Notify,
}

/// Serves until killed: posts each body to all `targets`, at most `max_in_flight` bodies at a time.
pub fn serve(
    listen: SocketAddr,
    directory: &Path,
    targets: &[String],
    max_in_flight: usize,
) -> anyhow::Result<()> {
    let floor = Arc::new(Floor { log: Log::open(directory)?, appended: Notify::new() });
    actix_web::rt::System::new().block_on(async {
        let data = web::Data::from(floor.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .route("/readyz", web::get().to(HttpResponse::Ok))
                .default_service(web::post().to(append))
        })
        .workers(std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
        .bind(listen)?
        .run();
        tokio::select! {
            ended = server => ended.context("the floor's server ended"),
            ended = deliver(&floor, targets, max_in_flight) => ended,
        }
    })
}

async fn append(body: web::Bytes, floor: web::Data<Floor>) -> HttpResponse {
    match floor.log.append(body).await {
        Ok(place) => {
            floor.appended.notify_one();
            HttpResponse::Accepted().json(serde_json::json!({ "id": place.to_string() }))
        }
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

async fn deliver(
    floor: &Arc<Floor>,
    targets: &[String],
    max_in_flight: usize,
) -> anyhow::Result<()> {
    let (poster, places) = Poster::new(targets, max_in_flight)?;
    let removing = tokio::spawn(remove(floor.clone(), places));
    let mut position = 0;
    while !removing.is_finished() {
        let page = floor.log.behind(position, PAGE)?;
        if page.is_empty() {
            // Keeps what was told since the look, so nothing is missed in between.
            floor.appended.notified().await;
        }
        for (place, body) in page {
            position = place;
            poster.begin(place, body).await?;
        }
    }
    removing.await?
}

/// Removes what was delivered, as many entries in one write as are waiting.
async fn remove(floor: Arc<Floor>, mut done: mpsc::Receiver<u64>) -> anyhow::Result<()> {
    let mut places = Vec::with_capacity(PAGE);
    while done.recv_many(&mut places, PAGE).await > 0 {
        floor.log.remove(std::mem::take(&mut places)).await?;
    }
    Ok(())
}
