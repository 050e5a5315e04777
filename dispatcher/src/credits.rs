//! Credits: what this process can hold. A permit travels with its delivery, from before its body is
//! read until the store has agreed to its settlement, and gives itself back when dropped.
//!
//! Whoever gets none waits for one, and these are given by turns: to one application after the other,
//! and within it first come, first served. Nothing lies idle while somebody can use it, but
//! - endpoints whose last attempt was no success share half of all, so they never starve the others;
//! - an application that holds a quarter of all gets more only while no other one can take it.

use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::Arc,
};

use parking_lot::Mutex;
use shared::id::AppId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies are weighed in units of this many bytes.
const WEIGHT_UNIT: usize = 1024;

/// The pools of one process.
#[derive(Clone)]
pub(crate) struct Credits {
    book: Arc<Mutex<Book>>,
    weight: Arc<Semaphore>,
    most: usize,
    most_weight: u32,
}

/// What is free and what is held, in this order.
pub(crate) struct Stock {
    pub(crate) deliveries: [usize; 2],
    pub(crate) bytes: [usize; 2],
}

/// The right to hold one delivery.
pub(crate) struct Permit {
    book: Arc<Mutex<Book>>,
    app: AppId,
    proven: bool,
    weight: Option<OwnedSemaphorePermit>,
}

/// Who has how many, and who waits.
struct Book {
    free: usize,
    /// How many of the free ones may go to endpoints that are not proven.
    unproven: usize,
    /// From here on an application steps back behind others.
    quarter: usize,
    shares: HashMap<AppId, Share>,
    /// Applications that wait, in the order of their turns…
    turns: VecDeque<AppId>,
    /// …and how many wait in all their lines.
    waiting: Waiting,
    /// Somebody is granting what can be granted.
    serving: bool,
}

/// How many wait, so that nobody is looked for who is not there.
#[derive(Default)]
struct Waiting {
    proven: usize,
    unproven: usize,
}

impl Waiting {
    fn line(&mut self, proven: bool) -> &mut usize {
        if proven { &mut self.proven } else { &mut self.unproven }
    }
}

/// One application.
#[derive(Default)]
struct Share {
    held: usize,
    /// Those that are proven never stand behind those that may get half of the credits only.
    proven: VecDeque<Give>,
    unproven: VecDeque<Give>,
    /// Which of the two was served last.
    served_proven: bool,
}

/// What is to happen with a permit.
type Give = Box<dyn FnOnce(Permit) + Send>;

impl Share {
    fn line(&mut self, proven: bool) -> &mut VecDeque<Give> {
        if proven { &mut self.proven } else { &mut self.unproven }
    }

    fn is_waiting(&self) -> bool {
        !self.proven.is_empty() || !self.unproven.is_empty()
    }

    /// Which line can be served next: by turns, if both can.
    fn next(&self, unproven_left: bool) -> Option<bool> {
        match (!self.proven.is_empty(), unproven_left && !self.unproven.is_empty()) {
            (true, true) => Some(!self.served_proven),
            (true, false) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }
}

impl Book {
    /// Takes a credit, if there is one of this kind.
    fn take(&mut self, app: AppId, proven: bool) -> bool {
        if self.free == 0 || (!proven && self.unproven == 0) {
            return false;
        }
        self.free -= 1;
        self.unproven -= usize::from(!proven);
        self.shares.entry(app).or_default().held += 1;
        true
    }

    fn give_back(&mut self, app: AppId, proven: bool) {
        self.free += 1;
        self.unproven += usize::from(!proven);
        if let Some(share) = self.shares.get_mut(&app) {
            share.held -= 1;
            if share.held == 0 && !share.is_waiting() {
                self.shares.remove(&app);
            }
        }
    }

    fn can_serve(&self, app: AppId) -> bool {
        self.shares.get(&app).is_some_and(|share| share.next(self.unproven > 0).is_some())
    }

    fn has_its_quarter(&self, app: AppId) -> bool {
        self.shares.get(&app).is_some_and(|share| share.held >= self.quarter)
    }

    /// Takes a credit for whoever's turn it is, if that can be granted: whose, whether for one that is
    /// proven, and what is to happen with it.
    fn serve(&mut self) -> Option<(AppId, bool, Give)> {
        let unproven_left = self.unproven > 0;
        let somebody_can = self.waiting.proven > 0 || (unproven_left && self.waiting.unproven > 0);
        if self.free == 0 || !somebody_can {
            return None;
        }
        let modest = |app: &AppId| !self.has_its_quarter(*app) && self.can_serve(*app);
        let place = self.turns.iter().position(modest);
        let place = place.or_else(|| self.turns.iter().position(|app| self.can_serve(*app)))?;
        let app = self.turns.remove(place)?;
        let share = self.shares.get_mut(&app)?;
        let proven = share.next(unproven_left)?;
        let give = share.line(proven).pop_front()?;
        *self.waiting.line(proven) -= 1;
        share.served_proven = proven;
        if share.is_waiting() {
            self.turns.push_back(app);
        }
        self.take(app, proven).then_some((app, proven, give))
    }
}

impl Credits {
    /// Pools for so many deliveries and so many bytes of bodies.
    pub(crate) fn new(deliveries: usize, bytes: usize) -> Self {
        let units = (bytes / WEIGHT_UNIT).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let book = Book {
            free: deliveries,
            unproven: (deliveries / 2).max(1),
            quarter: (deliveries / 4).max(1),
            shares: HashMap::new(),
            turns: VecDeque::new(),
            waiting: Waiting::default(),
            serving: false,
        };
        Self {
            book: Arc::new(Mutex::new(book)),
            weight: Arc::new(Semaphore::new(units)),
            most: deliveries,
            most_weight: units as u32,
        }
    }

    /// A permit, if there is one now that nobody waits for.
    pub(crate) fn try_take(&self, app: AppId, proven: bool) -> Option<Permit> {
        let mut book = self.book.lock();
        let modest = book.turns.is_empty() || !book.has_its_quarter(app);
        (modest && book.take(app, proven)).then(|| self.permit(app, proven))
    }

    /// Gives a permit as soon as it is this one's turn.
    pub(crate) fn want(
        &self,
        app: AppId,
        proven: bool,
        give: impl FnOnce(Permit) + Send + 'static,
    ) {
        let mut book = self.book.lock();
        let share = book.shares.entry(app).or_default();
        let joins = !share.is_waiting();
        share.line(proven).push_back(Box::new(give));
        *book.waiting.line(proven) += 1;
        if joins {
            book.turns.push_back(app);
        }
        drop(book);
        serve(&self.book);
    }

    fn permit(&self, app: AppId, proven: bool) -> Permit {
        Permit { book: Arc::clone(&self.book), app, proven, weight: None }
    }

    /// Adds the weight of a body to a permit; `false` if there is no room for it now, or others wait.
    pub(crate) fn weigh(&self, permit: &mut Permit, bytes: usize) -> bool {
        let units = self.units(bytes);
        if permit.weight.as_ref().is_some_and(|held| held.num_permits() >= units as usize) {
            return true;
        }
        permit.weight = Arc::clone(&self.weight).try_acquire_many_owned(units).ok();
        permit.weight.is_some()
    }

    /// Waits until there is room for a body. First come, first served: who wants little does not pass
    /// who wants much, which would otherwise wait for ever.
    pub(crate) async fn make_room(&self, permit: &mut Permit, bytes: usize) {
        permit.weight = None;
        // The pool is never closed.
        permit.weight = Arc::clone(&self.weight).acquire_many_owned(self.units(bytes)).await.ok();
    }

    /// How much of both there is.
    pub(crate) fn stock(&self) -> Stock {
        let free = self.book.lock().free;
        let room = self.weight.available_permits() * WEIGHT_UNIT;
        Stock {
            deliveries: [free, self.most.saturating_sub(free)],
            bytes: [room, self.most_weight as usize * WEIGHT_UNIT - room],
        }
    }

    fn units(&self, bytes: usize) -> u32 {
        bytes.div_ceil(WEIGHT_UNIT).min(self.most_weight as usize) as u32
    }
}

/// Grants what can be granted. What is given may be dropped at once and comes back here: whoever is at
/// it already sees to that, too.
fn serve(shared: &Arc<Mutex<Book>>) {
    let mut book = shared.lock();
    if mem::replace(&mut book.serving, true) {
        return;
    }
    while let Some((app, proven, give)) = book.serve() {
        drop(book);
        give(Permit { book: Arc::clone(shared), app, proven, weight: None });
        book = shared.lock();
    }
    book.serving = false;
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.book.lock().give_back(self.app, self.proven);
        serve(&self.book);
    }
}

#[cfg(test)]
#[path = "credits_tests.rs"]
mod tests;
