//! Compares what was promised to the sender with what came to the sink.
//!
//! 1. acknowledged ⊆ delivered ∪ parked with a reason, at every destination
//! 2. refused ∩ delivered = ∅
//! 3. every ambiguous message is resolved: delivered everywhere it was due, or nowhere
//! 4. every body arrived as it was sent
//! 5. one message was published once, however often it was sent

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
};

use crate::{
    journal::{BodyHash, Journal},
    ledger::{Account, Outcome},
};

/// One request that reached the sink, as far as verifying asks.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// The message's id.
    pub webhook_id: String,
    /// Path and query.
    pub path: String,
    /// Hash of the body.
    pub sha256: BodyHash,
    /// Whether the sink accepted it.
    pub accepted: bool,
}

/// What the sink saw, in the form that is verified.
pub fn delivered(journal: &Journal) -> Vec<Delivered> {
    let arrivals = journal.arrivals().iter();
    arrivals
        .map(|arrival| Delivered {
            webhook_id: arrival.webhook_id.to_string(),
            path: arrival.path.to_string(),
            sha256: arrival.sha256,
            accepted: arrival.accepted(),
        })
        .collect()
}

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Acknowledged, and neither delivered nor parked.
    Lost {
        /// The sender's name for it.
        key: String,
        /// The server's id.
        message: String,
        /// Where it is missing.
        destination: String,
    },
    /// Refused, and delivered nevertheless.
    RefusedDelivered {
        /// The sender's name for it.
        key: String,
    },
    /// Ambiguous, and delivered to some destinations only.
    Half {
        /// The sender's name for it.
        key: String,
        /// Where it is missing.
        destination: String,
    },
    /// A body came that nobody sent.
    Corrupt {
        /// The message that it came as.
        webhook_id: String,
        /// Where it came.
        path: String,
    },
    /// A body came under the id of another message.
    Exchanged {
        /// The sender's name for the body.
        key: String,
        /// The id that it came under.
        webhook_id: String,
    },
    /// One message was published more than once.
    Doubled {
        /// The sender's name for it.
        key: String,
        /// The ids under which it came.
        ids: BTreeSet<String>,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { key, message, destination } => {
                write!(f, "lost: {key} was acknowledged as {message}, never came to {destination}")
            }
            Self::RefusedDelivered { key } => {
                write!(f, "refused and delivered: {key}")
            }
            Self::Half { key, destination } => {
                write!(f, "half delivered: {key} was ambiguous, never came to {destination}")
            }
            Self::Corrupt { webhook_id, path } => {
                write!(f, "corrupt: {webhook_id} came to {path} with a body that nobody sent")
            }
            Self::Exchanged { key, webhook_id } => {
                write!(f, "exchanged: the body of {key} came as {webhook_id}")
            }
            Self::Doubled { key, ids } => {
                write!(f, "published more than once: {key} came as {ids:?}")
            }
        }
    }
}

/// The result of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Messages that the server acknowledged.
    pub acked: usize,
    /// Messages that it definitely refused.
    pub refused: usize,
    /// Ambiguous messages that came, by key.
    pub ambiguous_delivered: Vec<String>,
    /// Ambiguous messages that never came, by key.
    pub ambiguous_absent: Vec<String>,
    /// Acceptances beyond the first of each delivery.
    pub duplicates: usize,
    /// What may not be.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "acked {}, refused {}, ambiguous {} delivered + {} absent, duplicates {}",
            self.acked,
            self.refused,
            self.ambiguous_delivered.len(),
            self.ambiguous_absent.len(),
            self.duplicates
        )?;
        if !self.ambiguous_delivered.is_empty() {
            writeln!(f, "  ambiguous, delivered: {}", self.ambiguous_delivered.join(" "))?;
        }
        if !self.ambiguous_absent.is_empty() {
            writeln!(f, "  ambiguous, absent: {}", self.ambiguous_absent.join(" "))?;
        }
        const SHOWN: usize = 20;
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(f, "  VIOLATION {violation}")?;
        }
        if self.violations.len() > SHOWN {
            writeln!(f, "  … and {} more", self.violations.len() - SHOWN)?;
        }
        write!(f, "{} violations", self.violations.len())
    }
}

/// What reached the sink, by the sender's name for it.
#[derive(Default)]
struct Seen<'a> {
    ids: BTreeSet<&'a str>,
    accepted_at: HashSet<&'a str>,
}

/// Compares. `parked` are the (message id, destination) pairs that the server reports as dead
/// letters with a reason.
pub fn verify(
    account: &Account,
    arrivals: &[Delivered],
    parked: &HashSet<(String, String)>,
) -> Verdict {
    let mut verdict = Verdict::default();
    let keys: HashMap<BodyHash, &str> =
        account.entries.iter().map(|entry| (entry.sha256, entry.key.as_str())).collect();
    let mut seen = HashMap::<&str, Seen<'_>>::new();
    let mut acceptances = BTreeMap::<(&str, &str), usize>::new();
    for arrival in arrivals {
        let Some(key) = keys.get(&arrival.sha256) else {
            verdict.violations.push(Violation::Corrupt {
                webhook_id: arrival.webhook_id.clone(),
                path: arrival.path.clone(),
            });
            continue;
        };
        let seen = seen.entry(key).or_default();
        seen.ids.insert(&arrival.webhook_id);
        if arrival.accepted {
            seen.accepted_at.insert(&arrival.path);
            *acceptances.entry((&arrival.webhook_id, &arrival.path)).or_default() += 1;
        }
    }
    verdict.duplicates = acceptances.values().map(|times| times - 1).sum();
    let nothing = Seen::default();
    for entry in &account.entries {
        let seen = seen.get(entry.key.as_str()).unwrap_or(&nothing);
        let due = account.destinations.get(&entry.application).into_iter().flatten();
        let missing = due.filter(|path| !seen.accepted_at.contains(path.as_str()));
        if seen.ids.len() > 1 {
            let ids = seen.ids.iter().map(ToString::to_string).collect();
            verdict.violations.push(Violation::Doubled { key: entry.key.clone(), ids });
        }
        match &entry.outcome {
            Outcome::Acked { message } => {
                verdict.acked += 1;
                verdict.violations.extend(
                    missing
                        .filter(|path| !parked.contains(&(message.clone(), (*path).clone())))
                        .map(|path| Violation::Lost {
                            key: entry.key.clone(),
                            message: message.clone(),
                            destination: path.clone(),
                        }),
                );
                for id in seen.ids.iter().filter(|id| **id != message.as_str()) {
                    verdict.violations.push(Violation::Exchanged {
                        key: entry.key.clone(),
                        webhook_id: (*id).to_owned(),
                    });
                }
            }
            Outcome::Refused { .. } => {
                verdict.refused += 1;
                if !seen.ids.is_empty() {
                    let key = entry.key.clone();
                    verdict.violations.push(Violation::RefusedDelivered { key });
                }
            }
            Outcome::Ambiguous { .. } if seen.ids.is_empty() => {
                verdict.ambiguous_absent.push(entry.key.clone());
            }
            Outcome::Ambiguous { .. } => {
                verdict.ambiguous_delivered.push(entry.key.clone());
                verdict.violations.extend(missing.map(|path| Violation::Half {
                    key: entry.key.clone(),
                    destination: path.clone(),
                }));
            }
        }
    }
    verdict
}
