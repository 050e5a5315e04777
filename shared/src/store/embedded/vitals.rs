//! What the engine tells of itself.

use std::sync::atomic::Ordering;

use super::{Core, inspection::free_bytes, unreadable};
use crate::store::{Result, Vital, Vitals};

impl Core {
    /// Its clock is this machine's, so it has none to tell.
    pub(super) fn vitals(&self) -> Result<Vitals> {
        self.usable()?;
        let inner = self.db.inner();
        let size = self.db.disk_space().map_err(unreadable)?;
        let vitals = vec![
            Vital::gauge(
                "sluicegate_embedded_size_bytes",
                "Size of the store's files",
                size as f64,
            ),
            Vital::gauge(
                "sluicegate_embedded_disk_free_bytes",
                "Room on the store's disk",
                free_bytes(&self.directory)? as f64,
            ),
            Vital::counter(
                "sluicegate_embedded_compactions_total",
                "Compactions that have ended",
                inner.compactions_completed() as u64,
            ),
            Vital::gauge(
                "sluicegate_embedded_compactions_active",
                "Compactions under way",
                inner.active_compactions() as f64,
            ),
            Vital::gauge(
                "sluicegate_embedded_journals",
                "Journal files",
                self.db.journal_count() as f64,
            ),
            Vital::gauge(
                "sluicegate_embedded_sweep_lag_seconds",
                "How long ago the time of the oldest record was over that is still to be removed",
                self.sweep_lag_ms.load(Ordering::Relaxed) as f64 / 1000.0,
            ),
        ];
        Ok(Vitals { clock: None, vitals })
    }
}
