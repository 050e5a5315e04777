//! `Leases`.

use shared::{
    placement::Lane,
    store::{Epoch, Fence, Lease, Lifetimes, Owner},
    time::Millis,
};

use crate::bench::Bench;

crate::engines::on_each_engine! {
    Lifetimes::default();
    a_lane_that_nobody_held_has_no_lease,
    acquire_gives_an_epoch_of_this_time,
    acquire_needs_the_lease_as_it_was_seen,
    acquire_repeated_by_the_winner_answers_its_epoch,
    one_of_many_contenders_wins,
    one_of_many_contenders_takes_an_expired_lease,
    epochs_only_grow,
    renew_counts,
    renew_does_not_revive,
    release_keeps_the_epoch,
    release_of_a_lost_lane_does_nothing,
    leases_are_answered_in_order,
    heartbeats_count_and_show_all_nodes,
}

async fn lease(bench: &Bench, lane: Lane) -> Option<Lease> {
    bench.store.leases(&[lane]).await.unwrap().remove(0)
}

fn lane() -> Lane {
    Lane::from_index(7).unwrap()
}

async fn a_lane_that_nobody_held_has_no_lease(bench: Bench) {
    let lanes: Vec<_> = Lane::all().collect();
    assert_eq!(bench.store.leases(&lanes).await.unwrap(), vec![None; lanes.len()]);
}

async fn acquire_gives_an_epoch_of_this_time(bench: Bench) {
    let before = Millis::now().0;
    let owner = Owner::new("here-1");
    let epoch = bench.store.acquire(lane(), &owner, None).await.unwrap().unwrap();
    assert!((before..=Millis::now().0).contains(&epoch.0), "{epoch:?}");
    let found = lease(&bench, lane()).await.unwrap();
    assert_eq!((found.owner, found.epoch), (Some(owner), epoch));
}

async fn acquire_needs_the_lease_as_it_was_seen(bench: Bench) {
    let fence = bench.own(lane()).await;
    let held = lease(&bench, lane()).await.unwrap();
    let wrong = [
        None,
        Some(Lease { owner: None, ..held.clone() }),
        Some(Lease { owner: Some(Owner::new("else")), ..held.clone() }),
        Some(Lease { epoch: Epoch(held.epoch.0 - 1), ..held.clone() }),
        Some(Lease { epoch: Epoch(held.epoch.0 + 1), ..held.clone() }),
        Some(Lease { renewal: held.renewal + 1, ..held.clone() }),
    ];
    let contender = Owner::new("contender");
    for seen in wrong {
        let answer = bench.store.acquire(lane(), &contender, seen.as_ref()).await.unwrap();
        assert_eq!(answer, None, "saw {seen:?}");
        assert_eq!(lease(&bench, lane()).await, Some(held.clone()));
    }
    bench.store.renew(&[fence]).await.unwrap();
    let answer = bench.store.acquire(lane(), &contender, Some(&held)).await.unwrap();
    assert_eq!(answer, None, "it was renewed since");
    let vacant = Lane::from_index(8).unwrap();
    assert_eq!(bench.store.acquire(vacant, &contender, Some(&held)).await.unwrap(), None);
    assert_eq!(lease(&bench, vacant).await, None);
}

async fn acquire_repeated_by_the_winner_answers_its_epoch(bench: Bench) {
    let (first, second) = (Owner::new("first"), Owner::new("second"));
    let mut seen = None;
    for owner in [&first, &second] {
        let epoch = bench.store.acquire(lane(), owner, seen.as_ref()).await.unwrap();
        assert!(epoch.is_some());
        for _ in 0..2 {
            assert_eq!(bench.store.acquire(lane(), owner, seen.as_ref()).await.unwrap(), epoch);
        }
        seen = lease(&bench, lane()).await;
        assert_eq!(seen.as_ref().map(|lease| lease.epoch), epoch);
    }
    assert_eq!(bench.store.acquire(lane(), &first, None).await.unwrap(), None, "no winner now");
}

/// Many want the lane at once and saw the same; who won.
async fn contend(bench: &Bench, seen: Option<&Lease>) -> Fence {
    let contenders: Vec<_> = (0..24).map(|n| Owner::new(&format!("contender-{n}"))).collect();
    let calls = contenders.iter().map(|owner| bench.store.acquire(lane(), owner, seen));
    let answers = futures_util::future::join_all(calls).await;
    let mut winners = contenders.into_iter().zip(answers).filter_map(|(owner, answer)| {
        answer.unwrap().map(|epoch| Fence { lane: lane(), owner, epoch })
    });
    let winner = winners.next().expect("somebody wins");
    assert_eq!(winners.next(), None, "nobody else does");
    winner
}

async fn one_of_many_contenders_wins(bench: Bench) {
    let winner = contend(&bench, None).await;
    let found = lease(&bench, lane()).await.unwrap();
    assert_eq!((found.owner, found.epoch), (Some(winner.owner), winner.epoch));
}

async fn one_of_many_contenders_takes_an_expired_lease(bench: Bench) {
    let expired = bench.own(lane()).await;
    let seen = lease(&bench, lane()).await;
    let winner = contend(&bench, seen.as_ref()).await;
    assert!(winner.epoch > expired.epoch);
    assert_eq!(bench.store.renew(&[expired, winner]).await.unwrap(), [false, true]);
}

async fn epochs_only_grow(bench: Bench) {
    let mut last = Epoch(0);
    for n in 0..50 {
        let fence = bench.own(lane()).await;
        assert!(fence.epoch > last);
        last = fence.epoch;
        if n % 3 == 0 {
            bench.store.release(&fence).await.unwrap();
        }
    }
}

async fn renew_counts(bench: Bench) {
    let fence = bench.own(lane()).await;
    let mut before = lease(&bench, lane()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(bench.store.renew(std::slice::from_ref(&fence)).await.unwrap(), [true]);
        let after = lease(&bench, lane()).await.unwrap();
        assert!(after.renewal > before.renewal);
        assert_eq!((&after.owner, after.epoch), (&before.owner, before.epoch));
        before = after;
    }
    assert!(bench.store.renew(&[]).await.unwrap().is_empty());
}

async fn renew_does_not_revive(bench: Bench) {
    let missing = Fence { lane: lane(), owner: Owner::new("ghost"), epoch: Epoch(1) };
    assert_eq!(bench.store.renew(&[missing]).await.unwrap(), [false]);
    assert_eq!(lease(&bench, lane()).await, None, "missing");

    let lost = bench.own(lane()).await;
    let held = bench.own(lane()).await;
    let before = lease(&bench, lane()).await;
    let earlier = Fence { epoch: lost.epoch, ..held.clone() };
    let stranger = Fence { owner: lost.owner.clone(), ..held.clone() };
    let answers = bench.store.renew(&[lost, earlier, stranger]).await.unwrap();
    assert_eq!(answers, [false; 3]);
    assert_eq!(lease(&bench, lane()).await, before, "taken by somebody else");

    bench.store.release(&held).await.unwrap();
    let before = lease(&bench, lane()).await;
    assert_eq!(bench.store.renew(&[held]).await.unwrap(), [false]);
    assert_eq!(lease(&bench, lane()).await, before, "released");
}

async fn release_keeps_the_epoch(bench: Bench) {
    let fence = bench.own(lane()).await;
    for _ in 0..2 {
        bench.store.release(&fence).await.unwrap();
        let found = lease(&bench, lane()).await.unwrap();
        assert_eq!((found.owner, found.epoch), (None, fence.epoch));
    }
    let next = bench.own(lane()).await;
    assert!(next.epoch > fence.epoch);
}

async fn release_of_a_lost_lane_does_nothing(bench: Bench) {
    let lost = bench.own(lane()).await;
    let held = bench.own(lane()).await;
    let before = lease(&bench, lane()).await;
    let stale = [
        lost.clone(),
        Fence { epoch: lost.epoch, ..held.clone() },
        Fence { owner: lost.owner, ..held },
    ];
    for fence in stale {
        bench.store.release(&fence).await.unwrap();
        assert_eq!(lease(&bench, lane()).await, before);
    }
    let vacant = Lane::from_index(8).unwrap();
    let ghost = Fence { lane: vacant, owner: Owner::new("ghost"), epoch: Epoch(1) };
    bench.store.release(&ghost).await.unwrap();
    assert_eq!(lease(&bench, vacant).await, None);
}

async fn leases_are_answered_in_order(bench: Bench) {
    let lanes: Vec<_> = [60, 3, 17, 42, 0].map(|n| Lane::from_index(n).unwrap()).into();
    let fences = [bench.own(lanes[1]).await, bench.own(lanes[3]).await];
    let found = bench.store.leases(&lanes).await.unwrap();
    let owners: Vec<_> = found.into_iter().map(|lease| lease.and_then(|held| held.owner)).collect();
    let [first, second] = fences.map(|fence| Some(fence.owner));
    assert_eq!(owners, [None, first, None, second, None]);
}

async fn heartbeats_count_and_show_all_nodes(bench: Bench) {
    let (here, there) = (Owner::new("here-1"), Owner::new("there-2"));
    let beat = async |owner: &Owner| {
        let beats = bench.store.heartbeat(owner).await.unwrap();
        let count = |of: &Owner| beats.iter().find(|beat| beat.owner == *of).map(|beat| beat.count);
        assert_eq!(beats.len(), [count(&here), count(&there)].iter().flatten().count());
        (count(&here), count(&there))
    };
    let (first, nobody) = beat(&here).await;
    assert!(first.is_some() && nobody.is_none());
    let (same, other) = beat(&there).await;
    assert_eq!(same, first, "no sign of life since");
    let (second, same) = beat(&here).await;
    assert!(second > first);
    assert_eq!(same, other);
    bench.store.forget_node(&here).await.unwrap();
    assert_eq!(beat(&there).await.0, None);
    bench.store.forget_node(&here).await.unwrap();
}
