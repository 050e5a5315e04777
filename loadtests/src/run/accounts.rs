//! Whether each message came as it should, and what must hold of that.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use super::{
    figures::{Accounts, Amiss, Figures, PhaseFigures},
    publishing::Passed,
    registration::Registered,
};
use crate::{
    description::{Description, Expectations},
    journal::Journal,
    latency::Quantiles,
    ledger::{Account, Entry},
    report::Bound,
    verify::{AtDestination, Violation, delivered, verify},
};

/// How many broken promises are put into words, and how many endpoints are named.
const SHOWN: usize = 20;
const ENDPOINTS: usize = 100;

/// Compares what was sent with what came.
pub(super) fn settle(
    description: &Description,
    phases: &[Passed],
    registered: &Registered,
    journal: &Journal,
) -> Accounts {
    let entries = phases.iter().flat_map(|phase| &phase.records).map(|record| Entry {
        key: record.key.clone(),
        application: registered.audience(record),
        sha256: record.sha256,
        outcome: record.outcome.clone(),
        moments: Some((record.sent, record.answered)),
    });
    let account = Account { destinations: registered.destinations(), entries: entries.collect() };
    let verdict = verify(&account, &delivered(journal), &HashSet::new());
    let told_apart = |violation: &&Violation| {
        matches!(violation, Violation::Lost { .. } | Violation::Corrupt { .. })
    };
    let otherwise_broken = verdict.violations.iter().filter(|one| !told_apart(one)).count();
    let mut endpoints = BTreeMap::<String, Amiss>::new();
    for (path, at) in &verdict.destinations {
        if is_amiss(at) && endpoints.len() < ENDPOINTS {
            endpoints.insert(path.clone(), Amiss { counts: *at, badly_signed: 0 });
        }
    }
    for (path, times) in journal.badly_signed().iter().take(ENDPOINTS) {
        endpoints.entry(path.clone()).or_default().badly_signed = *times;
    }
    Accounts {
        acked: verdict.acked,
        refused: verdict.refused,
        ambiguous_delivered: verdict.ambiguous_delivered.len(),
        ambiguous_absent: verdict.ambiguous_absent.len(),
        all: verdict.everywhere(),
        badly_signed: description.verify_signatures.then(|| journal.badly_signed().values().sum()),
        otherwise_broken,
        violations: verdict.violations.iter().take(SHOWN).map(ToString::to_string).collect(),
        endpoints,
    }
}

/// What is out of order counts only where it is expected not to be, so it is named here too.
fn is_amiss(at: &AtDestination) -> bool {
    at.lost > 0 || at.duplicates > 0 || at.altered > 0 || at.out_of_order > 0
}

/// What had to hold, and whether it did.
pub(super) fn bounds(expect: &Expectations, figures: &Figures) -> Vec<Bound> {
    let accounts = &figures.accounts;
    let at_most =
        |what: &str, measured: usize, most: u64| Bound::at_most(what, measured as f64, most as f64);
    let mut bounds = vec![
        at_most("acknowledged deliveries that never came", accounts.all.lost, expect.lost),
        at_most("deliveries accepted more than once", accounts.all.duplicates, expect.duplicates),
        at_most("requests with a body that nobody sent", accounts.all.altered, 0),
        at_most("promises broken otherwise", accounts.otherwise_broken, 0),
    ];
    if let Some(badly_signed) = accounts.badly_signed {
        bounds.push(at_most("requests without a valid signature", badly_signed, 0));
    }
    let ambiguous = accounts.ambiguous_delivered + accounts.ambiguous_absent;
    for (what, measured, most) in [
        ("messages refused", accounts.refused, expect.refused),
        ("messages that stayed unanswered", ambiguous, expect.ambiguous),
        ("deliveries out of order", accounts.all.out_of_order, expect.out_of_order),
    ] {
        bounds.extend(most.map(|most| at_most(what, measured, most)));
    }
    let weighed = figures.phases.iter().filter(|phase| !phase.warm_up && phase.step.is_none());
    bounds.extend(weighed.flat_map(|phase| latencies(expect, phase)));
    if let Some(least) = expect.knee {
        let what = "highest rate at which it kept up, messages per second";
        bounds.push(Bound::at_least(what, figures.knee.unwrap_or_default(), least));
    }
    bounds
}

fn latencies<'a>(
    expect: &'a Expectations,
    phase: &'a PhaseFigures,
) -> impl Iterator<Item = Bound> + 'a {
    let of = expect.of.as_ref().and_then(|of| phase.behaviours.get(of));
    let end_to_end = of.unwrap_or(&phase.end_to_end);
    let p50: fn(&Quantiles) -> f64 = |quantiles| quantiles.p50_ms;
    let p99: fn(&Quantiles) -> f64 = |quantiles| quantiles.p99_ms;
    let bounds: [(&str, &Quantiles, _, Option<Duration>); 4] = [
        ("ack p50", &phase.ack, p50, expect.ack_p50),
        ("ack p99", &phase.ack, p99, expect.ack_p99),
        ("end to end p50", end_to_end, p50, expect.end_to_end_p50),
        ("end to end p99", end_to_end, p99, expect.end_to_end_p99),
    ];
    bounds.into_iter().filter_map(|(what, quantiles, of, most)| {
        let what = format!("{}: {what}, ms", phase.name);
        // Nothing that arrived is no short time.
        let measured = if quantiles.count == 0 { f64::INFINITY } else { of(quantiles) };
        Some(Bound::at_most(what, measured, most?.as_secs_f64() * 1e3))
    })
}
