//! Tasks: what is to be sent again in bulk, added to the endpoint's replays a few at a time.
//!
//! A task is taken up when its nudge arrives: all that was in the stream before is in hand then, waits,
//! or has ended, and so nothing is sent again that is still on its way. At takeover the new owner
//! nudges itself for the tasks that run. A step that failed is made again, under the same number, with
//! the next tick.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    mem,
    sync::Arc,
    time::Duration,
};

use actix::Context;
use shared::{
    domain::{Delivery, Destination, Generation, Progress, Strand, TaskStatus, TrackedTask},
    id::{MessageId, TaskId},
    selection::{Picked, Selecting},
    store::{Advanced, Ask, EntryId, Result, Step},
    time::Millis,
};
use tokio::time::Instant;

use super::{Event, LaneActor};
use crate::{
    parts::Parts,
    persist::{survived, until_answered},
    tenure::Tenure,
};

/// While so many replays of an endpoint are due, none are added: they take up memory of the store.
const ENOUGH_DUE: usize = 256;
/// The same with those that wait for their next attempt.
const ENOUGH_WAITING: u64 = 4096;
/// Before a step that had to wait, or failed, is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// The tasks that run in a lane.
#[derive(Default)]
pub(super) struct Replaying {
    tasks: BTreeMap<TaskId, Running>,
    /// Nudges whose tasks were not read yet.
    nudged: Vec<(Destination, EntryId)>,
    reading: bool,
}

impl Replaying {
    /// Whether there is no task to run, or to read.
    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.nudged.is_empty()
    }
}

/// A task that runs.
struct Running {
    tracked: TrackedTask,
    stepping: bool,
    /// When the next step is to be made.
    next: Instant,
    /// About how many of its endpoint's replays are due: the store knows better.
    due: usize,
}

/// What came of a step.
pub(crate) enum Stepped {
    /// The lane is another node's.
    Fenced,
    /// There is no such task any more.
    NoTask,
    /// So many replays are due, or wait, that none were added.
    Enough { due: usize },
    /// How far the task is now.
    Now { progress: Progress, due: usize },
}

impl LaneActor {
    /// A nudge for an endpoint's tasks arrived.
    pub(super) fn task_nudged(&mut self, destination: Destination, nudge: EntryId) {
        self.replaying.nudged.push((destination, nudge));
    }

    /// Nudges this lane for the tasks that run: they begin once all that is in the stream has arrived.
    pub(super) fn remind_of_tasks(&self) {
        let (parts, lane) = (Arc::clone(&self.parts), self.tenure.lane());
        actix_rt::spawn(async move {
            let tasks = until_answered(&parts.metrics, "read open tasks", async || {
                parts.store.open_tasks(lane).await
            })
            .await;
            let destinations: BTreeSet<_> =
                tasks.iter().map(|tracked| tracked.task.destination()).collect();
            for destination in destinations {
                until_answered(&parts.metrics, "nudge for tasks", async || {
                    parts.store.remind(destination).await
                })
                .await;
            }
        });
    }

    /// Reads the tasks of endpoints that were nudged. One call at a time.
    pub(super) fn read_tasks(&mut self, ctx: &mut Context<Self>) {
        if self.replaying.reading || self.replaying.nudged.is_empty() || self.draining {
            return;
        }
        self.replaying.reading = true;
        let nudged = mem::take(&mut self.replaying.nudged);
        let (parts, lane) = (Arc::clone(&self.parts), self.tenure.lane());
        self.run(ctx, async move {
            let tasks = until_answered(&parts.metrics, "read open tasks", async || {
                parts.store.open_tasks(lane).await
            })
            .await;
            Event::Tasks(nudged, tasks)
        });
    }

    pub(super) fn tasks_read(
        &mut self,
        nudged: Vec<(Destination, EntryId)>,
        mut tasks: Vec<TrackedTask>,
    ) {
        self.replaying.reading = false;
        let open: HashSet<TaskId> = tasks.iter().map(|tracked| tracked.task.id).collect();
        self.replaying.tasks.retain(|id, _| open.contains(id));
        tasks.retain(|tracked| {
            nudged.iter().any(|(destination, _)| *destination == tracked.task.destination())
        });
        for tracked in tasks {
            let running = Running { stepping: false, next: Instant::now(), due: 0, tracked };
            self.replaying.tasks.entry(running.tracked.task.id).or_insert(running);
        }
        self.to_forget.extend(nudged.into_iter().map(|(_, nudge)| nudge));
    }

    /// Makes the steps that it is time for.
    pub(super) fn step_tasks(&mut self, ctx: &mut Context<Self>) {
        if self.draining || self.replaying.tasks.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut steps = Vec::new();
        for running in self.replaying.tasks.values_mut() {
            if !running.stepping && running.next <= now {
                running.stepping = true;
                steps.push(running.tracked.clone());
            }
        }
        for tracked in steps {
            let busy = self.first_sendings(tracked.task.destination());
            let (parts, tenure) = (Arc::clone(&self.parts), Arc::clone(&self.tenure));
            self.run(ctx, async move {
                let stepped = survived(step(&parts, &tenure, &tracked, &busy)).await;
                Event::Stepped(tracked.task.id, stepped)
            });
        }
    }

    /// What of an endpoint is in hand as it was published.
    fn first_sendings(&self, destination: Destination) -> HashSet<MessageId> {
        let is_first = |delivery: &&Delivery| {
            delivery.generation == Generation(0) && delivery.destination() == destination
        };
        self.held.keys().filter(is_first).map(|delivery| delivery.message).collect()
    }

    pub(super) fn stepped(
        &mut self,
        id: TaskId,
        stepped: Result<Stepped>,
        ctx: &mut Context<Self>,
    ) {
        let now = Instant::now();
        let Some(running) = self.replaying.tasks.get_mut(&id) else { return };
        running.stepping = false;
        match stepped {
            Ok(Stepped::Fenced) => self.fenced(ctx),
            Ok(Stepped::NoTask) => {
                self.replaying.tasks.remove(&id);
            }
            Ok(Stepped::Enough { due }) => {
                running.due = due;
                running.next = now + PAUSE;
            }
            Ok(Stepped::Now { progress, due }) => {
                let added = progress.sent.saturating_sub(running.tracked.progress.sent);
                self.parts.metrics.replayed.inc_by(added);
                running.due = due + usize::try_from(added).unwrap_or(usize::MAX);
                running.next = if running.due < ENOUGH_DUE { now } else { now + PAUSE };
                let ended = progress.status != TaskStatus::Running;
                running.tracked.progress = progress;
                let queue = running.tracked.task.queue();
                if ended {
                    tracing::info!(task = %id, status = running.tracked.progress.status.name(), "task ended");
                    self.replaying.tasks.remove(&id);
                }
                if added > 0 {
                    self.seat(queue.destination(), now).backlog(Strand::Replay).look_again();
                    self.pump(queue.destination(), now, ctx);
                }
            }
            Err(error) => {
                self.parts.metrics.store_error(error.kind());
                tracing::warn!(task = %id, %error, "a step of a task failed, repeating");
                running.next = now + PAUSE;
            }
        }
    }

    /// A replay had its first attempt: there may be room for more before the next tick.
    pub(super) fn replay_settled(&mut self, destination: Destination) {
        for running in self.replaying.tasks.values_mut() {
            if running.tracked.task.destination() == destination {
                running.due = running.due.saturating_sub(1);
                if running.due < ENOUGH_DUE / 2 {
                    running.next = Instant::now();
                }
            }
        }
    }
}

/// Makes the next step of a task.
async fn step(
    parts: &Parts,
    tenure: &Tenure,
    TrackedTask { task, progress }: &TrackedTask,
    busy: &HashSet<MessageId>,
) -> Result<Stepped> {
    let ask = Ask { queue: task.queue(), parked: ENOUGH_DUE, retries: 0 };
    let Some(dues) = parts.store.due(tenure.fence(), &[ask]).await? else {
        return Ok(Stepped::Fenced);
    };
    let due = dues.first().map_or(0, |found| found.parked.len());
    let waiting = dues.first().map_or(0, |found| found.waiting);
    if due >= ENOUGH_DUE || waiting >= ENOUGH_WAITING {
        return Ok(Stepped::Enough { due });
    }
    let (picked, total) = match parts.routes.route(task.app, task.endpoint).await? {
        Some(route) => {
            let selecting =
                Selecting { store: &parts.store, task, endpoint: route.endpoint.as_ref() };
            let total = match progress.total {
                Some(total) => total,
                None => selecting.count().await?,
            };
            (selecting.pick(&progress.place, busy).await?, total)
        }
        // The store will say so, too, and end the task.
        None => (Picked { place: progress.place.clone(), ..Picked::default() }, 0),
    };
    let looked_at = progress.looked_at + picked.looked_at;
    let (status, total) = match picked.done {
        true => (TaskStatus::Finished, looked_at),
        false => (TaskStatus::Running, total.max(looked_at)),
    };
    let step = Step {
        task: task.clone(),
        number: progress.steps + 1,
        generation: Generation(Millis::now().0),
        again: picked.again,
        superseded: picked.superseded,
        looked_at: picked.looked_at,
        total,
        place: picked.place,
        status,
    };
    Ok(match parts.store.advance_task(tenure.fence(), &step).await? {
        Advanced::Fenced => Stepped::Fenced,
        Advanced::NoTask => Stepped::NoTask,
        Advanced::Now(progress) => Stepped::Now { progress, due },
    })
}
