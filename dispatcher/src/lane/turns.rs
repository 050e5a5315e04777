//! Turns at limits that lanes share: cells are asked of the store for all endpoints of this lane that
//! stand under the same limits, and given to these by turns.
//!
//! They are asked for when work could start otherwise: window, breaker, gate and the endpoint's own
//! limits allow it. There are never more in hand than start within [`AHEAD`], or one, so that little is
//! lost when they cannot be used after all. Who has none sleeps until its cell is due.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use actix::{AsyncContext, Context, WrapFuture};
use shared::{
    domain::Destination,
    store::{Metered, Take},
};
use tokio::time::Instant;

use super::{Event, LaneActor, Seat};
use crate::{
    brain::{LEAD, Wants},
    named::Known,
    persist::until_answered,
    routes::Route,
};

/// Cells are taken no further ahead than this…
const AHEAD: Duration = Duration::from_millis(100);
/// …and in time for the next to be there when the last is due.
const AGAIN: Duration = Duration::from_millis(50);
const MOST_CELLS: usize = 256;

/// The right to start one attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    at: Instant,
    until: Instant,
}

/// The limits that an endpoint shares with others, and what it was given.
pub(super) struct Share {
    from: Arc<[Metered]>,
    /// By their times.
    cells: VecDeque<Cell>,
    /// It stands in the line of its group.
    waits: bool,
}

/// Endpoints under the same limits.
#[derive(Default)]
pub(super) struct Group {
    line: VecDeque<Destination>,
    /// When the last cell that was given is due.
    last: Option<Instant>,
    asking: bool,
    /// It will be asked for at a later time.
    later: bool,
}

/// What a cell says of an attempt that is prepared, or could be.
pub(super) enum Turn {
    /// Go on.
    Now,
    /// Its cell is not due before.
    At(Instant),
    /// It has none.
    None,
}

/// All groups of a lane, and those that want cells.
#[derive(Default)]
pub(super) struct Turns {
    groups: HashMap<Arc<[Metered]>, Group>,
    wanting: Vec<Arc<[Metered]>>,
}

impl Seat {
    /// Takes over which limits the endpoint shares.
    pub(super) fn take_over(&mut self, route: &Arc<Route>, known: Option<&Known>) {
        let names_limits = !route.endpoint.settings.shared_limits.is_empty();
        self.route = names_limits.then(|| Arc::clone(route));
        self.share(route, known);
    }

    /// The same, after named limits have changed.
    fn share(&mut self, route: &Route, known: Option<&Known>) {
        let names = route.endpoint.settings.shared_limits.iter();
        // A name that nobody defines limits nothing.
        let named = names.filter_map(|name| known?.get(name));
        let mut from: Vec<_> = named.chain(route.application_limit.as_deref()).cloned().collect();
        from.sort_by(|one, other| one.bucket.cmp(&other.bucket));
        from.dedup_by(|one, other| one.bucket == other.bucket);
        let terms = |metered: &Metered| (metered.bucket.clone(), metered.limits.clone());
        let before = self.share.iter().flat_map(|share| share.from.iter().map(terms));
        if !before.eq(from.iter().map(terms)) {
            let new =
                |from: Vec<_>| Share { from: from.into(), cells: VecDeque::new(), waits: false };
            self.share = Some(from).filter(|from| !from.is_empty()).map(new);
        }
    }

    /// How many cells it lacks for what is prepared and for what could be.
    fn lacks(&mut self, now: Instant) -> usize {
        let free = match self.brain.wants(now) {
            Wants::Now(free) => free,
            Wants::AfterAttempt => 0,
            Wants::Until(_) | Wants::AfterChange => return 0,
        };
        let ready: usize = self.backlogs().map(|(_, backlog)| backlog.ready.len()).sum();
        let more = free.min(ready).min(self.brain.may_prepare(now));
        let has = self.share.as_ref().map_or(usize::MAX, |share| share.cells.len());
        (self.brain.prepared() + more).saturating_sub(has)
    }

    /// How long limits, its own and those that it shares, hold up the next attempt.
    pub(super) fn limits_wait(&self, now: Instant) -> Option<Duration> {
        let own = self.brain.limited_until(now);
        let shared = self.share.as_ref().and_then(|share| match share.cells.front() {
            Some(cell) => Some(cell.at),
            // It stands in line.
            None => share.waits.then_some(now),
        });
        let until = own.into_iter().chain(shared).max();
        until.map(|until| until.saturating_duration_since(now))
    }

    /// What the cell says that follows after so many others.
    fn turn(&mut self, nth: usize, from: Instant) -> Turn {
        match &self.share {
            None => Turn::Now,
            Some(share) => match share.cells.get(nth) {
                Some(cell) if cell.at <= from => Turn::Now,
                Some(cell) => Turn::At(cell.at),
                None => Turn::None,
            },
        }
    }
}

impl LaneActor {
    /// Whether one more attempt may be prepared: its cell is due soon. If not, it will be.
    pub(super) fn may_prepare(&mut self, destination: Destination, now: Instant) -> bool {
        self.drop_late_cells(destination, now);
        let Some(seat) = self.seats.get_mut(&destination) else { return false };
        let turn = seat.turn(seat.brain.prepared(), now + LEAD);
        if let Turn::At(time) = turn {
            self.set_timer(destination, time - LEAD);
        }
        let now_or_never = matches!(turn, Turn::Now);
        if !now_or_never {
            self.want_turns(destination, now);
        }
        now_or_never
    }

    /// What the next cell says of an attempt that is prepared.
    pub(super) fn turn(&mut self, destination: Destination, now: Instant) -> Turn {
        self.drop_late_cells(destination, now);
        let Some(seat) = self.seats.get_mut(&destination) else { return Turn::None };
        let turn = seat.turn(0, now);
        if matches!(turn, Turn::None) {
            self.want_turns(destination, now);
        }
        turn
    }

    /// An attempt starts.
    pub(super) fn use_turn(&mut self, destination: Destination) {
        if let Some(share) = self.seats.get_mut(&destination).and_then(|seat| seat.share.as_mut()) {
            share.cells.pop_front();
        }
    }

    /// Gives what an endpoint cannot use to others.
    pub(super) fn give_back_turns(&mut self, destination: Destination, now: Instant) {
        let seat = self.seats.get_mut(&destination);
        let Some(share) = seat.and_then(|seat| seat.share.as_mut()) else { return };
        let (from, cells) = (Arc::clone(&share.from), std::mem::take(&mut share.cells));
        if !cells.is_empty() {
            self.deal(&from, cells.into(), now);
        }
    }

    fn drop_late_cells(&mut self, destination: Destination, now: Instant) {
        let seat = self.seats.get_mut(&destination);
        let Some(share) = seat.and_then(|seat| seat.share.as_mut()) else { return };
        while share.cells.pop_front_if(|cell| cell.until < now).is_some() {
            self.parts.metrics.cells_unused.inc();
        }
    }

    /// Joins the line, if cells are lacking.
    fn want_turns(&mut self, destination: Destination, now: Instant) {
        let Some(seat) = self.seats.get_mut(&destination) else { return };
        if seat.lacks(now) == 0 {
            return;
        }
        let Some(share) = &mut seat.share else { return };
        let group = self.turns.groups.entry(Arc::clone(&share.from)).or_default();
        if !std::mem::replace(&mut share.waits, true) {
            group.line.push_back(destination);
        }
        if !group.asking && !group.later {
            self.turns.wanting.push(Arc::clone(&share.from));
        }
    }

    /// Asks for the cells that are wanted, unless there are some for a while.
    pub(super) fn ask_for_turns(&mut self, ctx: &mut Context<Self>) {
        if self.draining {
            return;
        }
        let now = Instant::now();
        for from in std::mem::take(&mut self.turns.wanting) {
            let Some(group) = self.turns.groups.get_mut(&from) else { continue };
            if group.asking || group.later || group.line.is_empty() {
                continue;
            }
            if let Some(wait) = group.last.and_then(|last| last.checked_duration_since(now + AGAIN))
                && !wait.is_zero()
            {
                group.later = true;
                ctx.run_later(wait, move |me, ctx| {
                    if let Some(group) = me.turns.groups.get_mut(&from) {
                        group.later = false;
                        me.turns.wanting.push(from);
                        me.finish(ctx);
                    }
                });
                continue;
            }
            group.asking = true;
            let mut cells = 0;
            for destination in group.line.iter().take(MOST_CELLS) {
                cells += self.seats.get_mut(destination).map_or(0, |seat| seat.lacks(now));
            }
            let cells = cells.min(MOST_CELLS);
            let take = Take { buckets: from.to_vec(), cells, spread: AHEAD };
            let parts = Arc::clone(&self.parts);
            self.run(ctx, async move {
                let (sent, granted) = until_answered(&parts.metrics, "take cells", async || {
                    let sent = Instant::now();
                    Ok((sent, parts.store.take(&take).await?))
                })
                .await;
                let zero = parts.store_clock.read(sent, Instant::now(), granted.at);
                let good_for = from.iter().map(Metered::good_for).min().unwrap_or_default();
                let cell = |delay| Cell { at: zero + delay, until: zero + delay + good_for };
                Event::Granted(from, granted.cells.into_iter().map(cell).collect())
            });
        }
    }

    /// Cells came: everybody in line gets one, by turns.
    pub(super) fn granted(
        &mut self,
        from: &Arc<[Metered]>,
        cells: Vec<Cell>,
        ctx: &mut Context<Self>,
    ) {
        let now = Instant::now();
        if let Some(group) = self.turns.groups.get_mut(from) {
            group.asking = false;
            group.last = cells.last().map(|cell| cell.at).max(group.last);
        }
        for destination in self.deal(from, cells, now) {
            self.pump(destination, now, ctx);
        }
        // Who did not get any waits on.
        self.turns.wanting.push(Arc::clone(from));
    }

    /// Deals cells to those in line; who got some.
    fn deal(&mut self, from: &Arc<[Metered]>, cells: Vec<Cell>, now: Instant) -> Vec<Destination> {
        let mut dealt = Vec::new();
        let Some(group) = self.turns.groups.get_mut(from) else { return dealt };
        for cell in cells {
            let taker = loop {
                let Some(destination) = group.line.pop_front() else { break None };
                let Some(seat) = self.seats.get_mut(&destination) else { continue };
                let lacks = seat.lacks(now);
                // It may have moved to another group meanwhile.
                let share = seat.share.as_mut().filter(|share| share.from == *from);
                let Some(share) = share else { continue };
                share.waits = lacks > 1;
                if share.waits {
                    group.line.push_back(destination);
                }
                if lacks > 0 {
                    let place = share.cells.partition_point(|other| other.at <= cell.at);
                    share.cells.insert(place, cell);
                    break Some(destination);
                }
            };
            match taker {
                Some(destination) if !dealt.contains(&destination) => dealt.push(destination),
                Some(_) => {}
                None => self.parts.metrics.cells_unused.inc(),
            }
        }
        dealt
    }

    /// Hears of changes of named limits as long as the lane lives.
    pub(super) fn watch_named_limits(&self, ctx: &mut Context<Self>) {
        let (mut news, me) = (self.parts.named.subscribe(), ctx.address());
        let watch = async move {
            while news.changed().await.is_ok() {
                if me.send(Event::LimitsChanged).await.is_err() {
                    break;
                }
            }
        };
        ctx.spawn(watch.into_actor(self));
    }

    /// Named limits have changed: everybody goes on with those of now.
    pub(super) fn limits_changed(&mut self, ctx: &mut Context<Self>) {
        let (now, known) = (Instant::now(), self.parts.named.known());
        let sharing = self.seats.iter().filter(|(_, seat)| seat.route.is_some());
        let sharing: Vec<_> = sharing.map(|(destination, _)| *destination).collect();
        for destination in sharing {
            if let Some(seat) = self.seats.get_mut(&destination)
                && let Some(route) = seat.route.clone()
            {
                seat.share(&route, known.as_ref());
                self.pump(destination, now, ctx);
            }
        }
    }

    /// Forgets groups that nobody stands in.
    pub(super) fn forget_idle_groups(&mut self, now: Instant) {
        self.turns.groups.retain(|_, group| {
            let due = group.last.is_some_and(|last| last > now);
            group.asking || group.later || due || !group.line.is_empty()
        });
    }
}
