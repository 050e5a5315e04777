//! Tasks: a hash for each, a set of those that run for each lane, and one list of all.

use std::{collections::HashMap, time::Duration};

use ::redis::{cmd, pipe};

use super::{
    Redis,
    entry::pack_nudge,
    error::corrupt,
    keys,
    leases::fence_text,
    millis,
    scripts::{ADVANCE_TASK, BEGIN_TASK, CANCEL_TASK, Call},
};
use crate::{
    domain::{Destination, Progress, Strand, Task, TaskStatus, TrackedTask},
    id::{AppId, MessageId, TEXT_LEN, TaskId},
    placement::{Lane, Shard},
    store::{
        Advanced, Again, Begun, Cursor, Fence, NudgeKind, Page, PageRequest, Result, Step, Tasks,
    },
    time::Millis,
};

/// The list of tasks keeps them so many times as long as history lives: those that run long, and after
/// their end.
const LISTED: u32 = 2;

#[async_trait::async_trait]
impl Tasks for Redis {
    async fn begin_task(&self, task: &Task) -> Result<Begun> {
        // First, so that a task that runs is always listed. One that was not stored is left out.
        let mut listing = pipe();
        listing.cmd("ZADD").arg(keys::tasks()).arg(0).arg(listed(task.id, task.app)).ignore();
        let oldest = oldest_listed(task.created_at, self.lifetimes.history);
        listing.cmd("ZREMRANGEBYLEX").arg(keys::tasks()).arg("-").arg(format!("({oldest}"));
        listing.ignore();
        let () = self.ask_all(&listing).await?;

        let doc =
            serde_json::to_vec(task).map_err(|error| corrupt("a task cannot be written", error))?;
        let lane = task.queue().lane();
        let mut call = Call::new(&BEGIN_TASK);
        call.key(keys::app(task.app))
            .key(keys::task(lane.shard(), task.id))
            .key(keys::open_tasks(lane))
            .key(keys::lane(lane))
            .arg(keys::endpoint_field(task.endpoint))
            .arg(task.id.bare().to_string())
            .arg(doc)
            .arg(nudge(task.destination()));
        let answer: String = self.write(&call).await?;
        match answer.as_str() {
            "begun" => Ok(Begun::Begun),
            "endpoint" => Ok(Begun::NoEndpoint),
            other => Err(corrupt("the script begin_task gave an unknown answer", other)),
        }
    }

    async fn task(&self, task: TaskId) -> Result<Option<TrackedTask>> {
        let first = format!("[{}", task.bare());
        let last = format!("({}~", task.bare());
        let mut command = cmd("ZRANGE");
        command.arg(keys::tasks()).arg(first).arg(last).arg("BYLEX").arg("LIMIT").arg(0).arg(1);
        let found: Vec<String> = self.ask(&command).await?;
        let found = found.iter().map(|member| parse_listed(member)).collect::<Result<Vec<_>>>()?;
        Ok(self.tracked(&found).await?.pop().flatten())
    }

    async fn tasks(&self, page: &PageRequest) -> Result<Page<TrackedTask>> {
        let mut after = page.after.clone();
        loop {
            let (members, done) = self.listed(keys::tasks(), after.as_ref(), page).await?;
            let named =
                members.iter().map(|member| parse_listed(member)).collect::<Result<Vec<_>>>()?;
            let tracked = self.tracked(&named).await?;
            let entries = members.iter().cloned().zip(tracked);
            let entries = entries.filter_map(|(member, task)| Some((Cursor(member), task?)));
            let entries: Vec<_> = entries.collect();
            if done || !entries.is_empty() {
                return Ok(Page { entries, done });
            }
            after = members.into_iter().next_back().map(Cursor);
        }
    }

    async fn cancel_task(&self, id: TaskId) -> Result<Option<TrackedTask>> {
        let Some(TrackedTask { task, .. }) = self.task(id).await? else { return Ok(None) };
        let lane = task.queue().lane();
        let mut call = Call::new(&CANCEL_TASK);
        call.key(keys::task(lane.shard(), id))
            .key(keys::open_tasks(lane))
            .key(keys::lane(lane))
            .arg(id.bare().to_string())
            .arg(nudge(task.destination()))
            .number(millis(self.lifetimes.history));
        let _: u64 = self.write(&call).await?;
        Ok(self.tracked(&[(id, task.app)]).await?.pop().flatten())
    }

    async fn open_tasks(&self, lane: Lane) -> Result<Vec<TrackedTask>> {
        let ids: Vec<String> = self.ask(cmd("SMEMBERS").arg(keys::open_tasks(lane))).await?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for id in &ids {
            let id = TaskId::from_bare(id).map_err(|error| corrupt("not a task's id", error))?;
            pipeline.cmd("HGETALL").arg(keys::task(lane.shard(), id));
        }
        let found: Vec<HashMap<String, Vec<u8>>> = self.ask_all(&pipeline).await?;
        // One of a newer version is left for a dispatcher of that version.
        let mut tasks: Vec<_> =
            found.iter().filter_map(|fields| parse(fields).ok().flatten()).collect();
        tasks.sort_by_key(|tracked| tracked.task.id);
        Ok(tasks)
    }

    async fn remind(&self, destination: Destination) -> Result<()> {
        let lane = destination.queue(Strand::Live).lane();
        let mut command = cmd("XADD");
        command.arg(keys::lane(lane)).arg("*").arg("n").arg(nudge(destination));
        self.serving.command(&command).await
    }

    async fn waits(&self, destination: Destination, messages: &[MessageId]) -> Result<Vec<bool>> {
        let mut waits = vec![false; messages.len()];
        if messages.is_empty() {
            return Ok(waits);
        }
        let sets = Strand::of_first_sendings().map(|strand| keys::wait(destination.queue(strand)));
        let sets: Vec<String> = sets.collect();
        let mut existing = pipe();
        for set in &sets {
            existing.cmd("EXISTS").arg(set);
        }
        let existing: Vec<bool> = self.serving.pipeline(&existing).await?;
        for (set, _) in sets.iter().zip(existing).filter(|(_, exists)| *exists) {
            let mut command = cmd("ZMSCORE");
            command.arg(set);
            for message in messages {
                command.arg(message.bare().as_str());
            }
            let scores: Vec<Option<f64>> = self.serving.command(&command).await?;
            for (waits, score) in waits.iter_mut().zip(scores) {
                *waits |= score.is_some();
            }
        }
        Ok(waits)
    }

    async fn advance_task(&self, fence: &Fence, step: &Step) -> Result<Advanced> {
        let answer: Option<Vec<String>> = self.serving.call(&self.step_call(fence, step)).await?;
        match answer.as_deref() {
            None => Ok(Advanced::Fenced),
            Some([]) => Ok(Advanced::NoTask),
            Some(fields) => progress(fields).map(Advanced::Now),
        }
    }
}

impl Redis {
    /// Reads tasks; `None` where one is gone.
    async fn tracked(&self, named: &[(TaskId, AppId)]) -> Result<Vec<Option<TrackedTask>>> {
        if named.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = pipe();
        for (id, app) in named {
            pipeline.cmd("HGETALL").arg(keys::task(Shard::of(*app), *id));
        }
        let found: Vec<HashMap<String, Vec<u8>>> = self.ask_all(&pipeline).await?;
        found.iter().map(parse).collect()
    }

    fn step_call(&self, fence: &Fence, step: &Step) -> Call {
        let task = &step.task;
        let (queue, shard) = (task.queue(), Shard::of(task.app));
        let mut call = Call::new(&ADVANCE_TASK);
        call.key(keys::lease(fence.lane))
            .key(keys::task(shard, task.id))
            .key(keys::open_tasks(fence.lane))
            .key(keys::agenda(fence.lane))
            .key(keys::sequence(fence.lane))
            .key(keys::app(task.app))
            .key(keys::wait(queue))
            .key(keys::dead(shard, task.endpoint))
            .arg(fence_text(fence))
            .arg(task.id.bare().to_string())
            .number(step.number)
            .arg(step.status.name())
            .arg(step.place.clone())
            .number(step.looked_at)
            .number(step.total)
            .arg(keys::endpoint_field(task.endpoint))
            .arg(queue.member())
            .number(millis(self.lifetimes.message))
            .number(millis(self.lifetimes.retention))
            .number(millis(self.lifetimes.history))
            .count(step.superseded.len());
        for Cursor(letter) in &step.superseded {
            call.arg(letter.clone());
        }
        for Again { message, letter } in &step.again {
            let letter = letter.as_ref().map(|Cursor(letter)| letter.clone());
            call.key(keys::body(shard, *message))
                .key(keys::left(shard, *message))
                .arg(task.delivery(*message, step.generation).member())
                .arg(letter.unwrap_or_default());
        }
        call
    }
}

fn nudge(destination: Destination) -> String {
    pack_nudge(destination.queue(Strand::Live), NudgeKind::Task)
}

/// A task's place in the list.
fn listed(task: TaskId, app: AppId) -> String {
    format!("{}{}", task.bare(), app.bare())
}

fn parse_listed(member: &str) -> Result<(TaskId, AppId)> {
    member
        .split_at_checked(TEXT_LEN)
        .and_then(|(task, app)| Some((TaskId::from_bare(task).ok()?, AppId::from_bare(app).ok()?)))
        .ok_or_else(|| corrupt("the list of tasks names an unreadable one", member))
}

/// The first id that stays in the list: ids begin with the time at which they were made.
fn oldest_listed(now: Millis, history: Duration) -> String {
    let kept = millis(history.saturating_mul(LISTED));
    let oldest = u128::from(now.0.saturating_sub(kept)) << 80;
    TaskId::from_bits(oldest).bare().to_string()
}

/// The fields of a task's hash; nothing if there is no such hash.
fn parse(fields: &HashMap<String, Vec<u8>>) -> Result<Option<TrackedTask>> {
    let Some(doc) = fields.get("doc") else { return Ok(None) };
    let task =
        serde_json::from_slice(doc).map_err(|error| corrupt("a task cannot be read", error))?;
    let names = ["status", "steps", "total", "seen", "sent", "gone", "place", "at"];
    let values: Vec<String> = names
        .iter()
        .map(|name| {
            fields.get(*name).map(|value| String::from_utf8_lossy(value).into()).unwrap_or_default()
        })
        .collect();
    Ok(Some(TrackedTask { task, progress: progress(&values)? }))
}

/// How far a task is: the fields in the order of the script's answer.
fn progress(values: &[String]) -> Result<Progress> {
    let read = || {
        let [status, steps, total, seen, sent, gone, place, at] = values else { return None };
        Some(Progress {
            status: TaskStatus::from_name(status)?,
            steps: steps.parse().ok()?,
            total: match total.as_str() {
                "" => None,
                total => Some(total.parse().ok()?),
            },
            looked_at: seen.parse().ok()?,
            sent: sent.parse().ok()?,
            gone: gone.parse().ok()?,
            place: place.clone(),
            updated_at: Millis(at.parse().ok()?),
        })
    };
    read().ok_or_else(|| corrupt("the progress of a task cannot be read", values.join(" ")))
}
