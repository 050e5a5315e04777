//! What a sink has received: one record for each request, and the questions that tests ask of them.
//!
//! A *delivery* is a message at a destination, known here by its webhook-id and its path (with the
//! query, so that `/ok?a` and `/ok?b` are two destinations of one behaviour).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The SHA-256 of a body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct BodyHash([u8; 32]);

impl BodyHash {
    /// The hash of these bytes.
    pub fn of(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }
}

impl std::fmt::Display for BodyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl From<BodyHash> for String {
    fn from(hash: BodyHash) -> Self {
        hash.to_string()
    }
}

impl TryFrom<String> for BodyHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let invalid = || format!("{text:?} is no SHA-256 in hexadecimal");
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(invalid());
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| invalid())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| invalid())?;
        }
        Ok(Self(hash))
    }
}

/// One request that reached the sink, whole.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The header `webhook-id`; empty if there was none.
    pub webhook_id: Arc<str>,
    /// Path and query.
    pub path: Arc<str>,
    /// Hash of the body as it arrived.
    pub sha256: BodyHash,
    /// Which request of this delivery it was: 1, 2, …
    pub attempt: u32,
    /// What it was answered; 0 if it never will be (`/hang`).
    pub status: u16,
    /// When its body was complete.
    pub received: Instant,
}

impl Arrival {
    /// Whether the sender may take it as delivered.
    pub fn accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Counts of a journal, as `/_sink/summary` tells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Requests received.
    pub requests: usize,
    /// Deliveries that were accepted at least once.
    pub delivered: usize,
    /// Acceptances beyond the first of a delivery.
    pub duplicates: usize,
    /// Requests by path and query.
    pub paths: BTreeMap<String, usize>,
    /// Requests by the status they were answered with.
    pub statuses: BTreeMap<u16, usize>,
}

#[derive(Debug, Default)]
struct Tally {
    attempts: u32,
    acceptances: u32,
}

/// All arrivals, in the order in which they came.
#[derive(Debug, Default)]
pub struct Journal {
    arrivals: Vec<Arrival>,
    tallies: HashMap<(Arc<str>, Arc<str>), Tally>,
    delivered: usize,
    duplicates: usize,
    badly_signed: BTreeMap<String, usize>,
}

impl Journal {
    /// Writes a request down. `answer` decides its status by its attempt number.
    pub fn record(
        &mut self,
        webhook_id: &str,
        path: &str,
        sha256: BodyHash,
        answer: impl FnOnce(u32) -> u16,
    ) -> &Arrival {
        let (webhook_id, path): (Arc<str>, Arc<str>) = (webhook_id.into(), path.into());
        let tally = self.tallies.entry((webhook_id.clone(), path.clone())).or_default();
        tally.attempts += 1;
        let attempt = tally.attempts;
        let status = answer(attempt);
        let arrival =
            Arrival { webhook_id, path, sha256, attempt, status, received: Instant::now() };
        if arrival.accepted() {
            tally.acceptances += 1;
            if tally.acceptances == 1 {
                self.delivered += 1;
            } else {
                self.duplicates += 1;
            }
        }
        let index = self.arrivals.len();
        self.arrivals.push(arrival);
        &self.arrivals[index]
    }

    /// Notes that a request to this path had no signature of its endpoint's secret.
    pub fn note_badly_signed(&mut self, path: &str) {
        *self.badly_signed.entry(path.to_owned()).or_default() += 1;
    }

    /// Requests without a valid signature, by path and query, if the sink verifies any.
    pub fn badly_signed(&self) -> &BTreeMap<String, usize> {
        &self.badly_signed
    }

    /// Everything that came.
    pub fn arrivals(&self) -> &[Arrival] {
        &self.arrivals
    }

    /// What came for one message.
    pub fn of<'a>(&'a self, webhook_id: &'a str) -> impl Iterator<Item = &'a Arrival> {
        self.arrivals.iter().filter(move |arrival| &*arrival.webhook_id == webhook_id)
    }

    /// Distinct webhook-ids, sorted.
    pub fn ids(&self) -> Vec<Arc<str>> {
        let mut ids: Vec<_> = self.tallies.keys().map(|(id, _)| id.clone()).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// Deliveries that were accepted at least once.
    pub fn delivered(&self) -> usize {
        self.delivered
    }

    /// Acceptances beyond the first of a delivery.
    pub fn duplicates(&self) -> usize {
        self.duplicates
    }

    /// All counts.
    pub fn summary(&self) -> Summary {
        let mut paths = BTreeMap::<String, usize>::new();
        let mut statuses = BTreeMap::<u16, usize>::new();
        for arrival in &self.arrivals {
            *paths.entry(arrival.path.to_string()).or_default() += 1;
            *statuses.entry(arrival.status).or_default() += 1;
        }
        Summary {
            requests: self.arrivals.len(),
            delivered: self.delivered,
            duplicates: self.duplicates,
            paths,
            statuses,
        }
    }
}
