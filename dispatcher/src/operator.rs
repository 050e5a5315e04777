//! The operator is told what happens to endpoints and their messages, by a task of its own: whoever
//! notices something never waits for the store. What does not fit into the queue is dropped and counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use shared::{
    operational::{self, Bulletin, Occurrence},
    store::SharedStore,
};
use tokio::sync::mpsc;

use crate::{metrics::Metrics, persist::until_refused};

/// Occurrences that may wait.
const QUEUE: usize = 1024;
/// Occurrences in one call.
const BATCH: usize = 64;
/// Between two looks whether all is told.
const LOOK: Duration = Duration::from_millis(5);

/// The end of the queue where occurrences are put.
#[derive(Debug)]
pub(crate) struct Operator {
    queue: mpsc::Sender<Occurrence>,
    /// Put in and not yet published.
    untold: Arc<AtomicUsize>,
    metrics: Metrics,
}

impl Operator {
    /// Starts the task. It ends when nobody can tell anything any more.
    pub(crate) fn start(store: SharedStore, metrics: Metrics) -> Self {
        let (queue, occurrences) = mpsc::channel(QUEUE);
        let untold = Arc::new(AtomicUsize::new(0));
        actix_rt::spawn(run(occurrences, store, metrics.clone(), Arc::clone(&untold)));
        Self { queue, untold, metrics }
    }

    /// Tells what happened. Of the operator's own endpoints nothing is told.
    pub(crate) fn tell(&self, occurrence: Occurrence) {
        if occurrence.destination.app == operational::APPLICATION {
            return;
        }
        self.untold.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(occurrence).is_err() {
            self.untold.fetch_sub(1, Ordering::Relaxed);
            self.metrics.told(Told::Dropped, 1);
        }
    }

    /// Waits until all is told.
    pub(crate) async fn all_told(&self) {
        while self.untold.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What became of what was to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is a message.
    Published,
    /// Too much waited already.
    Dropped,
    /// The store refused it.
    Refused,
}

impl Told {
    pub(crate) const ALL: [Self; 3] = [Self::Published, Self::Dropped, Self::Refused];

    /// The name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
        }
    }
}

async fn run(
    mut occurrences: mpsc::Receiver<Occurrence>,
    store: SharedStore,
    metrics: Metrics,
    untold: Arc<AtomicUsize>,
) {
    let bulletin = Bulletin::new(store);
    let mut batch = Vec::with_capacity(BATCH);
    while occurrences.recv_many(&mut batch, BATCH).await > 0 {
        let publish = async || bulletin.publish(&batch).await;
        match until_refused(&metrics, "publish operational events", publish).await {
            Ok(published) => metrics.told(Told::Published, published),
            // Said and counted where it was refused.
            Err(_) => metrics.told(Told::Refused, batch.len()),
        }
        untold.fetch_sub(batch.len(), Ordering::Relaxed);
        batch.clear();
    }
}
