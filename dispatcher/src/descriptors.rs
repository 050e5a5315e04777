//! File descriptors: whether this process may have as many as its settings need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Config;

/// For the store, the API, and whatever else the process has open.
const RESERVE: usize = 1024;

/// There are too few.
#[derive(Debug, thiserror::Error)]
#[error(
    "dispatcher.max_in_flight = {in_flight} needs {needed} file descriptors, and this process may have \
     {most}: raise the limit (`ulimit -n`, LimitNOFILE=) or lower the setting"
)]
pub struct TooFew {
    in_flight: usize,
    needed: usize,
    most: usize,
}

/// How many connections are kept while they are not used, in all.
pub(crate) fn most_idle(config: &Config) -> usize {
    config.max_in_flight
}

/// File descriptors that the settings need, and those that this process may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// What the settings need.
    pub needed: usize,
    /// The soft limit; `None`: none.
    pub soft: Option<u64>,
    /// The hard limit, to which the soft one is raised; `None`: none.
    pub hard: Option<u64>,
}

/// Compares need and limits, and changes nothing.
///
/// # Errors
/// If even the hard limit is too low.
pub fn descriptors(config: &Config) -> Result<Descriptors, TooFew> {
    // An attempt has a connection, or before that two questions to name servers.
    let needed = 2 * config.max_in_flight + most_idle(config) + RESERVE;
    let limit = getrlimit(Resource::Nofile);
    let found = Descriptors { needed, soft: limit.current, hard: limit.maximum };
    match found.suffices(found.hard) {
        true => Ok(found),
        false => Err(found.too_few(config)),
    }
}

/// Raises the soft limit where it is too low and may be raised.
pub(crate) fn ensure(config: &Config) -> Result<(), TooFew> {
    let found = descriptors(config)?;
    let raised = Rlimit { current: found.hard, maximum: found.hard };
    if found.suffices(found.soft) || setrlimit(Resource::Nofile, raised).is_ok() {
        return Ok(());
    }
    Err(found.too_few(config))
}

impl Descriptors {
    fn suffices(&self, limit: Option<u64>) -> bool {
        limit.is_none_or(|limit| limit >= self.needed as u64)
    }

    fn too_few(&self, config: &Config) -> TooFew {
        let most = self.hard.map_or(usize::MAX, |most| most as usize);
        TooFew { in_flight: config.max_in_flight, needed: self.needed, most }
    }
}
