//! Compares what was promised to the sender with what came to the sink.
//!
//! 1. acknowledged ⊆ delivered ∪ parked with a reason, at every destination
//! 2. refused ∩ delivered = ∅
//! 3. every ambiguous message is resolved: delivered everywhere it was due, or nowhere
//! 4. every body arrived as it was sent
//! 5. one message was published once, however often it was sent
//!
//! What came in another order than it was acknowledged in is counted, and broken only where an order
//! was promised. Counts are by destination too.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    time::Instant,
};

use serde::Serialize;

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

/// Counts of one destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AtDestination {
    /// Acknowledged messages that must come here.
    pub due: usize,
    /// Messages that were accepted here at least once.
    pub delivered: usize,
    /// Those due that were neither accepted nor parked.
    pub lost: usize,
    /// Acceptances beyond the first of a message.
    pub duplicates: usize,
    /// Requests with a body that nobody sent.
    pub altered: usize,
    /// Messages that first came after one which began to be sent only when they were acknowledged.
    pub out_of_order: usize,
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
    /// Counts by path and query, of all destinations where something was due or came.
    pub destinations: BTreeMap<String, AtDestination>,
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

impl Verdict {
    fn at(&mut self, path: &str) -> &mut AtDestination {
        self.destinations.entry(path.to_owned()).or_default()
    }

    /// Counts of all destinations together.
    pub fn everywhere(&self) -> AtDestination {
        self.destinations.values().fold(AtDestination::default(), |sum, at| AtDestination {
            due: sum.due + at.due,
            delivered: sum.delivered + at.delivered,
            lost: sum.lost + at.lost,
            duplicates: sum.duplicates + at.duplicates,
            altered: sum.altered + at.altered,
            out_of_order: sum.out_of_order + at.out_of_order,
        })
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
            verdict.at(&arrival.path).altered += 1;
            continue;
        };
        let seen = seen.entry(key).or_default();
        seen.ids.insert(&arrival.webhook_id);
        if arrival.accepted {
            seen.accepted_at.insert(&arrival.path);
            *acceptances.entry((&arrival.webhook_id, &arrival.path)).or_default() += 1;
        }
    }
    for ((_, path), times) in acceptances {
        verdict.duplicates += times - 1;
        let at = verdict.at(path);
        at.delivered += 1;
        at.duplicates += times - 1;
    }
    for path in out_of_order(account, arrivals) {
        verdict.at(path).out_of_order += 1;
    }
    let nothing = Seen::default();
    for entry in &account.entries {
        let seen = seen.get(entry.key.as_str()).unwrap_or(&nothing);
        let due = account.destinations.get(&entry.application).into_iter().flatten();
        let missing = due.clone().filter(|path| !seen.accepted_at.contains(path.as_str()));
        if seen.ids.len() > 1 {
            let ids = seen.ids.iter().map(ToString::to_string).collect();
            verdict.violations.push(Violation::Doubled { key: entry.key.clone(), ids });
        }
        match &entry.outcome {
            Outcome::Acked { message } => {
                verdict.acked += 1;
                due.for_each(|path| verdict.at(path).due += 1);
                for path in missing {
                    if !parked.contains(&(message.clone(), path.clone())) {
                        verdict.at(path).lost += 1;
                        verdict.violations.push(Violation::Lost {
                            key: entry.key.clone(),
                            message: message.clone(),
                            destination: path.clone(),
                        });
                    }
                }
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

/// The destination of each message that came later than one which began to be sent only after it had
/// been acknowledged. What was under way side by side has no order.
fn out_of_order<'a>(account: &Account, arrivals: &'a [Delivered]) -> Vec<&'a str> {
    let moments: HashMap<BodyHash, (Instant, Instant)> = account
        .entries
        .iter()
        .filter(|entry| matches!(entry.outcome, Outcome::Acked { .. }))
        .filter_map(|entry| Some((entry.sha256, entry.moments?)))
        .collect();
    let mut came = HashSet::new();
    let mut newest_sent = HashMap::<&str, Instant>::new();
    let mut late = Vec::new();
    for arrival in arrivals {
        let Some((sent, answered)) = moments.get(&arrival.sha256) else { continue };
        if !came.insert((arrival.sha256, arrival.path.as_str())) {
            continue;
        }
        let newest = newest_sent.entry(&arrival.path).or_insert(*sent);
        if answered < newest {
            late.push(arrival.path.as_str());
        }
        *newest = (*newest).max(*sent);
    }
    late
}
