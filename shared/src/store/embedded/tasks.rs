//! Tasks: a document for each, and a list of those that run for each lane.

use fjall::Slice;

use super::{
    Embedded, corrupt,
    draft::Draft,
    expiry::Expiring,
    history::place,
    keys::{self, Key, Score},
    lives::life,
    records::{self, Life, Member},
    tables::Table,
    view::Lookup,
};
use crate::{
    domain::{
        Delivery, Destination, Generation, Progress, Queue, Strand, Task, TaskStatus, TrackedTask,
    },
    id::{AppId, MessageId, TaskId},
    placement::Lane,
    store::{
        Advanced, Again, Begun, Cursor, ErrorKind, Fence, NudgeKind, Page, PageRequest, Result,
        Step, Tasks,
    },
    time::Millis,
};

#[async_trait::async_trait]
impl Tasks for Embedded {
    async fn begin_task(&self, task: &Task) -> Result<Begun> {
        self.core.has_room()?;
        let task = task.clone();
        self.writer.write(true, move |draft| begin(draft, task)).await
    }

    async fn task(&self, task: TaskId) -> Result<Option<TrackedTask>> {
        read(&self.core.view()?, task)
    }

    async fn tasks(&self, page: &PageRequest) -> Result<Page<TrackedTask>> {
        let view = self.core.view()?;
        view.list(Table::Documents, keys::tasks(), None, page, |_, json| decode(json).map(Some))
    }

    async fn cancel_task(&self, task: TaskId) -> Result<Option<TrackedTask>> {
        self.writer.write(true, move |draft| cancel(draft, task)).await
    }

    async fn open_tasks(&self, lane: Lane) -> Result<Vec<TrackedTask>> {
        let view = self.core.view()?;
        let prefix = keys::open_tasks(lane);
        let start = prefix.len();
        let open = view.prefix(Table::Documents, prefix).map(|item| {
            let (key, _) = item?;
            let task = records::Fields(&key[start..]).id().map(TaskId::from_bits);
            read(&view, task.ok_or_else(|| corrupt("an open task"))?)
        });
        // One of a newer version is left for a dispatcher of that version.
        open.filter_map(|task| match task {
            Err(error) if error.kind() == ErrorKind::Corrupt => None,
            task => task.transpose(),
        })
        .collect()
    }

    async fn remind(&self, destination: Destination) -> Result<()> {
        self.writer
            .write(false, move |draft| {
                nudge(draft, destination);
                Ok(())
            })
            .await
    }

    async fn waits(&self, destination: Destination, messages: &[MessageId]) -> Result<Vec<bool>> {
        let view = self.core.view()?;
        let mut waits = vec![false; messages.len()];
        for queue in Strand::of_first_sendings().map(|strand| destination.queue(strand)) {
            if self.core.agenda.lock().get(queue).is_none() {
                continue;
            }
            for (message, waits) in messages.iter().zip(&mut waits) {
                *waits |=
                    view.get(Table::Members, keys::member(&first(queue, *message)))?.is_some();
            }
        }
        Ok(waits)
    }

    async fn advance_task(&self, fence: &Fence, step: &Step) -> Result<Advanced> {
        self.core.has_room()?;
        let (fence, step) = (fence.clone(), step.clone());
        self.writer.write(false, move |draft| advance(draft, &fence, &step)).await
    }
}

/// A message's delivery as it was published.
fn first(queue: Queue, message: MessageId) -> Delivery {
    let Queue { app, endpoint, strand } = queue;
    Delivery { app, endpoint, strand, message, generation: Generation(0) }
}

fn decode(json: &[u8]) -> Result<TrackedTask> {
    serde_json::from_slice(json).map_err(|_| corrupt("a task"))
}

fn read(of: &impl Lookup, task: TaskId) -> Result<Option<TrackedTask>> {
    let found: Option<Slice> = of.get(Table::Documents, keys::task(task))?;
    found.map(|json| decode(&json)).transpose()
}

fn write(draft: &mut Draft<'_>, tracked: &TrackedTask) -> Result<()> {
    let json = serde_json::to_vec(tracked).map_err(|_| corrupt("a task"))?;
    let TrackedTask { task, progress } = tracked;
    let (key, open) = (keys::task(task.id), open(task));
    if progress.status == TaskStatus::Running {
        draft.put(Table::Documents, open, []);
    } else {
        let end = draft.now.after(draft.core.lifetimes.history);
        draft.expire(end, Expiring::Task, &key);
        draft.remove(Table::Documents, open);
    }
    draft.put(Table::Documents, key, json);
    Ok(())
}

/// A task's place among those that run.
fn open(task: &Task) -> Key {
    keys::open_tasks(task.queue().lane()).id(task.id.bits())
}

fn nudge(draft: &mut Draft<'_>, destination: Destination) {
    let queue = destination.queue(Strand::Live);
    draft.append(queue.lane(), records::encode_nudge(queue, NudgeKind::Task));
}

fn begin(draft: &mut Draft<'_>, task: Task) -> Result<Begun> {
    if read(draft, task.id)?.is_some() {
        return Ok(Begun::Begun);
    }
    let destination = task.destination();
    if draft.get(Table::Documents, keys::endpoint(task.queue()))?.is_none() {
        return Ok(Begun::NoEndpoint);
    }
    let progress = Progress::begun(draft.now);
    write(draft, &TrackedTask { task, progress })?;
    nudge(draft, destination);
    Ok(Begun::Begun)
}

fn cancel(draft: &mut Draft<'_>, task: TaskId) -> Result<Option<TrackedTask>> {
    let Some(mut tracked) = read(draft, task)? else { return Ok(None) };
    if tracked.progress.status == TaskStatus::Running {
        tracked.progress.status = TaskStatus::Cancelled;
        tracked.progress.updated_at = draft.now;
        write(draft, &tracked)?;
        nudge(draft, tracked.task.destination());
    }
    Ok(Some(tracked))
}

fn advance(draft: &mut Draft<'_>, fence: &Fence, step: &Step) -> Result<Advanced> {
    if !draft.core.leases.lock().holds(fence) {
        return Ok(Advanced::Fenced);
    }
    let Some(TrackedTask { task, mut progress }) = read(draft, step.task.id)? else {
        return Ok(Advanced::NoTask);
    };
    if progress.status != TaskStatus::Running || progress.steps + 1 != step.number {
        return Ok(Advanced::Now(progress));
    }
    let queue = task.queue();
    progress.updated_at = draft.now;
    progress.steps = step.number;
    if draft.get(Table::Documents, keys::endpoint(queue))?.is_none() {
        progress.status = TaskStatus::EndpointDeleted;
    } else {
        let mut removed: Vec<&Cursor> = step.superseded.iter().collect();
        for Again { message, letter } in &step.again {
            match add(draft, &task.delivery(*message, step.generation))? {
                Added::Waits => progress.sent += 1,
                Added::Already => {}
                Added::Gone => {
                    progress.gone += 1;
                    continue;
                }
            }
            removed.extend(letter);
        }
        for letter in removed {
            if let Ok(stamp) = place(letter) {
                draft.remove(Table::History, keys::dead_letters(queue).bytes(&stamp));
            }
        }
        progress.status = step.status;
        progress.total = Some(step.total);
        progress.looked_at += step.looked_at;
        progress.place.clone_from(&step.place);
    }
    let tracked = TrackedTask { task, progress };
    write(draft, &tracked)?;
    Ok(Advanced::Now(tracked.progress))
}

enum Added {
    Waits,
    Already,
    Gone,
}

/// Adds a delivery to the waiting set, if its body lives.
fn add(draft: &mut Draft<'_>, delivery: &Delivery) -> Result<Added> {
    let (app, message): (AppId, MessageId) = (delivery.app, delivery.message);
    let old = match life(draft, app, message)? {
        Some(life) if life.until > draft.now => life,
        _ => return Ok(Added::Gone),
    };
    if draft.member(delivery)?.is_some() {
        return Ok(Added::Already);
    }
    let until = old.until.max(draft.now.after(draft.core.lifetimes.message));
    draft.live(app, message, Some(old), Life { until, open: old.open.saturating_add(1), ..old });
    let score = Score::Parked(draft.stamp());
    draft.wait(delivery, &Member { score, attempts: 0, steps: 0, not_before: Millis(0) });
    Ok(Added::Waits)
}
