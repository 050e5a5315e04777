//! The accepted counts, a file of lines in the repository, and what they were counted with.

use std::{env::consts::ARCH, fmt, fs, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{ACCEPT, Count};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

/// What decides, beside the code, how many instructions there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools(String);

/// What was accepted.
#[derive(Debug, PartialEq, Eq)]
pub struct Baseline {
    /// With what it was counted.
    pub tools: Tools,
    /// The functions and their instructions.
    pub counts: Vec<Count>,
}

impl Tools {
    /// Those of this machine.
    ///
    /// # Errors
    /// If one of them cannot be started.
    pub fn find() -> Result<Self> {
        let (rustc, valgrind) = (version("rustc")?, version("valgrind")?);
        Ok(Self(format!("{ARCH}, {rustc}, {valgrind}")))
    }

    /// Whether counts can be compared at all: where processors differ, they say nothing.
    pub fn can_be_compared_with(&self, other: &Self) -> bool {
        let arch = |tools: &Self| tools.0.split(',').next().map(str::to_owned);
        arch(self) == arch(other)
    }
}

fn version(tool: &str) -> Result<String> {
    let output = Command::new(tool).arg("--version").output();
    let output = output.with_context(|| format!("{tool} cannot be started"))?;
    ensure!(output.status.success(), "{tool} does not tell its version");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Baseline {
    /// What is accepted now.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn read() -> Result<Self> {
        let text =
            fs::read_to_string(FILE).with_context(|| format!("no {FILE}; make it: {ACCEPT}"))?;
        Self::parse(&text).with_context(|| format!("{FILE} is damaged; make it anew: {ACCEPT}"))
    }

    /// Accepts this one from now on.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self) -> Result<()> {
        fs::write(FILE, self.to_string()).with_context(|| format!("{FILE} cannot be written"))
    }

    fn parse(text: &str) -> Option<Self> {
        let (tools, counts) = text.strip_prefix("# ")?.split_once('\n')?;
        let count = |line: &str| {
            let (name, count) = line.split_once(' ')?;
            Some((name.to_owned(), count.trim().parse().ok()?))
        };
        let counts = counts.lines().map(count).collect::<Option<_>>()?;
        Some(Self { tools: Tools(tools.to_owned()), counts })
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}", self.tools)?;
        self.counts.iter().try_for_each(|(name, count)| writeln!(f, "{name:<32} {count:>8}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let tools = Tools("x86_64, rustc 1.95.0, valgrind-3.19.0".into());
        let counts = vec![("entry/write".to_owned(), 7), ("a".repeat(40), u64::MAX)];
        let baseline = Baseline { tools, counts };
        assert_eq!(Baseline::parse(&baseline.to_string()), Some(baseline));
    }

    #[test]
    fn other_tools_can_be_compared_with_and_other_processors_cannot() {
        let tools = |text: &str| Tools(text.into());
        let ours = tools("x86_64, rustc 1.95.0");
        assert!(ours.can_be_compared_with(&tools("x86_64, rustc 1.96.0")));
        assert!(!ours.can_be_compared_with(&tools("aarch64, rustc 1.95.0")));
    }
}
