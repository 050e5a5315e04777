//! Health: what must be alive for a process to be ready.

use std::{fmt, sync::Arc};

/// Something that must be alive: an actor, a listener.
#[derive(Clone)]
pub struct Probe {
    /// What it is, for people.
    pub name: String,
    check: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Probe {
    /// A probe that asks `check`; its error says what is wrong.
    pub fn new(
        name: impl Into<String>,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), check: Arc::new(check) }
    }

    /// Asks. Cheap, and never blocks.
    pub fn check(&self) -> Result<(), String> {
        (self.check)()
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("name", &self.name).finish_non_exhaustive()
    }
}
