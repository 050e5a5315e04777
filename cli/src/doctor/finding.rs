//! What the checks found, one line each.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::exit::Failure;

/// How a check ended, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// It is as it should be.
    Ok,
    /// It works, and may not for long or not as meant.
    Warning,
    /// A process would not start, or not do its work.
    Failed,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
    /// What to do; empty where nothing is to be done, or `found` says it.
    todo: String,
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: String) -> Self {
        Self { check, verdict: Verdict::Ok, found, todo: String::new() }
    }

    pub(super) fn warning(check: &'static str, found: String, todo: &str) -> Self {
        Self { check, verdict: Verdict::Warning, found, todo: todo.to_owned() }
    }

    pub(super) fn failed(check: &'static str, found: String, todo: &str) -> Self {
        Self { check, verdict: Verdict::Failed, found, todo: todo.to_owned() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "failed",
        };
        // Texts of systems that are not ours may have several lines.
        let found = self.found.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(f, "{verdict:<8} {:<13} {found}", self.check)?;
        if self.todo.is_empty() { Ok(()) } else { write!(f, ": {}", self.todo) }
    }
}

/// What all checks found.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    pub(super) fn add(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// One finding for each thing that is wrong.
    pub(super) fn fail_each(&mut self, check: &'static str, failure: &Failure) {
        match failure {
            Failure::Config(wrong) => {
                for one in wrong {
                    self.add(Finding::failed(check, one.clone(), ""));
                }
            }
            Failure::Runtime(error) => self.add(Finding::failed(check, format!("{error:#}"), "")),
        }
    }

    /// How many checks failed.
    pub(super) fn failed(&self) -> usize {
        self.count(Verdict::Failed)
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|finding| finding.verdict == verdict).count()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            writeln!(f, "{finding}")?;
        }
        let [ok, warnings, failed] =
            [Verdict::Ok, Verdict::Warning, Verdict::Failed].map(|verdict| self.count(verdict));
        writeln!(f, "\n{ok} ok, {warnings} warnings, {failed} failed")
    }
}

impl Serialize for Findings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let worst = self.0.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
        let mut all = serializer.serialize_struct("Findings", 2)?;
        all.serialize_field("verdict", &worst)?;
        all.serialize_field("checks", &self.0)?;
        all.end()
    }
}
