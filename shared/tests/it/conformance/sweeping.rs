//! `Lanes::front`.

use std::time::Duration;

use shared::store::{InFront, Lifetimes, Place, Verdict};

use crate::bench::{ALL, Bench};

const HOUR: Duration = Duration::from_secs(3600);

mod order {
    use super::*;
    crate::engines::on_each_engine! {
        Lifetimes::default();
        the_front_is_in_order_due_or_not,
    }
}

mod ends {
    use super::*;
    crate::engines::on_each_engine! {
        Lifetimes { message: Duration::from_millis(60), ..Lifetimes::default() };
        the_front_tells_which_bodies_are_gone,
    }
}

async fn the_front_is_in_order_due_or_not(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let mut deliveries = Vec::new();
    for _ in 0..4 {
        deliveries.push(tenant.deliver().await);
    }
    let [parked, later, sooner, flowing] = deliveries[..] else { unreachable!() };
    for (delivery, hours) in [(later, 2), (sooner, 1)] {
        let place = Place::Stream(bench.entry_of(delivery).await);
        let retry = Verdict::Retry { delay: HOUR * hours, steps: 1 };
        bench.settle(&fence, delivery, place, 1, retry).await;
    }
    bench.park(&fence, &[parked]).await;
    let queue = tenant.queue(0);
    let front = bench.store.front(queue, ALL).await.unwrap();
    let seen = |found: &InFront| (found.waiting.delivery, found.waiting.attempts, found.lives);
    let expected = [(parked, 0, true), (sooner, 1, true), (later, 1, true)];
    assert_eq!(front.iter().map(seen).collect::<Vec<_>>(), expected);
    for limit in 0..3 {
        assert_eq!(bench.store.front(queue, limit).await.unwrap(), front[..limit]);
    }
    assert_eq!(bench.entry_of(flowing).await, bench.flowing(tenant.lane()).await[0].0);
}

async fn the_front_tells_which_bodies_are_gone(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let delivery = tenant.deliver().await;
    bench.park(&fence, &[delivery]).await;
    bench.until_gone(tenant.app, delivery.message).await;
    let front = bench.store.front(tenant.queue(0), ALL).await.unwrap();
    assert_eq!((front.len(), front[0].lives), (1, false));
}
