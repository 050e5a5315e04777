//! The figures of a run, for people.

use std::fmt;

use super::figures::{Figures, PhaseFigures};
use crate::latency::Quantiles;

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.description.summary)?;
        writeln!(f, "on {}, {} cores, {}", self.on, self.machine.cores, self.machine.processor)?;
        let width = self.phases.iter().map(|phase| phase.name.len()).max().unwrap_or(0).max(5);
        writeln!(f)?;
        writeln!(
            f,
            "{:<width$}  {:>9}  {:>8}  {:>8}  {:>9}  {:>9}  {:>9}  {:>8}  {:>8}",
            "phase",
            "sent",
            "refused",
            "unknown",
            "acked/s",
            "deliv./s",
            "delivered",
            "due",
            "backlog",
        )?;
        for phase in &self.phases {
            writeln!(
                f,
                "{:<width$}  {:>9}  {:>8}  {:>8}  {:>9.0}  {:>9.0}  {:>9}  {:>8}  {:>8}",
                phase.name,
                phase.sent,
                phase.refused,
                phase.ambiguous,
                phase.acked_per_second,
                phase.delivered_per_second,
                phase.delivered,
                phase.due,
                phase.backlog,
            )?;
        }
        self.latencies(f)?;
        self.processes(f)?;
        writeln!(f)?;
        if self.description.ramp().is_some() {
            match self.knee {
                Some(knee) => writeln!(f, "knee: {knee:.0} messages/s")?,
                None => writeln!(f, "knee: below the first step")?,
            }
            for phase in &self.phases {
                if let Some(why) = &phase.fell_behind {
                    writeln!(f, "{} fell behind: {why}", phase.name)?;
                }
            }
        }
        for done in &self.actions {
            let (from, until) = (done.from_seconds, done.until_seconds);
            writeln!(f, "{} from {from:.1} s to {until:.1} s", done.what)?;
        }
        writeln!(f, "last delivery {:.1} s after the last phase", self.drained_seconds)?;
        self.accounts.violations.iter().try_for_each(|words| writeln!(f, "VIOLATION {words}"))
    }
}

impl Figures {
    fn latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |phase: &PhaseFigures| {
            let several = phase.behaviours.len() > 1;
            let mut rows = vec![("ack".to_owned(), phase.ack)];
            rows.push(("end to end".to_owned(), phase.end_to_end));
            if several {
                rows.extend(phase.behaviours.iter().map(|(name, took)| (name.clone(), *took)));
            }
            rows.retain(|(_, quantiles)| quantiles.count > 0);
            rows
        };
        let rows: Vec<(&str, String, Quantiles)> = self
            .phases
            .iter()
            .flat_map(|phase| {
                let rows = names(phase).into_iter();
                rows.map(|(what, quantiles)| (phase.name.as_str(), what, quantiles))
            })
            .collect();
        let width = rows.iter().map(|(phase, ..)| phase.len()).max().unwrap_or(0).max(5);
        let wide = rows.iter().map(|(_, what, _)| what.len()).max().unwrap_or(0).max(7);
        writeln!(
            f,
            "\n{:<width$}  {:<wide$}  {:>9}  {:>9}  {:>9}  {:>9}  {:>9}",
            "phase", "latency", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms",
        )?;
        for (phase, what, quantiles) in rows {
            writeln!(
                f,
                "{phase:<width$}  {what:<wide$}  {:>9.2}  {:>9.2}  {:>9.2}  {:>9.2}  {:>9.2}",
                quantiles.p50_ms,
                quantiles.p90_ms,
                quantiles.p99_ms,
                quantiles.p999_ms,
                quantiles.max_ms,
            )?;
        }
        Ok(())
    }

    fn processes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.phases.iter().map(|phase| phase.name.len()).max().unwrap_or(0).max(5);
        writeln!(
            f,
            "\n{:<width$}  {:<14}  {:>15}  {:>15}  {:>6}  {:>10}",
            "phase", "process", "CPU µs/message", "CPU µs/delivery", "cores", "memory MiB",
        )?;
        for phase in &self.phases {
            for (name, used) in &phase.processes {
                writeln!(
                    f,
                    "{:<width$}  {name:<14}  {:>15.0}  {:>15.0}  {:>6.2}  {:>10.1}",
                    phase.name,
                    used.cpu_micros_per_message,
                    used.cpu_micros_per_delivery,
                    used.cores,
                    used.memory_bytes as f64 / f64::from(1 << 20),
                )?;
            }
        }
        Ok(())
    }
}
