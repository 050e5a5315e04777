//! What was found of a target: written as JSON, shown as rows of a table.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Machine, Target};
use crate::report::{Bound, Short};

/// A figure that no bound is on: what others are compared with, or made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Beside {
    what: String,
    measured: f64,
}

/// What a measurement found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Findings {
    bounds: Vec<Bound>,
    beside: Vec<Beside>,
    /// All rounds, as the target's module made them.
    rounds: Value,
}

impl Findings {
    /// Of these rounds.
    pub(super) fn new(rounds: &impl Serialize) -> anyhow::Result<Self> {
        let rounds = serde_json::to_value(rounds)?;
        Ok(Self { bounds: Vec::new(), beside: Vec::new(), rounds })
    }

    /// Adds a figure and what it must be. A bound's `what` follows its figure in the table.
    pub(super) fn bound(mut self, bound: Bound) -> Self {
        self.bounds.push(bound);
        self
    }

    /// Adds a figure for the reader.
    pub(super) fn beside(mut self, what: &str, measured: f64) -> Self {
        self.beside.push(Beside { what: what.to_owned(), measured });
        self
    }

    /// All of it; fails if a figure is no number, because then nothing was measured.
    pub(super) fn done(self) -> anyhow::Result<Self> {
        let bounds = self.bounds.iter().map(|bound| (&bound.what, bound.measured));
        let beside = self.beside.iter().map(|beside| (&beside.what, beside.measured));
        for (what, measured) in bounds.chain(beside) {
            anyhow::ensure!(measured.is_finite(), "{what}: {measured}");
        }
        Ok(self)
    }
}

/// A target's result, as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Outcome {
    target: Target,
    title: String,
    machine: Machine,
    #[serde(flatten)]
    findings: Findings,
}

impl Outcome {
    pub(super) fn new(target: Target, machine: &Machine, findings: Findings) -> Self {
        Self { target, title: target.title(), machine: machine.clone(), findings }
    }

    pub(super) fn bounds(&self) -> &[Bound] {
        &self.findings.bounds
    }

    fn path(directory: &Path, target: Target) -> PathBuf {
        directory.join(format!("{target:?}.json"))
    }

    /// Writes it where the results are, in the place of an earlier one.
    pub(super) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let path = Self::path(directory, self.target);
        let json = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&path, json).with_context(|| format!("cannot write {}", path.display()))
    }

    fn read(directory: &Path, target: Target) -> anyhow::Result<Option<Self>> {
        let path = Self::path(directory, target);
        if !path.exists() {
            return Ok(None);
        }
        let what = || format!("{} is no result: remove it", path.display());
        serde_json::from_str(&fs::read_to_string(&path)?).with_context(what).map(Some)
    }
}

/// Writes the table of all results that there are, also from earlier runs, and where they come from.
pub(super) fn write_table(directory: &Path) -> anyhow::Result<()> {
    let mut outcomes = Vec::new();
    for &target in Target::all() {
        outcomes.extend(Outcome::read(directory, target)?);
    }
    let mut text = table(&outcomes);
    let mut machines: Vec<&Machine> = Vec::new();
    for outcome in &outcomes {
        if !machines.contains(&&outcome.machine) {
            machines.push(&outcome.machine);
        }
    }
    for machine in machines {
        let of = outcomes.iter().filter(|outcome| outcome.machine == *machine);
        let names: Vec<_> = of.map(|outcome| format!("{:?}", outcome.target)).collect();
        write!(text, "\n{}: {machine}\n", names.join(", "))?;
    }
    let path = directory.join("targets.md");
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A table in Markdown.
pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::from("| target | figure | bound | held |\n|---|---|---|---|\n");
    for Outcome { target, findings, .. } in outcomes {
        let mut row = |what: &str, measured: f64, bound: &str, held: &str| {
            let figure = Short(measured);
            text.push_str(&format!("| {target:?} | {figure} {what} | {bound} | {held} |\n"));
        };
        for Bound { what, measured, bound, holds } in &findings.bounds {
            row(what, *measured, bound, if *holds { "yes" } else { "**no**" });
        }
        for Beside { what, measured } in &findings.beside {
            row(what, *measured, "", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(target: Target, commit: &str, ratio: f64) -> Outcome {
        let findings = Findings::new(&[1.0, 2.0])
            .unwrap()
            .bound(Bound::at_least("of the floor", ratio, 0.8))
            .beside("of the floor/s", 9000.4)
            .done();
        Outcome::new(target, &Machine::named(commit), findings.unwrap())
    }

    #[test]
    fn the_table_tells_what_was_held() {
        let outcomes = [outcome(Target::T1, "a", 0.85), outcome(Target::T10, "a", 0.75)];
        let rows = "| target | figure | bound | held |\n\
                    |---|---|---|---|\n\
                    | T1 | 0.850 of the floor | ≥ 0.800 | yes |\n\
                    | T1 | 9000 of the floor/s |  |  |\n\
                    | T10 | 0.750 of the floor | ≥ 0.800 | **no** |\n\
                    | T10 | 9000 of the floor/s |  |  |\n";
        assert_eq!(table(&outcomes), rows);
    }

    #[test]
    fn the_written_table_has_results_of_earlier_runs_and_where_they_come_from() {
        let directory = tempfile::tempdir().unwrap();
        outcome(Target::T6, "earlier", 0.9).write(directory.path()).unwrap();
        outcome(Target::T2, "first", 0.7).write(directory.path()).unwrap();
        outcome(Target::T2, "later", 0.8).write(directory.path()).unwrap();
        write_table(directory.path()).unwrap();
        let text = fs::read_to_string(directory.path().join("targets.md")).unwrap();
        let (t2, t6) = (text.find("| T2 | 0.800").unwrap(), text.find("| T6 | 0.900").unwrap());
        assert!(t2 < t6 && !text.contains("0.700"), "{text}");
        let (later, earlier) = (Machine::named("later"), Machine::named("earlier"));
        assert!(text.ends_with(&format!("\nT2: {later}\n\nT6: {earlier}\n")), "{text}");
    }

    #[test]
    fn what_was_not_measured_is_no_finding() {
        let ratio = 0.0 / f64::from(u8::from(false));
        assert!(Findings::new(&()).unwrap().beside("of nothing", ratio).done().is_err());
    }
}
