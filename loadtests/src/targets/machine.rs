//! Where figures were measured, and of what.

use std::{fs, num::NonZeroUsize, process::Command};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use shared::time::Millis;

/// The machine, and the versions on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Machine {
    cpu: String,
    cores: usize,
    memory_mebibytes: u64,
    kernel: String,
    redis: String,
    /// The sources' commit, with `-dirty` where files were changed since.
    commit: String,
    /// The day on which the run began.
    date: String,
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cpu, cores, memory_mebibytes, kernel, redis, commit, date } = self;
        write!(
            f,
            "{date}, commit {commit}, {cores} cores of {cpu}, {memory_mebibytes} MiB, \
             kernel {kernel}, Redis {redis}, generator and receiver on the same machine"
        )
    }
}

impl Machine {
    pub(super) fn of_this() -> anyhow::Result<Self> {
        let redis = answer("redis-server", &["--version"])?;
        let version = redis.split(' ').find_map(|word| word.strip_prefix("v="));
        Ok(Self {
            cpu: field("/proc/cpuinfo", "model name")?,
            cores: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            memory_mebibytes: memory()?,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            redis: version.unwrap_or(&redis).to_owned(),
            // Outside of a checkout there is none to name.
            commit: answer("git", &["describe", "--always", "--dirty", "--abbrev=12"])
                .unwrap_or_else(|_| "unknown".to_owned()),
            date: Millis::now().rfc3339().chars().take(10).collect(),
        })
    }

    #[cfg(test)]
    pub(super) fn named(commit: &str) -> Self {
        Self {
            cpu: "a CPU".into(),
            cores: 2,
            memory_mebibytes: 4096,
            kernel: "6.0".into(),
            redis: "7.0".into(),
            commit: commit.into(),
            date: "2026-01-02".into(),
        }
    }
}

fn memory() -> anyhow::Result<u64> {
    let total = field("/proc/meminfo", "MemTotal")?;
    let kibibytes: u64 = total.trim_end_matches(" kB").parse().context("MemTotal is no number")?;
    Ok(kibibytes / 1024)
}

/// The value behind `name:` in a file of the kernel's.
fn field(path: &str, name: &str) -> anyhow::Result<String> {
    let text = fs::read_to_string(path)?;
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let value = lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim()).next();
    Ok(value.with_context(|| format!("{path} has no {name}"))?.to_owned())
}

/// What a command prints.
fn answer(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("{program} does not start"))?;
    ensure!(output.status.success(), "{program} failed");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known() {
        let machine = Machine::of_this().unwrap();
        assert!(machine.memory_mebibytes > 0 && machine.cores > 0, "{machine}");
        assert!(!machine.redis.contains(' ') && !machine.kernel.is_empty(), "{machine}");
        assert_eq!(machine.date.len(), "2026-01-02".len(), "{machine}");
    }
}
