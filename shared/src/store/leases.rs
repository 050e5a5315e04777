//! Leases: who owns which lane.
//!
//! A lease gives liveness, its epoch gives safety. No wall clock decides: a contender takes a lease
//! that it saw unchanged for one TTL on its own monotonic clock, and every write of an owner is fenced
//! by equality of owner and epoch.

use std::{fmt, str::FromStr, sync::Arc};

use super::Result;
use crate::placement::Lane;

/// A dispatcher process: its host and a random incarnation. At most 64 visible ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Owner(Arc<str>);

impl Owner {
    /// An owner with this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Grows with each change of owner: max(old + 1, the store's time in milliseconds).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Epoch(pub u64);

impl FromStr for Epoch {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What fences an owner's calls.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fence {
    /// The lane.
    pub lane: Lane,
    /// Who calls.
    pub owner: Owner,
    /// The epoch that the lease was acquired with.
    pub epoch: Epoch,
}

/// A lease as it stands in the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// Who holds it; `None` once it was released.
    pub owner: Option<Owner>,
    /// Its epoch.
    pub epoch: Epoch,
    /// Grows with each renewal.
    pub renewal: u64,
}

/// A sign of life: a number that grows while the node lives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beat {
    /// The node.
    pub owner: Owner,
    /// Its count.
    pub count: u64,
}

/// Who owns which lane.
#[async_trait::async_trait]
pub trait Leases: Send + Sync {
    /// Counts one sign of life of this node, and answers those of all nodes, its own included.
    async fn heartbeat(&self, owner: &Owner) -> Result<Vec<Beat>>;

    /// Removes a node that left or died.
    async fn forget_node(&self, owner: &Owner) -> Result<()>;

    /// The leases of these lanes, in order; `None` where nobody ever held one.
    async fn leases(&self, lanes: &[Lane]) -> Result<Vec<Option<Lease>>>;

    /// Takes a lane, if its lease is still exactly as the caller saw it (`None`: there was none).
    /// The caller decides that a held lease has expired.
    ///
    /// MUST give the lease to at most one of several contenders, with an epoch greater than all
    /// before. A repeated call of the winner answers the epoch that it won.
    async fn acquire(
        &self,
        lane: Lane,
        owner: &Owner,
        seen: Option<&Lease>,
    ) -> Result<Option<Epoch>>;

    /// Renews leases; for each, whether it is still held. MUST NOT revive a lease that somebody else
    /// took, that was released, or that is missing.
    async fn renew(&self, fences: &[Fence]) -> Result<Vec<bool>>;

    /// Gives a lane up and keeps its epoch; does nothing if it is no longer held.
    async fn release(&self, fence: &Fence) -> Result<()>;
}
