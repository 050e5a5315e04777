//! The writer: takes what is waiting and publishes it in one call, one call after the other.
//!
//! There is no timer. While a call is under way the next batch grows, so batches are as large as the
//! store is slow, and a lone message waits for nobody.

use std::{sync::Arc, time::Instant};

use shared::store::{ErrorKind, MAX_FAN_OUT, Publication, Published, SharedStore, StoreError};
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::{ApiError, Result},
    metrics::Metrics,
};

/// How many messages may wait for the writer.
const QUEUE: usize = 4096;
/// Most messages in one call.
const MAX_MESSAGES: usize = 64;
/// Most bytes of records in one call, unless one message alone is larger.
const MAX_BYTES: usize = 1024 * 1024;

/// The end of the queue where requests put their publications.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Job>,
}

struct Job {
    publication: Publication,
    answer: oneshot::Sender<std::result::Result<Published, ErrorKind>>,
}

impl Writer {
    /// Starts the writer on this thread's runtime. It ends with the last clone of its handle.
    pub(crate) fn start(store: SharedStore, metrics: Metrics) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(run(jobs, store, metrics));
        Self { queue }
    }

    /// Publishes; fails at once if too many wait already.
    pub(crate) async fn write(&self, publication: Publication) -> Result<Published> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Job { publication, answer }).map_err(|_| ApiError::Overloaded)?;
        // A call that ended without an answer may have happened.
        let result = answered.await.unwrap_or(Err(ErrorKind::Ambiguous));
        result.map_err(|kind| StoreError::new(kind, "the message cannot be stored").into())
    }
}

async fn run(mut jobs: mpsc::Receiver<Job>, store: SharedStore, metrics: Metrics) {
    let mut left_over = None;
    loop {
        let first = match left_over.take() {
            Some(job) => job,
            None => match jobs.recv().await {
                Some(job) => job,
                None => return,
            },
        };
        let (batch, over) = take_waiting(first, &mut jobs);
        left_over = over;
        let (store, metrics) = (Arc::clone(&store), metrics.clone());
        // A task of its own: should it panic, its messages have no answer, and all others go on.
        let _ = tokio::spawn(async move { call(batch, &store, &metrics).await }).await;
    }
}

/// The first job and those that wait behind it, as far as one call may carry them; and the one that
/// was taken from the queue but fits no more.
fn take_waiting(first: Job, jobs: &mut mpsc::Receiver<Job>) -> (Vec<Job>, Option<Job>) {
    let (mut bytes, mut targets) = size(&first);
    let mut batch = vec![first];
    while batch.len() < MAX_MESSAGES {
        let Ok(job) = jobs.try_recv() else { break };
        let (more_bytes, more_targets) = size(&job);
        bytes += more_bytes;
        targets += more_targets;
        if bytes > MAX_BYTES || targets > MAX_FAN_OUT {
            return (batch, Some(job));
        }
        batch.push(job);
    }
    (batch, None)
}

fn size(job: &Job) -> (usize, usize) {
    (job.publication.record.len(), job.publication.targets.len())
}

async fn call(batch: Vec<Job>, store: &SharedStore, metrics: &Metrics) {
    let (publications, answers): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|job| (job.publication, job.answer)).unzip();
    let started = Instant::now();
    let result = store.publish(publications).await;
    metrics.batch(answers.len(), started.elapsed());
    match result {
        Ok(published) => {
            for (answer, published) in answers.into_iter().zip(published) {
                // The request may have gone away: its message is stored all the same.
                let _ = answer.send(Ok(published));
            }
        }
        Err(error) => {
            tracing::warn!(messages = answers.len(), %error, "publish.failed");
            metrics.batch_error(error.kind());
            for answer in answers {
                let _ = answer.send(Err(error.kind()));
            }
        }
    }
}
