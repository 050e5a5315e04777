use shared::{
    domain::{Delivery, Generation},
    id::{AppId, EndpointId, MessageId},
    store::Place,
};

use super::*;

pub(in crate::lane) fn ready(strand: Strand) -> Ready {
    let delivery = Delivery {
        app: AppId::new(),
        endpoint: EndpointId::new(),
        strand,
        message: MessageId::new(),
        generation: Generation(0),
    };
    Ready { delivery, place: Place::Waiting, attempts: 0, steps: 0 }
}

fn seat_with(now: Instant, work: &[(Strand, usize)]) -> Seat {
    let mut seat = Seat::new(64, false, now);
    for (strand, count) in work {
        (0..*count).for_each(|_| seat.push(ready(*strand), now));
    }
    seat
}

/// What is served of all that is ready, in order.
fn serve(seat: &mut Seat, now: Instant) -> Vec<Strand> {
    let next = || {
        let strand = seat.choose(now)?;
        let taken = seat.take(strand).unwrap();
        assert_eq!(taken.delivery.strand, strand);
        Some(strand)
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn a_seat_without_work_is_forgotten_also_where_it_is_limited_or_deleted() {
    let now = Instant::now();
    let later = now + 2 * KEPT;
    let limited: shared::domain::Endpoint = serde_json::from_value(serde_json::json!({
        "id": EndpointId::new(), "url": "https://example.com/", "version": 1,
        "secrets": [], "created_at": 0, "updated_at": 0, "rate_limit": 1,
    }))
    .unwrap();
    let mut seat = Seat::new(64, false, now);
    seat.brain.configure(&limited, now);
    assert!(!seat.is_idle(now) && seat.is_idle(later));
    for _ in 0..10 {
        seat.brain.ended(crate::outcome::Sign::Down, later, 0.5);
    }
    assert!(!seat.is_idle(later + 2 * KEPT), "its breaker is open");
    seat.configure(None, later);
    assert!(seat.is_idle(later + 2 * KEPT));
}

#[test]
fn what_failed_before_an_endpoint_was_enabled_is_forgiven() {
    let moment = Moment::now();
    let state = ServingState {
        at: Millis(moment.wall.0 - 1000),
        failing_since: Some(Millis(moment.wall.0 - 2000)),
        failures: 5,
        ..ServingState::default()
    };
    for (enabled_at, is_failing) in
        [(None, true), (Some(moment.wall), false), (Some(Millis(state.at.0 - 1)), true)]
    {
        let mut seat = Seat::new(64, false, moment.now);
        seat.enabled_at = enabled_at;
        seat.restore(&state, false, moment);
        let failing = seat.brain.has_failed_for(Duration::from_secs(1), moment.now);
        assert_eq!(failing, is_failing, "{enabled_at:?}");
    }
}

#[test]
fn a_seat_stays_while_one_of_its_queues_has_work() {
    let now = Instant::now();
    let later = now + 2 * KEPT;
    for strand in [Strand::Live, Strand::Replay, Strand::Ordered(3)] {
        let mut seat = Seat::new(64, false, now);
        seat.backlog(strand).will_be_due(later);
        seat.forget_idle_queues();
        assert!(!seat.is_idle(later), "{strand:?}");
        seat.backlog(strand).begin_look();
        seat.backlog(strand).end_look(true, None);
        seat.forget_idle_queues();
        assert!(seat.is_idle(later) && seat.others.is_empty(), "{strand:?}");
    }
}

#[test]
fn only_live_work_is_taken_as_it_arrives() {
    let now = Instant::now();
    let mut seat = Seat::new(64, false, now);
    assert!(seat.takes_arrivals(Strand::Live, now));
    assert!(!seat.takes_arrivals(Strand::Replay, now));
    assert!(!seat.takes_arrivals(Strand::Ordered(0), now));
    seat.backlog(Strand::Replay).look_again();
    assert!(seat.takes_arrivals(Strand::Live, now), "replays do not hold it up");
    seat.backlog(Strand::Live).look_again();
    assert!(!seat.takes_arrivals(Strand::Live, now));
}

#[test]
fn live_work_comes_first_and_a_replay_once_in_sixteen() {
    let now = Instant::now();
    let mut seat = seat_with(now, &[(Strand::Replay, 5), (Strand::Live, 40)]);
    let served = serve(&mut seat, now);
    let replays: Vec<_> = served
        .iter()
        .enumerate()
        .filter_map(|(nth, strand)| (*strand == Strand::Replay).then_some(nth))
        .collect();
    assert_eq!(replays, [15, 31, 42, 43, 44], "the last ones are left over");
}

#[test]
fn a_replay_does_not_slip_in_before_live_work_that_is_looked_for() {
    let now = Instant::now();
    let mut seat = seat_with(now, &[(Strand::Replay, 2)]);
    let live = seat.backlog(Strand::Live);
    live.look_again();
    live.begin_look();
    assert_eq!(seat.choose(now), None);
    seat.backlog(Strand::Live).end_look(true, None);
    assert_eq!(seat.choose(now), Some(Strand::Replay));
}

#[test]
fn all_other_strands_are_served_by_turns() {
    let now = Instant::now();
    let [one, seven] = [Strand::Ordered(1), Strand::Ordered(7)];
    let mut seat = seat_with(now, &[(Strand::Live, 2), (seven, 3), (one, 2)]);
    let expected = [one, seven, Strand::Live, one, seven, Strand::Live, seven];
    assert_eq!(serve(&mut seat, now), expected);
}
