//! Calls that must be answered: what was decided stays decided, however long the store is away.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use shared::store::{ErrorKind, Result, StoreError};

use crate::metrics::Metrics;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The pauses between repeated calls.
pub(crate) struct Pauses(Duration);

impl Pauses {
    pub(crate) fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    /// Waits, twice as long each time.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

/// A call whose panic is an answer too: the store refuses it, because of something that it cannot
/// read. Who waits for the answer would otherwise wait for ever.
pub(crate) async fn survived<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    let panicked = |_| Err(StoreError::new(ErrorKind::Corrupt, "the call panicked"));
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(panicked)
}

/// Repeats a call until the store has answered it. Every call of the store is safe to repeat.
pub(crate) async fn until_answered<T>(
    metrics: &Metrics,
    what: &'static str,
    call: impl AsyncFn() -> Result<T>,
) -> T {
    let mut pauses = Pauses::new();
    loop {
        match survived(call()).await {
            Ok(answer) => return answer,
            Err(error) => note(metrics, what, &error),
        }
        pauses.pause().await;
    }
}

/// Repeats a call until the store has answered it, or has refused it: it would do so again.
pub(crate) async fn until_refused<T>(
    metrics: &Metrics,
    what: &'static str,
    call: impl AsyncFn() -> Result<T>,
) -> Result<T> {
    let mut pauses = Pauses::new();
    loop {
        match survived(call()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => {
                note(metrics, what, &error);
                if !error.kind().is_transient() {
                    return Err(error);
                }
            }
        }
        pauses.pause().await;
    }
}

/// What came of a call that was made in parts where the store refused all of it.
pub(crate) struct Parted<T, A> {
    /// What was answered, with the answers; `None`: fenced.
    pub(crate) answered: Option<Vec<(T, A)>>,
    /// What the store refuses also by itself.
    pub(crate) refused: Vec<T>,
}

/// Makes a call until the store has answered it. Where it refuses, one call is made for each part of
/// the batch, so that what it cannot read holds up nothing but itself.
pub(crate) async fn in_parts<T, A>(
    metrics: &Metrics,
    what: &'static str,
    batch: Vec<T>,
    divide: impl Fn(Vec<T>) -> Vec<Vec<T>>,
    call: impl AsyncFn(&[T]) -> Result<Option<Vec<A>>>,
) -> Parted<T, A> {
    let (mut answered, mut refused) = (Vec::with_capacity(batch.len()), Vec::new());
    let mut batches = vec![batch];
    let mut divided = false;
    while let Some(batch) = batches.pop() {
        match until_refused(metrics, what, async || call(&batch).await).await {
            Ok(None) => return Parted { answered: None, refused },
            Ok(Some(answers)) => answered.extend(batch.into_iter().zip(answers)),
            Err(_) if divided => refused.extend(batch),
            Err(_) => {
                divided = true;
                batches = divide(batch);
                batches.reverse();
                if let [_] = batches.as_slice() {
                    refused.extend(batches.remove(0));
                }
            }
        }
    }
    Parted { answered: Some(answered), refused }
}

fn note(metrics: &Metrics, what: &'static str, error: &StoreError) {
    metrics.store_error(error.kind());
    tracing::warn!(what, %error, "store call failed, repeating");
}
