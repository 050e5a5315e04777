//! What is logged of what endpoints and their data can bring about, each kind within its quota.

/// A kind of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Line {
    /// An attempt failed.
    Attempt,
    /// A breaker opened or closed.
    Breaker,
    /// A configuration cannot be loaded.
    Configuration,
    /// A record cannot be read.
    Record,
    /// What is secret of an endpoint cannot be read.
    Secret,
    /// A call of the store failed.
    Store,
}

impl Line {
    pub(crate) const ALL: [Self; 6] = [
        Self::Attempt,
        Self::Breaker,
        Self::Configuration,
        Self::Record,
        Self::Secret,
        Self::Store,
    ];

    /// The name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Breaker => "breaker",
            Self::Configuration => "configuration",
            Self::Record => "record",
            Self::Secret => "secret",
            Self::Store => "store",
        }
    }
}
