//! Tasks: many deliveries of one endpoint that are sent again, step by step.
//!
//! A gateway begins a task and may cancel it; the owner of the endpoint's lane makes its steps. A step
//! is one write: it adds deliveries to the endpoint's waiting set and says where the next step begins,
//! so that a crash in between neither loses nor doubles anything.

use super::{Cursor, Fence, Page, PageRequest, Result};
use crate::{
    domain::{Destination, Generation, Progress, Task, TaskStatus, TrackedTask},
    id::{MessageId, TaskId},
    placement::Lane,
};

/// To how many messages one step can go.
pub const MAX_STEP: usize = 256;

/// What became of the wish for a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begun {
    /// It runs, or did before. Also the answer to a repetition.
    Begun,
    /// There is no such endpoint.
    NoEndpoint,
}

/// One step of a task.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// Whose.
    pub task: Task,
    /// Which, counted from 1.
    pub number: u64,
    /// Of what it sends: the time of the step, so that those of a long task have all of their retry
    /// schedule before them.
    pub generation: Generation,
    /// What is to be sent; at most [`MAX_STEP`], no message twice.
    pub again: Vec<Again>,
    /// Dead letters of the endpoint that go although nothing is sent for them.
    pub superseded: Vec<Cursor>,
    /// How many messages were looked at for it.
    pub looked_at: u64,
    /// How many there are to look at in all.
    pub total: u64,
    /// Where the next step begins.
    pub place: String,
    /// Whether the task goes on.
    pub status: TaskStatus,
}

/// A message that is sent again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Again {
    /// Which.
    pub message: MessageId,
    /// Its dead letter, which goes when it is sent.
    pub letter: Option<Cursor>,
}

/// What became of a step.
#[derive(Clone, PartialEq, Debug)]
pub enum Advanced {
    /// The caller does not own the lane: nothing was changed.
    Fenced,
    /// There is no such task any more.
    NoTask,
    /// How far the task is now: with this step, or without it where it was not the next one.
    Now(Progress),
}

/// Tasks.
#[async_trait::async_trait]
pub trait Tasks: Send + Sync {
    /// Stores a task and nudges the lane of its endpoint.
    ///
    /// - MUST be durable when answered.
    /// - Repeating it MUST leave the task as it is.
    async fn begin_task(&self, task: &Task) -> Result<Begun>;

    /// A task, while it runs and [`super::Lifetimes::history`] longer.
    async fn task(&self, task: TaskId) -> Result<Option<TrackedTask>>;

    /// All tasks by age. One that is gone is left out, so that a page can have fewer than `limit`
    /// without being the last one; an empty page ends the list.
    async fn tasks(&self, page: &PageRequest) -> Result<Page<TrackedTask>>;

    /// Ends a task that runs and nudges the lane; one that has ended MUST stay as it is. Answers how it
    /// is now. What its steps have added before is still sent.
    async fn cancel_task(&self, task: TaskId) -> Result<Option<TrackedTask>>;

    /// The tasks of a lane that run: what its new owner has to go on with. One that cannot be read is
    /// left out.
    async fn open_tasks(&self, lane: Lane) -> Result<Vec<TrackedTask>>;

    /// Nudges the lane of an endpoint for its tasks' sake: when the nudge arrives, all that was in the
    /// stream before has arrived too.
    async fn remind(&self, destination: Destination) -> Result<()>;

    /// Which of these messages wait for the endpoint in their first generation, in any strand.
    async fn waits(&self, destination: Destination, messages: &[MessageId]) -> Result<Vec<bool>>;

    /// Makes a step, as one atomic write.
    ///
    /// - It MUST change nothing unless the lane is held, the task runs, and the step is the next one.
    /// - Each message whose body lives MUST wait as [`Task::delivery`] says, due at once, behind all that was added before; its body MUST live [`super::Lifetimes::message`] from now, and its
    ///   dead letter goes. A message without body is counted in [`Progress::gone`], and its dead letter
    ///   MUST stay.
    /// - Where the endpoint was deleted nothing is added, and the task ends as
    ///   [`TaskStatus::EndpointDeleted`].
    /// - A task that ends MUST leave the open tasks of its lane in the same write.
    async fn advance_task(&self, fence: &Fence, step: &Step) -> Result<Advanced>;
}
