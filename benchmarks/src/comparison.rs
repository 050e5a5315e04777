//! Compares counts with those that were accepted.

use std::{collections::BTreeMap, fmt};

use crate::Count;

/// By how much a count may change, as a part of its baseline.
const TOLERANCE: f64 = 0.1;

/// What is to be said of one function.
#[derive(Debug, PartialEq)]
pub struct Finding<'a> {
    name: &'a str,
    kind: Kind,
}

#[derive(Debug, PartialEq)]
enum Kind {
    Dearer(Change),
    Cheaper(Change),
    /// It has no baseline.
    New(u64),
    /// It has a baseline, and was not counted.
    Gone,
}

#[derive(Debug, PartialEq)]
struct Change {
    accepted: u64,
    found: u64,
}

/// All that is not as it was accepted, in the order in which it was found.
pub fn compare<'a>(accepted: &'a [Count], found: &'a [Count]) -> Vec<Finding<'a>> {
    let before: BTreeMap<_, _> = accepted.iter().map(|(name, count)| (name, *count)).collect();
    let after: BTreeMap<_, _> = found.iter().map(|(name, count)| (name, *count)).collect();
    let judged = found.iter().filter_map(|(name, count)| {
        let kind =
            before.get(name).map_or(Some(Kind::New(*count)), |before| judge(*before, *count));
        Some(Finding { name, kind: kind? })
    });
    let gone = accepted.iter().filter(|(name, _)| !after.contains_key(name));
    judged.chain(gone.map(|(name, _)| Finding { name, kind: Kind::Gone })).collect()
}

fn judge(accepted: u64, found: u64) -> Option<Kind> {
    let change = Change { accepted, found };
    match change.part() {
        part if part > TOLERANCE => Some(Kind::Dearer(change)),
        part if part < -TOLERANCE => Some(Kind::Cheaper(change)),
        _ => None,
    }
}

impl Change {
    fn part(&self) -> f64 {
        (self.found as f64 - self.accepted as f64) / self.accepted as f64
    }
}

impl Finding<'_> {
    /// Whether it must not stay so.
    pub fn is_fault(&self) -> bool {
        match self.kind {
            Kind::Dearer(_) | Kind::New(_) | Kind::Gone => true,
            Kind::Cheaper(_) => false,
        }
    }
}

impl fmt::Display for Finding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match &self.kind {
            Kind::Dearer(change) => write!(f, "{change} more instructions, too many"),
            Kind::Cheaper(change) => {
                write!(f, "{change} fewer instructions, a new baseline would keep it so")
            }
            Kind::New(found) => write!(f, "{found} instructions, and no baseline"),
            Kind::Gone => write!(f, "a baseline, and no such function"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, found } = self;
        write!(f, "{found} instead of {accepted}: {:.1} %", self.part().abs() * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts<const N: usize>(counts: [(&str, u64); N]) -> Vec<Count> {
        counts.map(|(name, count)| (name.to_owned(), count)).to_vec()
    }

    fn said(accepted: u64, found: u64) -> Vec<(String, bool)> {
        let (accepted, found) = (counts([("a", accepted)]), counts([("a", found)]));
        let findings = compare(&accepted, &found);
        findings.iter().map(|finding| (finding.to_string(), finding.is_fault())).collect()
    }

    #[test]
    fn a_tenth_more_is_tolerated_and_no_more() {
        assert_eq!(said(1000, 1100), []);
        let dearer = "a: 1101 instead of 1000: 10.1 % more instructions, too many";
        assert_eq!(said(1000, 1101), [(dearer.to_owned(), true)]);
    }

    #[test]
    fn what_became_cheaper_is_told_and_no_fault() {
        assert_eq!(said(1000, 900), []);
        let [(text, false)] = &said(1000, 899)[..] else { panic!("it is no fault") };
        assert!(text.contains("10.1 % fewer"), "{text}");
    }

    #[test]
    fn each_function_has_a_baseline_and_each_baseline_a_function() {
        let (accepted, found) = (counts([("a", 1), ("b", 1)]), counts([("b", 1), ("c", 1)]));
        let findings = compare(&accepted, &found);
        let expected =
            [Finding { name: "c", kind: Kind::New(1) }, Finding { name: "a", kind: Kind::Gone }];
        assert_eq!(findings, expected);
        assert!(findings.iter().all(Finding::is_fault));
    }
}
