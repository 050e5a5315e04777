//! CPU time and memory of processes that may be killed and started again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::process::{cpu_time, memory};

/// What a process has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Used {
    /// CPU time since it is watched, over all its lives. What a killed process used after it was last
    /// looked at is missing.
    pub cpu: Duration,
    /// Bytes of memory that it holds now; 0 while it does not run.
    pub memory: u64,
}

/// What all of them have used at a moment, by name.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    pub(super) at: Instant,
    pub(super) processes: BTreeMap<String, Used>,
}

/// Looks at processes. Clones look at the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch {
    watched: Arc<Mutex<Watched>>,
}

#[derive(Debug, Default)]
struct Watched {
    /// Names and process ids.
    running: Vec<(String, u32)>,
    used: BTreeMap<String, Used>,
    /// CPU time of each process id when it was last looked at.
    before: BTreeMap<u32, Duration>,
}

impl Watch {
    /// These run now, and this process, which sends and receives.
    pub(super) fn running(&self, mut processes: Vec<(String, u32)>) {
        processes.push(("load generator".into(), std::process::id()));
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.running = processes;
    }

    /// Looks at all of them.
    pub(super) fn look(&self) -> Usage {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, pid) in watched.running.clone() {
            // One that was killed has no figures until it runs again.
            let now = cpu_time(pid).ok();
            let before = watched.before.get(&pid).copied().unwrap_or_default();
            let used = watched.used.entry(name).or_default();
            used.memory = memory(pid).unwrap_or_default();
            if let Some(now) = now {
                used.cpu += now.saturating_sub(before);
                watched.before.insert(pid, now);
            }
        }
        Usage { at: Instant::now(), processes: watched.used.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A process that has used some CPU time already.
    fn busy() -> Child {
        let child = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        while cpu_time(child.id()).unwrap().is_zero() {
            std::thread::yield_now();
        }
        child
    }

    #[test]
    fn a_process_that_was_started_again_goes_on_from_where_it_was() {
        let watch = Watch::default();
        let mut first = busy();
        watch.running(vec![("busy".into(), first.id())]);
        let before = watch.look().processes["busy"];
        assert!(before.cpu > Duration::ZERO && before.memory > 0);
        first.kill().unwrap();
        first.wait().unwrap();
        let dead = watch.look().processes["busy"];
        assert_eq!(dead, Used { memory: 0, ..before });

        let mut second = busy();
        watch.running(vec![("busy".into(), second.id())]);
        assert!(watch.look().processes["busy"].cpu > before.cpu);
        second.kill().unwrap();
        second.wait().unwrap();
    }
}
