//! What it was measured on.

use std::fs;

use serde::Serialize;

/// A machine; what it does not tell is empty or 0.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Model of its processors.
    pub processor: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Name and release of the system.
    pub system: String,
}

impl Machine {
    /// This one.
    pub(super) fn this() -> Self {
        let after_colon = |file: &str, field: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(field)).unwrap_or_default();
            line.split_once(':').map_or("", |(_, value)| value.trim()).to_owned()
        };
        let kibibytes = after_colon("/proc/meminfo", "MemTotal");
        let kibibytes = kibibytes.trim_end_matches("kB").trim().parse().unwrap_or(0u64);
        let uname = rustix::system::uname();
        Self {
            processor: after_colon("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kibibytes * 1024,
            system: format!(
                "{} {}",
                uname.sysname().to_string_lossy(),
                uname.release().to_string_lossy()
            ),
        }
    }
}
