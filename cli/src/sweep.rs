//! Keeps the store from growing: has it remove what outlived its time.

use std::time::Duration;

use shared::store::SharedStore;
use tokio::time;

const WHILE_BUSY: Duration = Duration::from_secs(1);
const WHILE_IDLE: Duration = Duration::from_secs(30);

/// Sweeps until it is aborted. One call is bounded by the store; between calls it rests, so that
/// sweeping never takes more than a share of the store.
pub(crate) async fn run(store: SharedStore) {
    loop {
        let rest = match store.sweep().await {
            Ok(0) => WHILE_IDLE,
            Ok(removed) => {
                tracing::debug!(removed, "store.swept");
                WHILE_BUSY
            }
            Err(error) => {
                tracing::warn!(%error, "store.sweep_failed");
                WHILE_IDLE
            }
        };
        time::sleep(rest).await;
    }
}
