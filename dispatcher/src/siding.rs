//! The siding: a thread beside the workers for attempts at endpoints that are not proven.
//!
//! They come in bursts: when two thousand receivers begin to hang at once, hundreds of connections
//! are opened in one moment, and what a receiver holds back it can let go in one moment too. On a
//! worker all of it would stand in one line with the work of the healthy; on a thread of its own it
//! has what the healthy leave of the processor, and a tenth where they would leave nothing. An
//! endpoint moves to its worker, and to a connection there, when it has answered well. One with limits
//! stays on its worker: they count the moments at which attempts start.

use std::sync::Arc;

use actix::ArbiterHandle;
use tokio::{
    sync::Semaphore,
    time::{Duration, sleep},
};

use crate::{connector::Connector, errands::Thread};

/// Attempts that begin at the same time…
const STARTS: usize = 12;
/// …as which one counts for so long, unless it has ended before.
const START: Duration = Duration::from_millis(4);

/// What the siding's thread is nicer than others by, of 19: where they want the whole processor it gets
/// about a tenth of what each of them does.
const NICE: i32 = 10;

/// Makes this thread, and on Linux only this thread, wait for the others where all want to run.
pub(crate) fn let_others_go_first() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::warn!(%error, "bursts of first attempts have the priority of all other work");
    }
}

/// The thread, with the connector that lives on it.
#[derive(Clone)]
pub(crate) struct Siding {
    thread: Thread,
    connector: Arc<Connector>,
    starts: Arc<Semaphore>,
}

impl Siding {
    pub(crate) fn new(arbiter: ArbiterHandle, connector: Arc<Connector>) -> Self {
        Self { thread: Thread::of(arbiter), connector, starts: Arc::new(Semaphore::new(STARTS)) }
    }

    /// Makes an attempt there, as soon as it is its turn: few begin at a time, so that the burst
    /// reaches neither the processor nor the network in one moment.
    pub(crate) fn run<F>(&self, attempt: impl FnOnce(Arc<Connector>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        let me = self.clone();
        // Once the thread has stopped the process ends too.
        self.thread.run(move || {
            actix_rt::spawn(async move {
                let start = me.starts.acquire().await;
                let attempt = attempt(Arc::clone(&me.connector));
                tokio::pin!(attempt);
                tokio::select! {
                    () = &mut attempt => return,
                    () = sleep(START) => {}
                }
                drop(start);
                attempt.await;
            });
        });
    }
}
