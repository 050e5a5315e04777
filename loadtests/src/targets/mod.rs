//! The performance targets: each is measured next to what the machine can do, in the same run.
//!
//! `docs/performance.md` says what they are and why they are ratios. Each has a module here, which
//! makes its rounds in turns and gives figures and bounds.

mod embedded;
mod fan_out;
mod features;
mod growth;
mod idle;
mod lab;
mod latency;
mod long_run;
mod machine;
mod outcome;
mod scale_out;
mod throughput;

use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};

use self::{
    lab::Lab,
    machine::Machine,
    outcome::{Findings, Outcome},
};

/// What is measured, and how thoroughly.
#[derive(Debug, Args)]
pub struct Targets {
    /// Only these, such as `T1,T5`
    #[arg(long, value_enum, ignore_case = true, value_delimiter = ',')]
    only: Vec<Target>,
    /// How often the forms of a comparison are measured in turn
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Seconds of steady load in a round
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Ten million messages through the embedded store instead of one, with bodies that go meanwhile
    #[arg(long)]
    long: bool,
    /// Where the results go: a file for each target, and `targets.md` with the table of all of them
    #[arg(long, default_value = "loadtests/results")]
    out: PathBuf,
    /// The command under test
    #[arg(long, default_value = "target/release/sluicegate")]
    sluicegate: PathBuf,
    /// The results as JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// One target.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[value(rename_all = "UPPER")]
pub enum Target {
    /// Throughput over Redis that fsyncs every second
    T1,
    /// Throughput over Redis that fsyncs before each reply
    T2,
    /// CPU time of a delivery at saturation
    T3,
    /// Throughput of the embedded store
    T4,
    /// Latency at half the saturation rate
    T5,
    /// Fan-out to ten endpoints
    T6,
    /// Idle
    T7,
    /// Growth: applications, endpoints, messages
    T8,
    /// Two dispatchers
    T9,
    /// Keys and filters
    T10,
}

impl Target {
    /// All of them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// What it is about, in a few words.
    pub fn title(self) -> String {
        let value = self.to_possible_value();
        let help = value.as_ref().and_then(|value| value.get_help());
        help.map(ToString::to_string).unwrap_or_default()
    }

    async fn measure(self, lab: &Lab) -> anyhow::Result<Findings> {
        match self {
            Self::T1 => throughput::every_second(lab).await,
            Self::T2 => throughput::always(lab).await,
            Self::T3 => throughput::cpu(lab).await,
            Self::T4 => embedded::measure(lab).await,
            Self::T5 => latency::measure(lab).await,
            Self::T6 => fan_out::measure(lab).await,
            Self::T7 => idle::measure(lab).await,
            Self::T8 => growth::measure(lab).await,
            Self::T9 => scale_out::measure(lab).await,
            Self::T10 => features::measure(lab).await,
        }
    }
}

impl Targets {
    /// Measures, writes each result and the table of all, prints them, and fails if a bound is broken or
    /// could not be measured.
    pub async fn run(&self) -> anyhow::Result<()> {
        ensure!(self.pairs > 0, "nothing is compared without a pair");
        ensure!(self.seconds > 0.0, "nothing is measured in no time");
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot write to {}", self.out.display()))?;
        let lab = Lab::new(self.sluicegate.clone(), self.pairs, self.seconds, self.long)?;
        let targets = if self.only.is_empty() { Target::all() } else { &self.only };
        let machine = Machine::of_this()?;
        let (mut outcomes, mut unmeasured) = (Vec::with_capacity(targets.len()), Vec::new());
        for &target in targets {
            eprintln!("{target:?}: {}", target.title());
            match target.measure(&lab).await {
                Ok(findings) => {
                    let outcome = Outcome::new(target, &machine, findings);
                    outcome.write(&self.out)?;
                    outcome::write_table(&self.out)?;
                    outcomes.push(outcome);
                }
                // It says nothing about the others, which take long to measure.
                Err(error) => {
                    eprintln!("{target:?} was not measured: {error:#}");
                    unmeasured.push(target);
                }
            }
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&outcomes)?);
        } else {
            print!("{}", outcome::table(&outcomes));
        }
        let bounds = || outcomes.iter().flat_map(|outcome| outcome.bounds());
        let broken = bounds().filter(|bound| !bound.holds).count();
        ensure!(unmeasured.is_empty(), "not measured: {unmeasured:?}");
        ensure!(broken == 0, "{broken} of {} bounds are broken", bounds().count());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_a_section_for_each_target() {
        let document = include_str!("../../../docs/performance.md");
        let sections: Vec<_> =
            document.lines().filter_map(|line| line.strip_prefix("### T")).collect();
        let targets: Vec<_> = Target::all()
            .iter()
            .map(|target| format!("{target:?}: {}", target.title())[1..].to_owned())
            .collect();
        assert_eq!(sections, targets);
    }
}
