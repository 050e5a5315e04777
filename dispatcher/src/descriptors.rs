//! File descriptors: whether this process may have as many as its settings need.

use rustix::process::{Resource, getrlimit, setrlimit};

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

/// Raises the soft limit where it is too low and may be raised.
pub(crate) fn ensure(config: &Config) -> Result<(), TooFew> {
    // An attempt has a connection, or before that two questions to name servers.
    let needed = 2 * config.max_in_flight + most_idle(config) + RESERVE;
    let mut limit = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= needed as u64);
    if enough(limit.current) {
        return Ok(());
    }
    let most = limit.maximum;
    limit.current = most;
    if enough(most) && setrlimit(Resource::Nofile, limit).is_ok() {
        return Ok(());
    }
    let most = most.map_or(usize::MAX, |most| most as usize);
    Err(TooFew { in_flight: config.max_in_flight, needed, most })
}
