//! `Lanes::park`, `Lanes::forget`, `Lanes::due`, `Lanes::waiting` and `Lanes::depths`.

use std::time::Duration;

use shared::{
    domain::{Delivery, Generation, Queue, Strand},
    store::{
        Ask, Depth, Due, Entry, EntryId, Lifetimes, Park, Parked, Place, Resend, Settled, Verdict,
        Waiting,
    },
};

use crate::bench::{ALL, Bench, Tenant};

crate::engines::on_each_engine! {
    Lifetimes::default();
    park_moves_from_the_stream_into_the_waiting_set,
    park_keeps_the_order_in_which_it_is_given,
    park_stands_behind_all_parked_before,
    park_of_another_delivery_at_the_entry_changes_nothing,
    park_of_a_nudge_changes_nothing,
    park_repeated_changes_nothing,
    park_of_an_entry_named_twice_moves_it_once,
    a_late_park_does_not_bring_a_settled_delivery_back,
    park_of_a_delivery_that_waits_already_leaves_it_as_it_is,
    park_with_delay_is_due_later,
    park_without_delay_comes_before_what_is_due_by_time,
    forget_removes_nudges,
    forget_leaves_deliveries,
    forget_repeated_is_fine,
    due_takes_nothing,
    due_gives_no_more_than_asked,
    due_counts_from_the_first_on,
    due_answers_each_ask,
    due_tells_when_the_next_is_due,
    waiting_counts_due_or_not,
    depths_tell_how_much_waits_and_since_when,
}

const HOUR: Duration = Duration::from_secs(3600);

/// A tenant with one endpoint and so many deliveries in the stream.
async fn flowing(bench: &Bench, count: usize) -> (Tenant, Vec<Delivery>) {
    let tenant = bench.tenant(1).await;
    let mut deliveries = Vec::new();
    for _ in 0..count {
        deliveries.push(tenant.deliver().await);
    }
    (tenant, deliveries)
}

fn fresh(delivery: Delivery) -> Waiting {
    Waiting { delivery, attempts: 0, steps: 0 }
}

fn parked(due: &Due) -> Vec<Delivery> {
    due.parked.iter().map(|waiting| waiting.delivery).collect()
}

async fn park_moves_from_the_stream_into_the_waiting_set(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 3).await;
    let fence = bench.own(tenant.lane()).await;
    let park =
        Park { entry: bench.entry_of(deliveries[1]).await, delivery: deliveries[1], delay: None };
    let answer = bench.store.park(&fence, &[park]).await.unwrap();
    assert_eq!(answer, Some(vec![Parked::Moved]));
    let left: Vec<_> = bench.flowing(tenant.lane()).await.iter().map(|(_, found)| *found).collect();
    assert_eq!(left, [deliveries[0], deliveries[2]]);
    let expected =
        Due { parked: vec![fresh(deliveries[1])], retries: vec![], next: None, waiting: 1 };
    assert_eq!(bench.due(&fence, tenant.queue(0)).await, expected);
    assert_eq!(bench.agenda(tenant.lane()).await, [tenant.queue(0)]);
}

async fn park_keeps_the_order_in_which_it_is_given(bench: Bench) {
    let (tenant, mut deliveries) = flowing(&bench, 40).await;
    let fence = bench.own(tenant.lane()).await;
    deliveries.rotate_left(17);
    deliveries.swap(3, 30);
    bench.park(&fence, &deliveries).await;
    assert_eq!(parked(&bench.due(&fence, tenant.queue(0)).await), deliveries);
}

async fn park_stands_behind_all_parked_before(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 30).await;
    let mut fence = bench.own(tenant.lane()).await;
    // From the last to the first, so that no order of ids, entries or times can stand in for it.
    let order: Vec<_> = deliveries.iter().rev().copied().collect();
    for chunk in order.chunks(4) {
        bench.park(&fence, chunk).await;
        fence = bench.own(tenant.lane()).await;
    }
    assert_eq!(parked(&bench.due(&fence, tenant.queue(0)).await), order);
}

async fn park_of_another_delivery_at_the_entry_changes_nothing(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 2).await;
    let fence = bench.own(tenant.lane()).await;
    let entry = bench.entry_of(deliveries[0]).await;
    // Before what is compared: it may be in the same lane.
    let stranger = bench.tenant(1).await.deliver().await;
    let before = bench.stream(tenant.lane()).await;
    let wrong = [
        deliveries[1],
        Delivery { generation: Generation(1), ..deliveries[0] },
        Delivery { endpoint: stranger.endpoint, ..deliveries[0] },
        Delivery { message: stranger.message, ..deliveries[0] },
    ];
    for delivery in wrong {
        if delivery.lane() != tenant.lane() {
            continue;
        }
        let park = Park { entry, delivery, delay: None };
        let answer = bench.store.park(&fence, &[park]).await.unwrap();
        assert_eq!(answer, Some(vec![Parked::NotThere]), "{delivery:?}");
        assert_eq!(bench.store.waiting(delivery.queue()).await.unwrap(), 0);
    }
    let missing = EntryId { major: entry.major + 1_000_000, minor: 0 };
    let park = Park { entry: missing, delivery: deliveries[0], delay: None };
    let answer = bench.store.park(&fence, &[park]).await.unwrap();
    assert_eq!(answer, Some(vec![Parked::NotThere]));
    assert_eq!(bench.stream(tenant.lane()).await, before);
    assert_eq!(bench.agenda(tenant.lane()).await, []);
}

async fn park_of_a_nudge_changes_nothing(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 1).await;
    let fence = bench.own(tenant.lane()).await;
    let before = bench.stream(tenant.lane()).await;
    let (entry, nudge) = before[0].clone();
    assert!(matches!(nudge, Entry::Nudge { .. }));
    let park = Park { entry, delivery: deliveries[0], delay: None };
    let answer = bench.store.park(&fence, &[park]).await.unwrap();
    assert_eq!(answer, Some(vec![Parked::NotThere]));
    assert_eq!(bench.stream(tenant.lane()).await, before);
}

async fn park_repeated_changes_nothing(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 2).await;
    let fence = bench.own(tenant.lane()).await;
    let entry = bench.entry_of(deliveries[0]).await;
    let park = Park { entry, delivery: deliveries[0], delay: None };
    let answer = bench.store.park(&fence, &[park.clone(), park.clone()]).await.unwrap();
    assert_eq!(answer, Some(vec![Parked::Moved, Parked::NotThere]));
    bench.park(&fence, &deliveries[1..]).await;
    let answer = bench.store.park(&fence, &[park]).await.unwrap();
    assert_eq!(answer, Some(vec![Parked::NotThere]));
    assert_eq!(parked(&bench.due(&fence, tenant.queue(0)).await), deliveries, "it kept its place");
}

async fn park_of_an_entry_named_twice_moves_it_once(bench: Bench) {
    for count in 2..12 {
        let (tenant, deliveries) = flowing(&bench, count).await;
        let fence = bench.own(tenant.lane()).await;
        let mut parks = Vec::new();
        for delivery in [deliveries[0], deliveries[0], deliveries[count - 1]] {
            let entry = bench.entry_of(delivery).await;
            parks.push(Park { entry, delivery, delay: None });
        }
        let answer = bench.store.park(&fence, &parks).await.unwrap();
        assert_eq!(answer, Some(vec![Parked::Moved, Parked::NotThere, Parked::Moved]));
    }
}

async fn a_late_park_does_not_bring_a_settled_delivery_back(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 1).await;
    let fence = bench.own(tenant.lane()).await;
    let delivery = deliveries[0];
    let entry = bench.entry_of(delivery).await;
    bench.settle(&fence, delivery, Place::Stream(entry), 1, Verdict::Delivered).await;
    let park = Park { entry, delivery, delay: None };
    assert_eq!(bench.store.park(&fence, &[park]).await.unwrap(), Some(vec![Parked::NotThere]));
    assert_eq!(bench.store.waiting(tenant.queue(0)).await.unwrap(), 0);
    assert_eq!(bench.agenda(tenant.lane()).await, []);
}

async fn park_of_a_delivery_that_waits_already_leaves_it_as_it_is(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 1).await;
    let fence = bench.own(tenant.lane()).await;
    let resent = Delivery { generation: Generation(9), ..deliveries[0] };
    bench.store.resend(Resend { delivery: resent }).await.unwrap();
    let retry = Verdict::Retry { delay: Duration::ZERO, steps: 1 };
    let place = Place::Stream(bench.entry_of(resent).await);
    assert_eq!(bench.settle(&fence, resent, place, 1, retry).await, Settled::Done);

    // The same resend again, whose answer was lost the first time.
    bench.store.resend(Resend { delivery: resent }).await.unwrap();
    for (entry, delivery) in bench.flowing(tenant.lane()).await {
        bench.store.park(&fence, &[Park { entry, delivery, delay: None }]).await.unwrap();
    }
    let due = bench.due(&fence, tenant.queue(0)).await;
    assert_eq!(due.waiting, 2, "once in the waiting set");
    assert_eq!(due.parked, [fresh(deliveries[0])]);
    assert_eq!(due.retries, [Waiting { delivery: resent, attempts: 1, steps: 1 }]);
}

async fn park_with_delay_is_due_later(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 2).await;
    let fence = bench.own(tenant.lane()).await;
    for (delivery, delay) in [(deliveries[0], HOUR), (deliveries[1], Duration::ZERO)] {
        let entry = bench.entry_of(delivery).await;
        let park = Park { entry, delivery, delay: Some(delay) };
        assert_eq!(bench.store.park(&fence, &[park]).await.unwrap(), Some(vec![Parked::Moved]));
    }
    let due = bench.due(&fence, tenant.queue(0)).await;
    assert_eq!(due.parked, []);
    assert_eq!(due.retries, [fresh(deliveries[1])]);
    assert_eq!(due.waiting, 2);
    let next = due.next.unwrap();
    assert!(next > HOUR / 2 && next <= HOUR, "{next:?}");
}

async fn park_without_delay_comes_before_what_is_due_by_time(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 3).await;
    let fence = bench.own(tenant.lane()).await;
    let retry = Verdict::Retry { delay: Duration::ZERO, steps: 1 };
    let place = Place::Stream(bench.entry_of(deliveries[0]).await);
    bench.settle(&fence, deliveries[0], place, 1, retry).await;
    bench.park(&fence, &[deliveries[2], deliveries[1]]).await;
    let due = bench.due(&fence, tenant.queue(0)).await;
    assert_eq!(parked(&due), [deliveries[2], deliveries[1]]);
    assert_eq!(due.retries, [Waiting { delivery: deliveries[0], attempts: 1, steps: 1 }]);
}

async fn forget_removes_nudges(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let delivery = tenant.deliver().await;
    let stream = bench.stream(tenant.lane()).await;
    let nudges = stream.iter().filter(|(_, entry)| matches!(entry, Entry::Nudge { .. }));
    let nudges: Vec<_> = nudges.map(|(id, _)| *id).collect();
    assert!(!nudges.is_empty(), "creating an endpoint nudges it");
    assert_eq!(bench.store.forget(&fence, &nudges).await.unwrap(), Some(()));
    let left: Vec<_> =
        bench.stream(tenant.lane()).await.into_iter().map(|(_, entry)| entry).collect();
    assert_eq!(left, [Entry::Delivery { delivery, not_before: None }]);
}

async fn forget_leaves_deliveries(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 2).await;
    let fence = bench.own(tenant.lane()).await;
    let before = bench.flowing(tenant.lane()).await;
    let entries: Vec<_> = bench.stream(tenant.lane()).await.iter().map(|(id, _)| *id).collect();
    assert_eq!(bench.store.forget(&fence, &entries).await.unwrap(), Some(()));
    assert_eq!(bench.flowing(tenant.lane()).await, before);
    assert_eq!(bench.stream(tenant.lane()).await.len(), deliveries.len(), "the nudges are gone");
}

async fn forget_repeated_is_fine(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let entries: Vec<_> = bench.stream(tenant.lane()).await.iter().map(|(id, _)| *id).collect();
    for _ in 0..2 {
        assert_eq!(bench.store.forget(&fence, &entries).await.unwrap(), Some(()));
        assert_eq!(bench.stream(tenant.lane()).await, []);
    }
    assert_eq!(bench.store.forget(&fence, &[]).await.unwrap(), Some(()));
}

async fn due_takes_nothing(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 3).await;
    let fence = bench.own(tenant.lane()).await;
    bench.park(&fence, &deliveries).await;
    let first = bench.due(&fence, tenant.queue(0)).await;
    assert_eq!(first.waiting, 3);
    assert_eq!(bench.due(&fence, tenant.queue(0)).await, first);
}

async fn due_gives_no_more_than_asked(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 8).await;
    let fence = bench.own(tenant.lane()).await;
    bench.park(&fence, &deliveries[..4]).await;
    let retry = Verdict::Retry { delay: Duration::ZERO, steps: 1 };
    for &delivery in &deliveries[4..] {
        let place = Place::Stream(bench.entry_of(delivery).await);
        bench.settle(&fence, delivery, place, 1, retry.clone()).await;
    }
    for (parked, retries) in [(0, 0), (1, 0), (0, 1), (2, 3), (4, 4), (9, 9)] {
        let ask = Ask { queue: tenant.queue(0), parked, retries };
        let due = bench.store.due(&fence, &[ask]).await.unwrap().unwrap().remove(0);
        assert_eq!((due.parked.len(), due.retries.len()), (parked.min(4), retries.min(4)));
        assert_eq!(due.waiting, 8);
    }
}

async fn due_counts_from_the_first_on(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 6).await;
    let fence = bench.own(tenant.lane()).await;
    bench.park(&fence, &deliveries).await;
    // Two are held by the owner and two more wanted.
    let ask = Ask { queue: tenant.queue(0), parked: 4, retries: 0 };
    let due = bench.store.due(&fence, &[ask]).await.unwrap().unwrap().remove(0);
    assert_eq!(parked(&due), deliveries[..4]);
    bench.settle(&fence, deliveries[0], Place::Waiting, 1, Verdict::Delivered).await;
    let due = bench.store.due(&fence, &[ask]).await.unwrap().unwrap().remove(0);
    assert_eq!(parked(&due), deliveries[1..5]);
}

async fn due_answers_each_ask(bench: Bench) {
    let tenant = bench.tenant(16).await;
    let lane = tenant.lane();
    let queues: Vec<Queue> =
        (0..16).map(|nth| tenant.queue(nth)).filter(|queue| queue.lane() == lane).collect();
    let fence = bench.own(lane).await;
    let message = tenant.publish().await;
    let last = *queues.last().unwrap();
    let delivery = Delivery { endpoint: last.endpoint, ..tenant.delivery(message, 0) };
    bench.park(&fence, &[delivery]).await;
    let asks: Vec<_> =
        queues.iter().map(|&queue| Ask { queue, parked: ALL, retries: ALL }).collect();
    let answers = bench.store.due(&fence, &asks).await.unwrap().unwrap();
    assert_eq!(answers.len(), queues.len());
    assert_eq!(parked(answers.last().unwrap()), [delivery]);
    assert!(answers[..queues.len() - 1].iter().all(|due| *due == Due::default()));
    assert_eq!(bench.store.due(&fence, &[]).await.unwrap(), Some(vec![]));
}

async fn due_tells_when_the_next_is_due(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 4).await;
    let fence = bench.own(tenant.lane()).await;
    assert_eq!(bench.due(&fence, tenant.queue(0)).await.next, None);
    bench.park(&fence, &deliveries[..1]).await;
    assert_eq!(bench.due(&fence, tenant.queue(0)).await.next, None, "all are due");
    for (nth, hours, earliest) in [(1, 9, 9), (2, 5, 5), (3, 7, 5)] {
        let place = Place::Stream(bench.entry_of(deliveries[nth]).await);
        let retry = Verdict::Retry { delay: hours * HOUR, steps: 1 };
        bench.settle(&fence, deliveries[nth], place, 1, retry).await;
        let next = bench.due(&fence, tenant.queue(0)).await.next.unwrap();
        assert!(next > (earliest - 1) * HOUR && next <= earliest * HOUR, "{next:?}");
    }
}

async fn waiting_counts_due_or_not(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 3).await;
    let fence = bench.own(tenant.lane()).await;
    assert_eq!(bench.store.waiting(tenant.queue(0)).await.unwrap(), 0);
    bench.park(&fence, &deliveries[..1]).await;
    let place = Place::Stream(bench.entry_of(deliveries[1]).await);
    let retry = Verdict::Retry { delay: HOUR, steps: 1 };
    bench.settle(&fence, deliveries[1], place, 1, retry).await;
    assert_eq!(bench.store.waiting(tenant.queue(0)).await.unwrap(), 2, "not those in the stream");
    assert_eq!(bench.due(&fence, tenant.queue(0)).await.waiting, 2);
}

async fn depths_tell_how_much_waits_and_since_when(bench: Bench) {
    let (tenant, deliveries) = flowing(&bench, 4).await;
    let fence = bench.own(tenant.lane()).await;
    let [first, second, soon, later] = deliveries[..] else { unreachable!() };
    let queue = tenant.queue(0);
    let none = Queue { strand: Strand::Replay, ..queue };
    let depths = bench.store.depths(&[none, queue]).await.unwrap();
    assert_eq!(depths, [Depth::default(), Depth::default()]);

    for (delivery, delay) in [(later, HOUR), (soon, Duration::from_millis(1))] {
        let entry = bench.entry_of(delivery).await;
        bench.store.park(&fence, &[Park { entry, delivery, delay: Some(delay) }]).await.unwrap();
    }
    let due = || async { bench.store.depths(&[queue]).await.unwrap()[0] };
    while due().await.overdue.is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!((due().await.waiting, due().await.parked), (2, None));
    bench.park(&fence, &[second, first]).await;
    let depths = bench.store.depths(&[none, queue]).await.unwrap();
    assert_eq!((depths[0], depths[1].waiting), (Depth::default(), 4));
    assert_eq!(depths[1].parked, Some(second));
    assert!(depths[1].overdue.is_some_and(|overdue| overdue < HOUR), "not that of the later one");
    bench.settle(&fence, second, Place::Waiting, 1, Verdict::Delivered).await;
    bench.settle(&fence, soon, Place::Waiting, 1, Verdict::Delivered).await;
    let left = due().await;
    assert_eq!((left.waiting, left.parked, left.overdue), (2, Some(first), None));
}
