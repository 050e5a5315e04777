//! Each call of `Lanes` that writes does nothing for one who does not hold the lane.

use std::time::Duration;

use bytes::Bytes;
use shared::{
    domain::DeadReason,
    store::{
        Ask, Epoch, Fence, Lifetimes, Order, Owner, Park, Place, Settle, Settlement, StateChange,
        Verdict,
    },
};

use crate::bench::{Bench, Tenant, attempt, whole};

crate::engines::on_each_engine! {
    Lifetimes::default();
    park_is_fenced,
    forget_is_fenced,
    due_is_fenced,
    settle_is_fenced,
    states_are_fenced,
    a_fenced_lane_of_a_batch_does_not_hinder_the_others,
}

/// Who does not hold the lane, though one may have, or may hold it later.
async fn intruders(bench: &Bench, tenant: &Tenant) -> (Fence, Vec<(&'static str, Fence)>) {
    let before = bench.own(tenant.lane()).await;
    let held = bench.own(tenant.lane()).await;
    let epoch = |epoch| Fence { epoch: Epoch(epoch), ..held.clone() };
    let intruders = vec![
        ("the owner before", before.clone()),
        ("the owner before with this epoch", Fence { owner: before.owner, ..held.clone() }),
        ("this owner in another epoch before", epoch(before.epoch.0)),
        ("this owner in a later epoch", epoch(held.epoch.0 + 1)),
        ("this owner in epoch 0", epoch(0)),
        ("an owner with a longer name", {
            Fence { owner: Owner::new(&format!("{}x", held.owner)), ..held.clone() }
        }),
        ("an owner without a name", Fence { owner: Owner::new(""), ..held.clone() }),
    ];
    (held, intruders)
}

/// What can be seen of a queue.
async fn seen(bench: &Bench, tenant: &Tenant) -> String {
    let queue = tenant.queue(0);
    let page = whole(Order::OldestFirst);
    let stream = bench.stream(queue.lane()).await;
    let waiting = bench.store.waiting(queue).await.unwrap();
    let agenda = bench.agenda(queue.lane()).await;
    let states = bench.store.states(queue.app, &[queue.endpoint]).await.unwrap();
    let attempts = bench.store.endpoint_attempts(queue, &page).await.unwrap().entries;
    let dead = bench.store.dead_letters(queue, &page).await.unwrap().entries;
    format!("{stream:?} {waiting} {agenda:?} {states:?} {attempts:?} {dead:?}")
}

async fn park_is_fenced(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let delivery = tenant.deliver().await;
    let (held, intruders) = intruders(&bench, &tenant).await;
    let park = Park { entry: bench.entry_of(delivery).await, delivery, delay: None };
    let before = seen(&bench, &tenant).await;
    for (who, fence) in intruders {
        let answer = bench.store.park(&fence, std::slice::from_ref(&park)).await.unwrap();
        assert_eq!(answer, None, "{who}");
        assert_eq!(seen(&bench, &tenant).await, before, "{who}");
    }
    bench.store.release(&held).await.unwrap();
    assert_eq!(bench.store.park(&held, &[park]).await.unwrap(), None, "after the release");
    assert_eq!(seen(&bench, &tenant).await, before);
}

async fn forget_is_fenced(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let (held, intruders) = intruders(&bench, &tenant).await;
    let entries = [bench.stream(tenant.lane()).await[0].0];
    let before = seen(&bench, &tenant).await;
    for (who, fence) in intruders {
        assert_eq!(bench.store.forget(&fence, &entries).await.unwrap(), None, "{who}");
        assert_eq!(seen(&bench, &tenant).await, before, "{who}");
    }
    bench.store.release(&held).await.unwrap();
    assert_eq!(bench.store.forget(&held, &entries).await.unwrap(), None, "after the release");
    assert_eq!(seen(&bench, &tenant).await, before);
}

async fn due_is_fenced(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let (held, intruders) = intruders(&bench, &tenant).await;
    let ask = Ask { queue: tenant.queue(0), parked: 1, retries: 1 };
    for (who, fence) in intruders {
        assert_eq!(bench.store.due(&fence, &[ask]).await.unwrap(), None, "{who}");
    }
    assert!(bench.store.due(&held, &[ask]).await.unwrap().is_some());
    bench.store.release(&held).await.unwrap();
    assert_eq!(bench.store.due(&held, &[ask]).await.unwrap(), None, "after the release");
}

async fn settle_is_fenced(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let (flows, waits) = (tenant.deliver().await, tenant.deliver().await);
    let (held, intruders) = intruders(&bench, &tenant).await;
    bench.park(&held, &[waits]).await;
    let in_stream = Place::Stream(bench.entry_of(flows).await);
    let before = seen(&bench, &tenant).await;
    let verdicts = [
        Verdict::Delivered,
        Verdict::Retry { delay: Duration::ZERO, steps: 1 },
        Verdict::Dead(DeadReason::Gone),
        Verdict::Deleted,
    ];
    let settlements = |verdict: &Verdict| {
        [(flows, in_stream), (waits, Place::Waiting)].map(|(delivery, place)| Settlement {
            delivery,
            place,
            attempts: 1,
            verdict: verdict.clone(),
            record: Some(attempt(delivery, 1)),
        })
    };
    for verdict in &verdicts {
        for (who, fence) in &intruders {
            let answer = bench.settle_all(fence, settlements(verdict).to_vec()).await;
            assert_eq!(answer, None, "{who}, {verdict:?}");
            assert_eq!(seen(&bench, &tenant).await, before, "{who}, {verdict:?}");
        }
    }
    bench.store.release(&held).await.unwrap();
    for verdict in &verdicts {
        let answer = bench.settle_all(&held, settlements(verdict).to_vec()).await;
        assert_eq!(answer, None, "after the release");
        assert_eq!(seen(&bench, &tenant).await, before);
    }
}

async fn states_are_fenced(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let delivery = tenant.deliver().await;
    let (held, intruders) = intruders(&bench, &tenant).await;
    bench.park(&held, &[delivery]).await;
    let before = seen(&bench, &tenant).await;
    for (who, fence) in intruders {
        let change = StateChange {
            queue: tenant.queue(0),
            state: Some(Bytes::from_static(b"{}")),
            reopens: Some(Duration::from_secs(3600)),
        };
        let settle = Settle { fence, settlements: vec![], states: vec![change] };
        assert_eq!(bench.store.settle(&[settle]).await.unwrap(), [None], "{who}");
        assert_eq!(seen(&bench, &tenant).await, before, "{who}");
        let agenda = bench.store.agenda(tenant.lane(), None, 10).await.unwrap();
        assert_eq!(agenda.entries[0].opens_in, Duration::ZERO, "{who}");
    }
}

async fn a_fenced_lane_of_a_batch_does_not_hinder_the_others(bench: Bench) {
    let lost = bench.tenant(1).await;
    let kept = loop {
        let tenant = bench.tenant(1).await;
        if tenant.lane() != lost.lane() {
            break tenant;
        }
    };
    let mut batch = Vec::new();
    for tenant in [&lost, &kept] {
        let delivery = tenant.deliver().await;
        let settlement = Settlement {
            delivery,
            place: Place::Stream(bench.entry_of(delivery).await),
            attempts: 1,
            verdict: Verdict::Delivered,
            record: Some(attempt(delivery, 1)),
        };
        let fence = bench.own(tenant.lane()).await;
        batch.push(Settle { fence, settlements: vec![settlement], states: vec![] });
    }
    bench.own(lost.lane()).await;
    let answers = bench.store.settle(&batch).await.unwrap();
    assert_eq!(answers, [None, Some(vec![shared::store::Settled::Done])]);
    assert_eq!(bench.flowing(lost.lane()).await.len(), 1);
    assert_eq!(bench.flowing(kept.lane()).await.len(), 0);
}
