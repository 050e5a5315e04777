//! What a scenario found: its bounds, each held or broken, and the figures behind them.

use serde::{Deserialize, Serialize};

/// One figure and what it must be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bound {
    /// What was measured.
    pub what: String,
    /// What it was.
    pub measured: f64,
    /// What it must be, for people.
    pub bound: String,
    /// Whether it is.
    pub holds: bool,
}

impl Bound {
    /// A figure that may be no greater.
    pub fn at_most(what: impl Into<String>, measured: f64, most: f64) -> Self {
        let bound = format!("≤ {}", Short(most));
        Self { what: what.into(), measured, bound, holds: measured <= most }
    }

    /// A figure that may be no smaller.
    pub fn at_least(what: impl Into<String>, measured: f64, least: f64) -> Self {
        let bound = format!("≥ {}", Short(least));
        Self { what: what.into(), measured, bound, holds: measured >= least }
    }
}

/// The outcome of a scenario, with whatever figures it has.
#[derive(Debug, Serialize)]
pub struct Report<F> {
    /// Its name.
    pub scenario: String,
    /// What was measured.
    pub figures: F,
    /// What was demanded.
    pub bounds: Vec<Bound>,
}

impl<F: Serialize> Report<F> {
    /// Prints it, as a table or as JSON, and fails if a bound is broken.
    pub fn conclude(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string_pretty(self)?);
        } else {
            for bound in &self.bounds {
                let holds = if bound.holds { "holds " } else { "BROKEN" };
                let measured = Short(bound.measured).to_string();
                println!("{holds}  {measured:>10}  {:<10}  {}", bound.bound, bound.what);
            }
        }
        let broken = self.bounds.iter().filter(|bound| !bound.holds).count();
        anyhow::ensure!(
            broken == 0,
            "{}: {broken} of {} bounds are broken",
            self.scenario,
            self.bounds.len()
        );
        if !json {
            println!("{}: all {} bounds hold", self.scenario, self.bounds.len());
        }
        Ok(())
    }
}

/// A figure with no more digits than it deserves.
#[derive(Debug, Clone, Copy)]
pub struct Short(pub f64);

impl std::fmt::Display for Short {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits = match self.0.abs() {
            whole if whole.fract() == 0.0 => 0,
            0.0..10.0 => 3,
            10.0..1000.0 => 1,
            _ => 0,
        };
        write!(f, "{:.digits$}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_bound_fails_the_report() {
        let holds = Bound::at_most("a", 1.0, 1.0);
        let broken = Bound::at_least("b", 0.97, 0.98);
        assert!(holds.holds && !broken.holds);
        let report = |bounds| Report { scenario: "test".into(), figures: (), bounds };
        assert!(report(vec![holds.clone()]).conclude(true).is_ok());
        assert!(report(vec![holds, broken]).conclude(true).is_err());
    }
}
