//! File descriptors: whether this process may have as many as its settings need.

use std::{fs, sync::Arc};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{Config, connector::Idle};

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

/// How many connections may be kept while they are not used, in all.
fn most_idle(config: &Config) -> usize {
    config.max_in_flight
}

/// When so many connectors are to give up connections that are not used. What they open between two looks at
/// what is open, and what attempts need, is within what the settings need.
pub(crate) fn idle(config: &Config, connectors: usize) -> Idle {
    let most_open = most_idle(config) + RESERVE;
    Idle {
        unasked: most_idle(config).div_ceil(connectors),
        is_too_much: Arc::new(move || open().is_none_or(|open| open >= most_open)),
    }
}

/// How many descriptors this process has, where the system tells.
fn open() -> Option<usize> {
    ["/proc/self/fd", "/dev/fd"].iter().find_map(|all| Some(fs::read_dir(all).ok()?.count()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_counted() {
        let before = open().unwrap();
        let files: Vec<_> = (0..100).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        // Other tests open and close theirs.
        assert!(open().unwrap() + 50 > before + files.len(), "{before}");
    }
}
