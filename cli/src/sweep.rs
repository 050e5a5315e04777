//! Keeps the store from growing: has it remove what outlived its time.

use std::time::Duration;

use shared::store::{Result, SharedStore, Swept};
use tokio::time::{self, Instant};

/// From when nothing was left to the next look.
const ALL_GONE: Duration = Duration::from_secs(1);
const FAILED: Duration = Duration::from_secs(30);

/// Sweeps until it is aborted. One call is bounded by the store.
pub(crate) async fn run(store: SharedStore) {
    loop {
        let began = Instant::now();
        let outcome = store.sweep().await;
        if let Err(error) = &outcome {
            tracing::warn!(%error, "store.sweep_failed");
        }
        time::sleep(rest(&outcome, began.elapsed())).await;
    }
}

/// Until the next call. Where there is more to remove, it waits for half of what this one took: so
/// sweeping leaves a third of the store at least, and still follows what two busy cores take in.
fn rest(outcome: &Result<Swept>, took: Duration) -> Duration {
    match outcome {
        Ok(Swept::Part) => took / 2,
        Ok(Swept::All) => ALL_GONE,
        Err(_) => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use shared::store::{ErrorKind, StoreError};

    use super::*;

    const TOOK: Duration = Duration::from_millis(2);

    #[test]
    fn what_is_left_waits_for_half_of_what_removing_a_part_took() {
        assert_eq!(rest(&Ok(Swept::Part), TOOK), TOOK / 2);
    }

    #[test]
    fn a_store_that_is_clean_or_fails_is_left_alone() {
        assert_eq!(rest(&Ok(Swept::All), TOOK), ALL_GONE);
        let failed = StoreError::new(ErrorKind::Unavailable, "no");
        assert_eq!(rest(&Err(failed), TOOK), FAILED);
    }
}
