//! What operations on tasks mean in a universe.

use shared::{
    domain::{Generation, Progress, Selection, Task, TaskKind, TaskStatus},
    id::TaskId,
    store::{Again, Order, Step},
    time::Millis,
};

use super::{
    call::Call,
    operation::Advance,
    universe::{Side, Universe},
};
use crate::bench::whole;

/// The progress without when it was made, which differs between stores.
pub(super) fn timeless(progress: Progress) -> Progress {
    Progress { updated_at: Millis(0), ..progress }
}

impl Universe {
    pub(super) fn begin_task(&self, endpoint: usize) -> Option<[Call; 2]> {
        let task = Task {
            id: TaskId::new(),
            app: self.queues[endpoint].app,
            endpoint: self.queues[endpoint].endpoint,
            kind: TaskKind::Recover,
            selection: Selection::default(),
            created_at: Millis::now(),
            extra: serde_json::Map::new(),
        };
        Some([(); 2].map(|()| Call::BeginTask(task.clone())))
    }

    pub(super) fn cancel_task(&self, nth: usize) -> Option<[Call; 2]> {
        let task = self.tasks.get(nth.checked_rem(self.tasks.len())?)?.id;
        Some([(); 2].map(|()| Call::CancelTask(task)))
    }

    pub(super) async fn advance(&self, advance: &Advance, step: usize) -> Option<[Call; 2]> {
        let task = self.tasks.get(advance.task.checked_rem(self.tasks.len())?)?;
        let ours: Vec<_> = self.messages.iter().filter(|(app, _)| *app == task.app).collect();
        let mut again: Vec<Again> = Vec::new();
        for nth in &advance.messages {
            let message = ours[nth % ours.len()].1;
            if again.iter().all(|other| other.message != message) {
                again.push(Again { message, letter: None });
            }
        }
        let steps = self.sides[0].store.task(task.id).await.unwrap().unwrap().progress.steps;
        let made = Step {
            task: task.clone(),
            number: if advance.late { steps } else { steps + 1 },
            generation: Generation(step as u64 + 1),
            again,
            superseded: vec![],
            looked_at: 3,
            total: 100,
            place: step.to_string(),
            status: if advance.ends { TaskStatus::Finished } else { TaskStatus::Running },
        };
        if self.may_differ(&made).await {
            return None;
        }
        let endpoint = self.queues.iter().position(|queue| queue.endpoint == task.endpoint)?;
        let fences = self.fences(endpoint, advance.owner);
        let mut calls = Vec::new();
        for (side, fence) in self.sides.iter().zip(fences) {
            let superseded = match advance.letter {
                Some(nth) if self.has(self.queues[endpoint]).await => {
                    side.letter(task, nth).await.into_iter().collect()
                }
                _ => vec![],
            };
            calls.push(Call::Advance(fence, Box::new(Step { superseded, ..made.clone() })));
        }
        calls.try_into().ok()
    }

    /// Whether the engine may still have a body that is gone in the model.
    pub(super) async fn may_differ(&self, step: &Step) -> bool {
        for Again { message, .. } in &step.again {
            let lives = self.lives(0, (step.task.app, *message)).await;
            if !lives && self.resent.contains(message) {
                return true;
            }
        }
        false
    }
}

impl Side {
    /// The place of an endpoint's nth dead letter.
    async fn letter(&self, task: &Task, nth: usize) -> Option<shared::store::Cursor> {
        let page = self.store.dead_letters(task.queue(), &whole(Order::OldestFirst)).await;
        let letters = page.unwrap().entries;
        letters.get(nth.checked_rem(letters.len())?).map(|(place, _)| place.clone())
    }
}
