//! The floor: the least that a gateway on this store can do, on the libraries that Sluicegate uses.
//!
//! It takes a POST, appends the body, answers 202, posts the body to its targets, and removes the
//! entry. No authentication, checks, subscriptions, signatures, retries, limits, leases or history:
//! what Sluicegate costs beyond this is the price of its features. It must never grow any.

pub mod embedded;
pub mod redis;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use reqwest::{
    Client,
    header::{CONTENT_TYPE, HeaderName},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
/// Entries that are read, or removed, at once.
const PAGE: usize = 512;

/// Posts each body to all targets, at most so many bodies at a time.
struct Poster<I> {
    client: Client,
    targets: Arc<[String]>,
    credits: Arc<Semaphore>,
    /// Where entries go that every target has taken.
    done: mpsc::Sender<I>,
}

impl<I: ToString + Send + 'static> Poster<I> {
    fn new(targets: &[String], max_in_flight: usize) -> anyhow::Result<(Self, mpsc::Receiver<I>)> {
        let client = Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .timeout(Duration::from_secs(15))
            .build()?;
        let (done, ids) = mpsc::channel(max_in_flight);
        let credits = Arc::new(Semaphore::new(max_in_flight));
        Ok((Self { client, targets: targets.into(), credits, done }, ids))
    }

    /// Waits for room and begins to post.
    async fn begin(&self, id: I, body: Bytes) -> anyhow::Result<()> {
        let credit = self.credits.clone().acquire_owned().await?;
        let (client, targets, done) =
            (self.client.clone(), self.targets.clone(), self.done.clone());
        tokio::spawn(deliver(client, targets, done, id, body, credit));
        Ok(())
    }
}

async fn deliver<I: ToString>(
    client: Client,
    targets: Arc<[String]>,
    done: mpsc::Sender<I>,
    id: I,
    body: Bytes,
    _credit: OwnedSemaphorePermit,
) {
    let name = id.to_string();
    let posts = targets.iter().map(|target| post(&client, target, &name, body.clone()));
    if join_all(posts).await.into_iter().all(|accepted| accepted) {
        // The receiver is gone only when the process ends.
        let _ = done.send(id).await;
    }
}

async fn post(client: &Client, target: &str, id: &str, body: Bytes) -> bool {
    let request =
        client.post(target).header(WEBHOOK_ID, id).header(CONTENT_TYPE, "application/json");
    match request.body(body).send().await {
        // The body is read so that the connection can be used again.
        Ok(response) => response.status().is_success() && response.bytes().await.is_ok(),
        Err(_) => false,
    }
}
