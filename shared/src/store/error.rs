//! Errors of the store. Whether to repeat a call is a property of the kind.

use std::fmt;

/// Result of a call to the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A definite no: nothing was written, a later try may succeed.
    Unavailable,
    /// The answer was lost: the call may have happened. Every call is safe to repeat.
    Ambiguous,
    /// A definite no: the store has no room for new work. Settling still goes on.
    Full,
    /// The caller no longer owns the lane. It must stop serving it.
    Fenced,
    /// Somebody else changed the document first: read it again.
    Conflict,
    /// A record that cannot be read.
    Corrupt,
    /// Settings that cannot work, or do not keep the promised durability.
    Misconfigured,
    /// A cursor that is none of this list.
    NoPlace,
}

impl ErrorKind {
    /// Whether the same call may succeed later.
    pub const fn is_transient(self) -> bool {
        match self {
            Self::Unavailable | Self::Ambiguous | Self::Full => true,
            Self::Fenced | Self::Conflict | Self::Corrupt | Self::Misconfigured | Self::NoPlace => {
                false
            }
        }
    }

    /// All kinds, for metrics that start at zero.
    pub const ALL: [Self; 8] = [
        Self::Unavailable,
        Self::Ambiguous,
        Self::Full,
        Self::Fenced,
        Self::Conflict,
        Self::Corrupt,
        Self::Misconfigured,
        Self::NoPlace,
    ];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Ambiguous => "ambiguous",
            Self::Full => "full",
            Self::Fenced => "fenced",
            Self::Conflict => "conflict",
            Self::Corrupt => "corrupt",
            Self::Misconfigured => "misconfigured",
            Self::NoPlace => "no_place",
        }
    }
}

/// A failed call.
#[derive(Debug)]
pub struct StoreError {
    kind: ErrorKind,
    what: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// A failure that has no deeper cause. `what` says what was tried, or what to do.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), source: None }
    }

    /// A failure with its cause.
    pub fn caused_by(
        kind: ErrorKind,
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { kind, what: what.into(), source: Some(source.into()) }
    }

    /// Why it failed.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.kind.name())?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
