//! Errands: what one thread wants done on another.
//!
//! To wake a thread costs both sides microseconds, more than most of what is to be done there. So what
//! comes up for another thread goes there together, once this one has done what it could do before.

use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    mem,
    sync::atomic::{AtomicU64, Ordering},
};

use actix::{Arbiter, ArbiterHandle};

/// Something to be done on another thread.
type Errand = Box<dyn FnOnce() + Send>;

thread_local! {
    static HERE: OnceCell<Thread> = const { OnceCell::new() };
    /// What this thread has for others.
    static BAGS: RefCell<HashMap<Number, Vec<Errand>>> = RefCell::default();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Number(u64);

/// A thread that runs errands.
#[derive(Debug, Clone)]
pub(crate) struct Thread {
    number: Number,
    arbiter: ArbiterHandle,
}

impl Thread {
    /// The thread of an arbiter, for those who are not on it.
    pub(crate) fn of(arbiter: ArbiterHandle) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: Number(NEXT.fetch_add(1, Ordering::Relaxed)), arbiter }
    }

    /// This thread.
    ///
    /// # Panics
    /// If no arbiter runs on it.
    pub(crate) fn here() -> Self {
        Self::with_here(Self::clone).unwrap_or_else(|| Self::of(Arbiter::current()))
    }

    /// Looks at this thread, if it has an arbiter.
    fn with_here<R>(look: impl FnOnce(&Self) -> R) -> Option<R> {
        let known = |here: &OnceCell<Self>| match here.get() {
            Some(here) => Some(look(here)),
            None => {
                let arbiter = Arbiter::try_current()?;
                Some(look(here.get_or_init(|| Self::of(arbiter))))
            }
        };
        HERE.try_with(known).ok().flatten()
    }

    /// Does it there, after what this thread wanted before: at once if that is here, otherwise soon. A
    /// thread that has stopped does nothing any more.
    pub(crate) fn run(&self, errand: impl FnOnce() + Send + 'static) {
        match Self::with_here(|here| here.number == self.number) {
            Some(true) => errand(),
            Some(false) => {
                let is_first = BAGS.with_borrow_mut(|bags| {
                    let bag = bags.entry(self.number).or_default();
                    bag.push(Box::new(errand));
                    bag.len() == 1
                });
                if is_first {
                    self.carry_later();
                }
            }
            None => _ = self.arbiter.spawn_fn(errand),
        }
    }

    /// Takes there what comes up in this turn of this thread.
    fn carry_later(&self) {
        let there = self.clone();
        let later = Self::with_here(|here| here.arbiter.spawn_fn(move || there.carry()));
        if later != Some(true) {
            // This one has stopped: it has no later.
            self.carry();
        }
    }

    /// Takes there what has come up.
    fn carry(&self) {
        let errands = BAGS.with_borrow_mut(|bags| bags.get_mut(&self.number).map(mem::take));
        let Some(errands) = errands else { return };
        self.arbiter.spawn_fn(move || errands.into_iter().for_each(|errand| errand()));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        thread::{self, ThreadId},
    };

    use super::*;

    /// What was done, and where.
    type Done = Arc<Mutex<Vec<(u32, ThreadId)>>>;

    fn errand(done: &Done, number: u32) -> impl FnOnce() + Send + 'static {
        let done = Arc::clone(done);
        move || done.lock().unwrap().push((number, thread::current().id()))
    }

    async fn until(done: &Done, count: usize) {
        while done.lock().unwrap().len() < count {
            actix_rt::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    #[actix_rt::test]
    async fn errands_are_run_there_in_order_and_here_at_once() {
        let (arbiter, done) = (Arbiter::new(), Done::default());
        let (here, there) = (Thread::here(), Thread::of(arbiter.handle()));
        for number in 0..100 {
            there.run(errand(&done, number));
        }
        here.run(errand(&done, 1000));
        assert_eq!(done.lock().unwrap().len(), 1, "nothing goes before this turn is over");
        until(&done, 101).await;
        there.run(errand(&done, 100));
        until(&done, 102).await;
        let done = done.lock().unwrap().clone();
        assert_eq!(done[0], (1000, thread::current().id()));
        let numbers: Vec<_> = done[1..].iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (0..=100).collect::<Vec<_>>());
        assert!(done[1..].iter().all(|(_, thread)| *thread == done[1].1 && *thread != done[0].1));
        arbiter.stop();
    }

    #[actix_rt::test]
    async fn a_thread_without_turns_sends_at_once() {
        let (arbiter, done) = (Arbiter::new(), Done::default());
        let (there, errand) = (Thread::of(arbiter.handle()), errand(&done, 0));
        thread::spawn(move || there.run(errand)).join().unwrap();
        until(&done, 1).await;
        arbiter.stop();
    }
}
