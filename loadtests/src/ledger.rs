//! The sender's own account of what it meant to send and what came of it, in a file that outlives
//! every process: an intent is written before the request leaves, so nothing can be acknowledged
//! that the ledger does not know.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    sync::mpsc,
    thread::JoinHandle,
    time::Instant,
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::journal::BodyHash;

/// What became of one message, as far as its sender can know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was accepted: it must be delivered, or parked with a reason.
    Acked {
        /// The id that the server gave it.
        message: String,
    },
    /// A definite no: it must never be delivered.
    Refused {
        /// Status, or what kept the request from leaving.
        reason: String,
    },
    /// Nobody answered, or with an error that says nothing: it may or may not be delivered.
    Ambiguous {
        /// What happened instead of an answer.
        reason: String,
    },
}

/// Whether intents are on the disk before their requests leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// fsync before each send; waiting intents share one.
    Disk,
    /// The operating system writes when it likes: enough as long as the sender itself survives.
    System,
}

/// Where messages are due: the paths (with query) at the sink, by application. Where endpoints
/// subscribe to channels, by application and channel.
pub type Destinations = BTreeMap<String, Vec<String>>;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Destinations(Destinations),
    Intent { key: String, application: String, sha256: BodyHash },
    Outcome { key: String, outcome: Outcome },
}

/// A ledger being written.
#[derive(Debug)]
pub struct Ledger {
    lines: Option<mpsc::Sender<(Line, Option<oneshot::Sender<()>>)>>,
    flush: Flush,
    writer: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Ledger {
    /// Creates the file.
    pub fn create(path: &Path, destinations: Destinations, flush: Flush) -> anyhow::Result<Self> {
        let file = File::create(path)
            .with_context(|| format!("the ledger {} cannot be created", path.display()))?;
        let (lines, waiting) = mpsc::channel();
        lines.send((Line::Destinations(destinations), None))?;
        let writer = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || write(file, &waiting, flush))?;
        Ok(Self { lines: Some(lines), flush, writer: Some(writer) })
    }

    /// Writes down that this body is about to be sent, and returns when it is as safe as
    /// [`Flush`] says.
    pub async fn intend(
        &self,
        key: &str,
        application: &str,
        sha256: BodyHash,
    ) -> anyhow::Result<()> {
        let line = Line::Intent { key: key.into(), application: application.into(), sha256 };
        match self.flush {
            Flush::System => self.append(line, None),
            Flush::Disk => {
                let (written, wait) = oneshot::channel();
                self.append(line, Some(written))?;
                wait.await.context("the ledger's writer ended")
            }
        }
    }

    /// Writes down what came of it. More than one line may follow an intent: see [`Account`].
    pub fn conclude(&self, key: &str, outcome: Outcome) -> anyhow::Result<()> {
        self.append(Line::Outcome { key: key.into(), outcome }, None)
    }

    fn append(&self, line: Line, written: Option<oneshot::Sender<()>>) -> anyhow::Result<()> {
        let lines = self.lines.as_ref().context("the ledger is closed")?;
        lines.send((line, written)).ok().context("the ledger's writer ended")
    }

    /// Writes everything to the disk and says whether all of it got there.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.finish()
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.lines = None;
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => anyhow::bail!("the ledger's writer panicked"),
            None => Ok(()),
        }
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

fn write(
    file: File,
    waiting: &mpsc::Receiver<(Line, Option<oneshot::Sender<()>>)>,
    flush: Flush,
) -> anyhow::Result<()> {
    let mut file = BufWriter::new(file);
    while let Ok(first) = waiting.recv() {
        let mut written = Vec::new();
        for (line, reply) in std::iter::once(first).chain(waiting.try_iter().take(1024)) {
            serde_json::to_writer(&mut file, &line)?;
            file.write_all(b"\n")?;
            written.extend(reply);
        }
        if flush == Flush::Disk && !written.is_empty() {
            file.flush()?;
            file.get_ref().sync_data()?;
        }
        for reply in written {
            let _ = reply.send(());
        }
    }
    file.flush()?;
    Ok(file.get_ref().sync_data()?)
}

/// One message of a ledger that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The sender's own name for it.
    pub key: String,
    /// The application that it was sent to: its name in the [`Destinations`].
    pub application: String,
    /// Hash of the payload, which is the body that must arrive.
    pub sha256: BodyHash,
    /// What came of it. An intent without an outcome is ambiguous; an acknowledgement after an
    /// ambiguous try settles it, a refusal after one does not.
    pub outcome: Outcome,
    /// When its request began and when it was answered, if the sender still knows.
    pub moments: Option<(Instant, Instant)>,
}

/// A ledger read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Where acknowledged messages are due.
    pub destinations: Destinations,
    /// All intents, in the order in which they were written.
    pub entries: Vec<Entry>,
}

impl Account {
    /// Reads a file. A torn last line is dropped: its request had not left yet.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path)
            .with_context(|| format!("the ledger {} cannot be read", path.display()))?;
        let lines: Vec<String> = BufReader::new(file).lines().collect::<Result<_, _>>()?;
        let mut account = Self::default();
        let mut outcomes = Vec::<Option<Outcome>>::new();
        let mut by_key = HashMap::new();
        for (number, line) in lines.iter().enumerate() {
            match serde_json::from_str(line) {
                Ok(Line::Destinations(destinations)) => account.destinations = destinations,
                Ok(Line::Intent { key, application, sha256 }) => {
                    let known = by_key.insert(key.clone(), account.entries.len());
                    ensure!(known.is_none(), "line {}: {key} is intended twice", number + 1);
                    let outcome = Outcome::Ambiguous { reason: "no outcome written".into() };
                    account.entries.push(Entry {
                        key,
                        application,
                        sha256,
                        outcome,
                        moments: None,
                    });
                    outcomes.push(None);
                }
                Ok(Line::Outcome { key, outcome }) => {
                    let index = by_key.get(&key).with_context(|| {
                        format!("line {}: {key} has an outcome without an intent", number + 1)
                    })?;
                    let known = &mut outcomes[*index];
                    if known.is_none() || matches!(outcome, Outcome::Acked { .. }) {
                        *known = Some(outcome);
                    }
                }
                Err(_) if number + 1 == lines.len() => {}
                Err(error) => return Err(error).context(format!("line {}", number + 1)),
            }
        }
        for (entry, outcome) in account.entries.iter_mut().zip(outcomes) {
            if let Some(outcome) = outcome {
                entry.outcome = outcome;
            }
        }
        Ok(account)
    }
}
