//! The board: what each lane of this process reported last.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use shared::placement::Lane;

use super::Report;

/// One a process. Its lock is held for as long as it takes to copy a few pointers.
#[derive(Debug, Default)]
pub(crate) struct Board {
    reports: Mutex<BTreeMap<Lane, (u64, Arc<Report>)>>,
    desks: AtomicU64,
}

/// A lane's place on the board: what it reported vanishes with it.
#[derive(Debug)]
pub(crate) struct Desk {
    board: Arc<Board>,
    lane: Lane,
    number: u64,
}

impl Board {
    /// A place for a lane that was taken.
    pub(crate) fn desk(self: &Arc<Self>, lane: Lane) -> Desk {
        let number = self.desks.fetch_add(1, Ordering::Relaxed);
        self.reports.lock().insert(lane, (number, Arc::default()));
        Desk { board: Arc::clone(self), lane, number }
    }

    /// What all lanes reported last.
    pub(crate) fn reports(&self) -> Vec<Arc<Report>> {
        self.reports.lock().values().map(|(_, report)| Arc::clone(report)).collect()
    }
}

impl Desk {
    /// Replaces what the lane reported before, unless the lane has been taken anew meanwhile.
    pub(crate) fn report(&self, report: Report) {
        let report = Arc::new(report);
        if let Some((number, before)) = self.board.reports.lock().get_mut(&self.lane)
            && *number == self.number
        {
            *before = report;
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let mut reports = self.board.reports.lock();
        if reports.get(&self.lane).is_some_and(|(number, _)| *number == self.number) {
            reports.remove(&self.lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destinations::{State, Tier, tests::row};

    #[test]
    fn a_lane_is_on_the_board_for_as_long_as_it_is_held() {
        let board = Arc::new(Board::default());
        let [one, other] = [0, 1].map(|index| Lane::all().nth(index).unwrap());
        let first = board.desk(one);
        first.report(Report::new(vec![row(Tier::Standard, 1, 1)], 9));
        let _other = board.desk(other);
        let serving = || {
            let reports = board.reports();
            reports.iter().map(|report| report.states[State::Serving as usize]).collect::<Vec<_>>()
        };
        assert_eq!(serving(), [1, 0]);
        let again = board.desk(one);
        first.report(Report::new(vec![row(Tier::Standard, 1, 1); 5], 9));
        drop(first);
        assert_eq!(serving(), [0, 0], "the tenure before has no say any more");
        drop(again);
        assert_eq!(serving(), [0]);
    }
}
