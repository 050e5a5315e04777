//! Tasks.

use shared::{
    domain::{Delivery, Destination, Generation, Progress, Strand, Task, TaskStatus, TrackedTask},
    id::{MessageId, TaskId},
    placement::Lane,
    store::{
        Advanced, Again, Begun, Cursor, Entry, Fence, NudgeKind, Page, PageRequest, Result, Step,
        Tasks,
    },
    time::Millis,
};
use tokio::time::Instant;

use super::{Model, Score, State, Wait, history::page};

#[async_trait::async_trait]
impl Tasks for Model {
    async fn begin_task(&self, task: &Task) -> Result<Begun> {
        let mut state = self.state();
        if state.tasks.contains_key(&task.id) {
            return Ok(Begun::Begun);
        }
        if !state.has_endpoint(task.queue()) {
            return Ok(Begun::NoEndpoint);
        }
        let progress = Progress::begun(Millis::now());
        state.tasks.insert(task.id, TrackedTask { task: task.clone(), progress });
        state.nudge_for_tasks(task.destination());
        self.appended.notify_waiters();
        Ok(Begun::Begun)
    }

    async fn task(&self, task: TaskId) -> Result<Option<TrackedTask>> {
        Ok(self.state().tasks.get(&task).cloned())
    }

    async fn tasks(&self, request: &PageRequest) -> Result<Page<TrackedTask>> {
        let state = self.state();
        let list = state.tasks.iter();
        Ok(page(list.map(|(id, task)| (id.bare().to_string(), task.clone())), request))
    }

    async fn cancel_task(&self, task: TaskId) -> Result<Option<TrackedTask>> {
        let mut state = self.state();
        let Some(tracked) = state.tasks.get_mut(&task) else { return Ok(None) };
        let runs = tracked.progress.status == TaskStatus::Running;
        if runs {
            tracked.progress.status = TaskStatus::Cancelled;
            tracked.progress.updated_at = Millis::now();
        }
        let tracked = tracked.clone();
        if runs {
            state.nudge_for_tasks(tracked.task.destination());
            self.appended.notify_waiters();
        }
        Ok(Some(tracked))
    }

    async fn open_tasks(&self, lane: Lane) -> Result<Vec<TrackedTask>> {
        let state = self.state();
        let runs = |tracked: &&TrackedTask| {
            tracked.task.queue().lane() == lane && tracked.progress.status == TaskStatus::Running
        };
        Ok(state.tasks.values().filter(runs).cloned().collect())
    }

    async fn remind(&self, destination: Destination) -> Result<()> {
        self.state().nudge_for_tasks(destination);
        self.appended.notify_waiters();
        Ok(())
    }

    async fn waits(&self, destination: Destination, messages: &[MessageId]) -> Result<Vec<bool>> {
        let state = self.state();
        let waits = |message: &MessageId| {
            let mut members = state.waiting.values().flat_map(|set| set.keys());
            members.any(|delivery| {
                delivery.destination() == destination
                    && delivery.message == *message
                    && delivery.generation == Generation(0)
                    && delivery.strand != Strand::Replay
            })
        };
        Ok(messages.iter().map(waits).collect())
    }

    async fn advance_task(&self, fence: &Fence, step: &Step) -> Result<Advanced> {
        let mut state = self.state();
        if !state.holds(fence) {
            return Ok(Advanced::Fenced);
        }
        let Some(TrackedTask { task, mut progress }) = state.tasks.get(&step.task.id).cloned()
        else {
            return Ok(Advanced::NoTask);
        };
        if progress.status != TaskStatus::Running || progress.steps + 1 != step.number {
            return Ok(Advanced::Now(progress));
        }
        progress.steps += 1;
        progress.updated_at = Millis::now();
        if state.has_endpoint(task.queue()) {
            let mut removed: Vec<&Cursor> = step.superseded.iter().collect();
            for Again { message, letter } in &step.again {
                if state.send_again(&task.delivery(*message, step.generation), &mut progress) {
                    removed.extend(letter);
                }
            }
            let places = removed.iter().filter_map(|Cursor(place)| place.parse::<usize>().ok());
            state.purged.extend(places);
            progress.status = step.status;
            progress.total = Some(step.total);
            progress.looked_at += step.looked_at;
            progress.place.clone_from(&step.place);
        } else {
            progress.status = TaskStatus::EndpointDeleted;
        }
        state.tasks.insert(task.id, TrackedTask { task, progress: progress.clone() });
        Ok(Advanced::Now(progress))
    }
}

impl State {
    fn nudge_for_tasks(&mut self, destination: Destination) {
        let queue = destination.queue(Strand::Live);
        self.append(queue.lane(), Entry::Nudge { queue, kind: NudgeKind::Task });
    }

    /// Whether the message still has its body.
    fn send_again(&mut self, delivery: &Delivery, progress: &mut Progress) -> bool {
        let now = Instant::now();
        let Some(body) = self.bodies.get_mut(&(delivery.app, delivery.message)) else {
            progress.gone += 1;
            return false;
        };
        let set = self.waiting.entry(delivery.queue()).or_default();
        if set.contains_key(delivery) {
            return true;
        }
        body.open += 1;
        body.expires = body.expires.max(now + self.lifetimes.message);
        self.last_park += 1;
        set.insert(
            *delivery,
            Wait { score: Score::Parked(self.last_park), not_before: None, attempts: 0, steps: 0 },
        );
        self.lower_agenda(delivery.queue(), now);
        progress.sent += 1;
        true
    }
}
