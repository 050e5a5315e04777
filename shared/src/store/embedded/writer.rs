//! The writer: one thread that turns whatever commands wait into one transaction and one fsync.
//!
//! There are no timers: while one group is being written, the next one gathers. After a failed write
//! every command is refused, because nobody knows what is on disk.

use std::{collections::HashMap, sync::Arc, thread::JoinHandle};

use tokio::sync::{mpsc, oneshot};

use super::{
    Core,
    draft::{Draft, Memory},
};
use crate::{
    store::{Durability, ErrorKind, Result, StoreError},
    time::Millis,
};

/// Commands that may wait for the writer; more wait for room.
const WAITING: usize = 256;
/// Commands in one group: bounds how long a group's first waits for its last.
const GROUP: usize = 128;

/// Tells a command's caller what became of it, once the group is written or lost.
type Answer = Box<dyn FnOnce(Option<&StoreError>) + Send>;

/// What a command did.
struct Applied {
    /// What went wrong after it may have written a part. Its group must not be committed.
    failure: Option<String>,
    answer: Answer,
}

/// A command.
struct Command {
    /// Whether its answer promises that it survives a power loss.
    durable: bool,
    apply: Box<dyn FnOnce(&mut Draft<'_>) -> Applied + Send>,
}

/// The way to the writer's thread.
pub(super) struct Writer {
    core: Arc<Core>,
    /// `None` only while it is dropped.
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(core: Arc<Core>) -> Result<Self> {
        let (commands, waiting) = mpsc::channel(WAITING);
        let shared = Arc::clone(&core);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || run(&shared, waiting))
            .map_err(|error| {
                let what = "cannot start the store's writer";
                StoreError::caused_by(ErrorKind::Unavailable, what, error)
            })?;
        Ok(Self { core, commands: Some(commands), thread: Some(thread) })
    }

    /// Fails if the thread has ended.
    pub(super) fn is_running(&self) -> Result<()> {
        match &self.commands {
            Some(commands) if !commands.is_closed() => Ok(()),
            _ => Err(stopped()),
        }
    }

    /// Runs a command in the writer and answers once its group is committed; with `durable`, once it
    /// is on disk as far as the configuration promises. A call that is dropped may still happen.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        durable: bool,
        command: impl FnOnce(&mut Draft<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.core.usable()?;
        let (answer, answered) = oneshot::channel();
        let apply = Box::new(move |draft: &mut Draft<'_>| {
            let outcome = command(draft);
            let failed = outcome.as_ref().err().filter(|error| !is_refusal(error));
            let failure = failed.map(ToString::to_string);
            let answer: Answer = Box::new(move |lost| {
                // A caller that is gone does not want to know.
                let _ = answer.send(match lost {
                    None => outcome,
                    Some(error) => Err(StoreError::new(error.kind(), error.to_string())),
                });
            });
            Applied { failure, answer }
        });
        let commands = self.commands.as_ref().ok_or_else(stopped)?;
        commands.send(Command { durable, apply }).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| {
            StoreError::new(ErrorKind::Ambiguous, "the store's writer stopped while it was writing")
        })?
    }
}

impl Drop for Writer {
    /// Waits for the writer, so that the directory is free again once the engine is gone.
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // It panicked: there is nothing left to wait for.
            let _ = thread.join();
        }
    }
}

fn stopped() -> StoreError {
    StoreError::new(ErrorKind::Unavailable, "the store's writer has stopped: restart the process")
}

/// Whether a command said no before it wrote anything, rather than failed.
fn is_refusal(error: &StoreError) -> bool {
    error.kind() == ErrorKind::Conflict
}

fn run(core: &Core, mut waiting: mpsc::Receiver<Command>) {
    let mut memory =
        Memory { stamp: core.opened, spans: HashMap::new(), expired: Millis::default() };
    while let Some(first) = waiting.blocking_recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(command) = waiting.try_recv()
        {
            group.push(command);
        }
        write(core, &mut memory, group);
    }
}

fn write(core: &Core, memory: &mut Memory, group: Vec<Command>) {
    let disk = core.durability == Durability::Disk;
    let mut draft = Draft::new(core, memory, disk && group.iter().any(|command| command.durable));
    let mut answers = Vec::with_capacity(group.len());
    // Commands that waited while the engine failed are refused with the rest.
    let mut outcome = core.usable();
    for command in group {
        let Applied { failure, answer } = (command.apply)(&mut draft);
        answers.push(answer);
        if let (Ok(()), Some(failure)) = (&outcome, failure) {
            tracing::error!(%failure, "store.failed");
            let _ = core.failure.set(failure);
            outcome = core.usable();
        }
    }
    if outcome.is_ok()
        && let Err(error) = draft.commit()
    {
        tracing::error!(%error, "store.failed");
        let _ = core.failure.set(error.to_string());
        outcome = Err(StoreError::caused_by(
            ErrorKind::Ambiguous,
            "the store could not finish a write",
            error,
        ));
    }
    for answer in answers {
        answer(outcome.as_ref().err());
    }
}
