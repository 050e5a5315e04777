//! The embedded engine: the whole store in one directory, for one process.
//!
//! It owns the directory, the one thread that writes to it, and what is kept in memory beside it. It
//! must never answer a promise before the write behind it is as durable as configured, and never go on
//! after a failed write: what is on disk is then unknown.
//!
//! ```text
//! publish, settle, … ──▶ bounded channel ──▶ writer: one transaction, one fsync ──▶ answers
//! page, due, lists   ──▶ snapshot of what the last group left (never waiting for the next one)
//! ```
//!
//! | table | key | value |
//! |---|---|---|
//! | system | one letter (+ lane) | layout, clock, leases |
//! | documents | letter, ids or names | configuration, index, endpoint states, buckets, tasks |
//! | streams | lane, entry id | a delivery, a nudge or a fan-out |
//! | waiting | queue, score, delivery | as in members |
//! | members | queue, delivery | score, attempts, steps, when due (ordered queues) |
//! | agenda | queue | when it opens, how many wait |
//! | bodies | application, message | the message's record |
//! | lives | application, message | open deliveries and deadline of the body; below it, its resends |
//! | keys | application, dedup key | message, fingerprint, deadline |
//! | history | letter, list, stamp | log, attempts, dead letters, tallies |
//! | expiry | deadline, kind, what | what the sweep is to remove |

mod agenda;
mod bucket;
mod clock;
mod documents;
mod draft;
mod expiry;
mod fan_out;
mod history;
mod inspection;
mod keys;
mod lanes;
mod leases;
mod limits;
mod lives;
mod log;
mod marks;
mod publish;
mod reader;
mod records;
mod settle;
mod sweep;
mod tables;
mod tasks;
#[cfg(test)]
mod tests;
mod view;
mod vitals;
mod waiting;
mod writer;

use std::{
    num::NonZero,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, atomic::AtomicU64},
};

use fjall::{PersistMode, SingleWriterTxDatabase, Snapshot};
pub use inspection::{HEADROOM, Inspection, inspect};
pub use log::Log;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use self::{
    agenda::Agenda,
    clock::{Clock, Stamp},
    leases::LeaseBook,
    marks::{LaneMarks, QueueMarks},
    tables::{Table, Tables},
    view::View,
    writer::Writer,
};
use super::{Durability, ErrorKind, Lifetimes, Result, Store, StoreError, Swept, Vitals};
use crate::placement::{FORMAT, LANES_PER_SHARD, SHARDS};

/// The engine. Dropping it waits until the writer has finished what it was given.
pub struct Embedded {
    core: Arc<Core>,
    writer: Writer,
}

/// What writer, readers and sweep share.
struct Core {
    db: SingleWriterTxDatabase,
    tables: Tables,
    directory: PathBuf,
    durability: Durability,
    lifetimes: Lifetimes,
    clock: Clock,
    /// Greater with each opening of the directory.
    opened: Stamp,
    /// The store as the last group left it.
    published: RwLock<Published>,
    /// Why nothing works any more.
    failure: OnceLock<String>,
    leases: Mutex<LeaseBook>,
    agenda: Mutex<Agenda>,
    lane_marks: LaneMarks,
    queue_marks: QueueMarks,
    /// How far the sweep was behind when it last looked.
    sweep_lag_ms: AtomicU64,
    /// Wakes readers when entries were appended.
    appended: Notify,
}

/// What readers see. Only the writer takes snapshots, between two groups: one that is taken while a group
/// is being applied may show a part of it, because fjall lets snapshots see whatever is younger than the
/// last change of its own files, finished or not.
struct Published {
    snapshot: Snapshot,
    /// All records with stamps up to this one are in it.
    stamp: Stamp,
    /// The time of its last write, in milliseconds; 0 if there was none yet.
    at: u64,
}

/// Opens the store in this directory and creates it if there is none. Blocks while it reads what a
/// crash left behind.
///
/// # Errors
/// [`ErrorKind::Misconfigured`] if another process has it open, if it was written with another layout,
/// or if `durability` is one that a single node cannot keep; [`ErrorKind::Unavailable`] or
/// [`ErrorKind::Corrupt`] if it cannot be read.
pub fn open(
    directory: &Path,
    durability: Durability,
    lifetimes: Lifetimes,
) -> Result<Arc<Embedded>> {
    if durability == Durability::Replicated {
        return Err(StoreError::new(
            ErrorKind::Misconfigured,
            "the embedded store lives on one node: choose durability `disk`, or use redis",
        ));
    }
    create(directory)?;
    let db = open_database(directory)?;
    let tables = Tables::open(&db).map_err(unreadable)?;
    check_layout(&db, &tables)?;

    let clock = Clock::default();
    let stored = tables.get(Table::System, keys::CLOCK)?;
    let opened = Stamp::after(stored.as_deref().and_then(Stamp::decode), clock.now());
    let core = Arc::new(Core {
        directory: directory.to_owned(),
        durability,
        lifetimes,
        clock,
        opened,
        published: RwLock::new(Published { snapshot: db.read_tx(), stamp: opened, at: 0 }),
        failure: OnceLock::new(),
        leases: Mutex::new(LeaseBook::load(&tables)?),
        agenda: Mutex::new(Agenda::load(&tables)?),
        lane_marks: LaneMarks::new(opened),
        queue_marks: QueueMarks::default(),
        sweep_lag_ms: AtomicU64::new(0),
        appended: Notify::new(),
        tables,
        db,
    });
    let writer = Writer::start(Arc::clone(&core))?;
    Ok(Arc::new(Embedded { core, writer }))
}

fn open_database(directory: &Path) -> Result<SingleWriterTxDatabase> {
    // The first of fjall's workers leaves compactions to the others. While there is but one other, and
    // that one is busy, it takes the next compaction out of the queue and puts it back without a pause.
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let workers = cores.clamp(3, 4);
    let database = SingleWriterTxDatabase::builder(directory).worker_threads(workers).open();
    database.map_err(|error| match error {
        fjall::Error::Locked => StoreError::new(
            ErrorKind::Misconfigured,
            format!(
                "another process has the store in {} open: stop it, or choose another directory",
                directory.display()
            ),
        ),
        error => unreadable(error),
    })
}

/// Other users of the machine have no business in it: it holds secrets and payloads.
fn create(directory: &Path) -> Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
        let what = format!("cannot create the store's directory {}", directory.display());
        StoreError::caused_by(ErrorKind::Misconfigured, what, error)
    })
}

/// Writes the layout into a new store, and refuses one with another layout.
fn check_layout(db: &SingleWriterTxDatabase, tables: &Tables) -> Result<()> {
    let layout = format!("format {FORMAT}, {SHARDS} shards, {LANES_PER_SHARD} lanes per shard");
    match tables.get(Table::System, keys::LAYOUT)? {
        Some(found) if *found == *layout.as_bytes() => Ok(()),
        Some(found) => Err(StoreError::new(
            ErrorKind::Misconfigured,
            format!(
                "the store has {}, this version needs {layout}: use the version that wrote it, or an \
                 empty directory",
                String::from_utf8_lossy(&found)
            ),
        )),
        None => {
            let mut tx = db.write_tx().durability(Some(PersistMode::SyncAll));
            tx.insert(tables.keyspace(Table::System), keys::LAYOUT, layout.as_bytes());
            tx.commit().map_err(unreadable)
        }
    }
}

fn unreadable(error: fjall::Error) -> StoreError {
    StoreError::caused_by(ErrorKind::Unavailable, "the store's directory cannot be used", error)
}

fn corrupt(what: &str) -> StoreError {
    StoreError::new(ErrorKind::Corrupt, format!("the store holds {what} that cannot be read"))
}

impl Core {
    /// Fails once a write has failed.
    fn usable(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(failure) => Err(StoreError::new(
                ErrorKind::Unavailable,
                format!("the store stopped when a write failed, restart the process: {failure}"),
            )),
        }
    }

    /// What is committed now.
    ///
    /// Async functions read it directly: point reads and short ranges come from memory or the page
    /// cache in microseconds, which is less than handing them to another thread would cost. The price
    /// is a disk read on the caller's thread for each body that has waited long enough to grow cold.
    fn view(&self) -> Result<View<'_>> {
        self.usable()?;
        let Published { snapshot, stamp, at } = &*self.published.read();
        Ok(View {
            core: self,
            snapshot: snapshot.clone(),
            now: self.clock.now(),
            published: *stamp,
            published_at: *at,
        })
    }

    /// Fails while there is too little room for new work.
    fn has_room(&self) -> Result<()> {
        let free = inspection::free_bytes(&self.directory)?;
        if free >= HEADROOM {
            return Ok(());
        }
        Err(StoreError::new(
            ErrorKind::Full,
            format!("the store's disk has {free} bytes left: make room"),
        ))
    }
}

#[async_trait::async_trait]
impl Store for Embedded {
    fn durability(&self) -> Durability {
        self.core.durability
    }

    fn spans_shards(&self) -> bool {
        true
    }

    async fn ready(&self) -> Result<()> {
        self.core.usable()?;
        self.writer.is_running()?;
        self.core.has_room()
    }

    async fn incarnation(&self) -> Result<String> {
        self.core.usable()?;
        Ok(format!("{:x}", self.core.opened.0))
    }

    async fn sweep(&self) -> Result<Swept> {
        self.writer.write(false, sweep::sweep).await
    }

    async fn vitals(&self) -> Result<Vitals> {
        self.core.vitals()
    }
}
