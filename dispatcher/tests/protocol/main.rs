//! The protocol of one lane, explored exhaustively: every order of steps and faults within small
//! bounds, not a sample of them.
//!
//! Modelled: the stream, waiting sets, agenda and lease of one lane, and each write on them as
//! `shared/src/store/` describes it; its owner as `dispatcher/src/lane/` does it: reading from a
//! position, holding, parking, looking, sending, settling, the check of oneself, re-reading; requests and
//! answers as steps of their own, lost, repeated, and executed late; crashes, takeovers from the dead
//! and from the slow, handovers; a failover that brings back an earlier state of the store and gives
//! out the same ids again.
//!
//! Not modelled: batches (a write names one delivery), windows, breakers and credits (what they decide
//! is left to chance), nudges and deletions, bodies, a delivery that is resent, more than two points in
//! time (now and later), and lost answers of reads and leases, which are only slower.
//!
//! What must hold:
//! - an acknowledged delivery has exactly one place until it is settled, and none afterwards;
//! - no attempt is settled twice; a settled delivery is not sent again unless the store lost something;
//! - each unclean takeover and each failover costs a delivery at most one attempt more; lost and late
//!   calls cost none;
//! - a queue is in the agenda exactly while something waits in it;
//! - in an ordered queue nothing is sent before all that stands before it was settled as delivered, nor
//!   while anything else of the queue is under way, unless the store lost something;
//! - the owner forgets nothing that is due, and its check finds nothing, unless the store lost something;
//! - from every state everything ends once nothing more goes wrong.
//!
//! Each condition that the protocol rests on is a [`guards::Guard`]: without it the explorer must find
//! what breaks, or the model would prove nothing. With `SLUICEGATE_LONG=1` the bounds are larger.

mod chances;
mod elapsing;
mod explorer;
mod guards;
mod lane;
mod protocol;
mod seat;
mod store;
mod world;

use explorer::{Broken, explore};
use guards::{Guard, Guards};
use protocol::Protocol;
use world::{Action, Bounds};

/// One delivery that may fail once and be parked once, and no fault.
const ONE: Bounds = Bounds {
    nodes: 2,
    deliveries: 1,
    queues: 1,
    ordered: false,
    failures: 1,
    put_backs: 1,
    checks: 0,
    handovers: 0,
    crashes: 0,
    expiries: 0,
    losses: 0,
    failovers: 0,
    lag: 0,
};
const TWO: Bounds = Bounds { nodes: 1, deliveries: 2, failures: 0, ..ONE };
/// Two deliveries of an ordered queue.
const ORDERED: Bounds = Bounds { ordered: true, failures: 1, put_backs: 0, ..TWO };
const FAILOVER: Bounds = Bounds { nodes: 1, failovers: 1, lag: 3, ..ONE };

fn holds(bounds: &[Bounds]) {
    for bounds in bounds {
        match explore(&Protocol { bounds: *bounds, guards: Guards::ALL }) {
            Ok(states) => println!("{states} states of {bounds:?}"),
            Err(broken) => panic!("{broken}\nwithin {bounds:?}"),
        }
    }
}

/// What breaks without a guard.
fn without(guard: Guard, bounds: Bounds) -> Option<Broken<Action>> {
    explore(&Protocol { bounds, guards: Guards::ALL.without(guard) }).err()
}

#[test]
fn the_protocol_holds_in_calm() {
    holds(&[TWO, Bounds { nodes: 1, checks: 1, ..ONE }, Bounds { queues: 2, put_backs: 0, ..TWO }]);
}

#[test]
fn it_holds_when_calls_are_lost_repeated_and_late() {
    holds(&[Bounds { nodes: 1, losses: 2, ..ONE }, Bounds { losses: 1, put_backs: 0, ..TWO }]);
}

#[test]
fn it_holds_when_nodes_crash_or_hand_over_or_are_slow() {
    holds(&[
        Bounds { crashes: 1, handovers: 1, put_backs: 0, ..ONE },
        Bounds { crashes: 1, losses: 1, put_backs: 0, ..ONE },
        Bounds { expiries: 1, failures: 0, ..ONE },
        Bounds { expiries: 1, put_backs: 0, ..ONE },
    ]);
}

#[test]
fn it_holds_for_what_is_ordered() {
    holds(&[
        Bounds { put_backs: 1, ..ORDERED },
        Bounds { losses: 1, failures: 0, ..ORDERED },
        Bounds { nodes: 2, crashes: 1, handovers: 1, failures: 0, ..ORDERED },
    ]);
}

#[test]
fn it_holds_when_the_store_loses_writes() {
    holds(&[
        FAILOVER,
        Bounds { deliveries: 2, lag: 2, failures: 0, put_backs: 0, ..FAILOVER },
        Bounds { nodes: 2, lag: 1, failures: 0, put_backs: 0, ..FAILOVER },
    ]);
}

#[test]
fn it_holds_within_larger_bounds() {
    if std::env::var_os("SLUICEGATE_LONG").is_none() {
        return;
    }
    holds(&[
        Bounds { nodes: 1, losses: 1, failures: 1, ..TWO },
        Bounds { nodes: 2, crashes: 1, failures: 1, put_backs: 0, ..TWO },
        Bounds { expiries: 1, losses: 1, ..ONE },
        Bounds { deliveries: 2, lag: 1, ..FAILOVER },
        Bounds { deliveries: 3, put_backs: 1, losses: 1, ..ORDERED },
        Bounds { nodes: 2, expiries: 1, failures: 0, ..ORDERED },
        Bounds { nodes: 2, crashes: 1, ..TWO },
    ]);
}

#[test]
fn every_guard_is_needed() {
    for (guard, bounds) in [
        (Guard::Fence, Bounds { expiries: 1, put_backs: 0, ..ONE }),
        (Guard::FetchProof, Bounds { expiries: 1, put_backs: 0, failures: 0, ..ONE }),
        (Guard::AttemptNumber, Bounds { losses: 1, ..ONE }),
        (Guard::SettleIfThere, Bounds { losses: 1, ..ONE }),
        (Guard::ParkIfRemoved, Bounds { losses: 1, ..ONE }),
        // Without it a settlement hits the delivery that was given the same id after a failover.
        (Guard::SameDelivery, Bounds { deliveries: 2, failures: 0, put_backs: 0, ..FAILOVER }),
        (Guard::AgendaLeftInSameWrite, ONE),
        (Guard::WholeAgenda, Bounds { crashes: 1, ..ONE }),
        (Guard::HeldDropped, ONE),
        (Guard::LookDeparted, ONE),
        (Guard::ParkedMeanwhile, Bounds { put_backs: 2, ..TWO }),
        (Guard::DueMeanwhile, Bounds { failures: 1, ..TWO }),
        (Guard::PutBackMeanwhile, Bounds { put_backs: 2, ..ONE }),
        (Guard::NotThereLooksAgain, Bounds { losses: 1, ..ONE }),
        (Guard::HeldUntilAnswered, Bounds { losses: 1, ..ONE }),
        (Guard::CheckDeparted, Bounds { checks: 1, ..ONE }),
        (Guard::CheckApart, Bounds { failures: 0, ..FAILOVER }),
        (Guard::CheckStream, Bounds { failures: 0, ..FAILOVER }),
        (Guard::Doubt, FAILOVER),
        // A retry that is remembered for later hides from the check that it is due now again.
        (Guard::Reread, FAILOVER),
        (Guard::HeadOnly, ORDERED),
        (Guard::PlaceKept, ORDERED),
        (Guard::DueInOrder, ORDERED),
        (Guard::ParksInOrder, Bounds { failures: 0, ..ORDERED }),
        (Guard::Rest, Bounds { nodes: 2, expiries: 1, failures: 0, ..ORDERED }),
    ] {
        match without(guard, bounds) {
            Some(broken) => println!("without {guard:?}: {broken}\n"),
            None => panic!("nothing breaks without {guard:?}"),
        }
    }
}

#[test]
fn some_guards_only_save_work() {
    for guard in [Guard::CheckAgenda, Guard::RereadDeparted, Guard::OldReadDropped] {
        if let Some(broken) = without(guard, FAILOVER) {
            panic!("without {guard:?}: {broken}");
        }
    }
}
