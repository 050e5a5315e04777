//! Calls that must be answered: what was decided stays decided, however long the store is away.

use std::time::Duration;

use shared::store::Result;

use crate::metrics::Metrics;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Repeats a call until the store has answered it. Every call of the store is safe to repeat.
pub(crate) async fn until_answered<T>(
    metrics: &Metrics,
    what: &'static str,
    call: impl AsyncFn() -> Result<T>,
) -> T {
    let mut pause = FIRST_PAUSE;
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => {
                metrics.store_error(error.kind());
                tracing::warn!(what, %error, "store call failed, repeating");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
