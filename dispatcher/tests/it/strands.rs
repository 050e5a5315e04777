//! The strands of an endpoint share what may be sent to it.

use std::{collections::HashSet, num::NonZeroU32};

use rstest::rstest;
use shared::domain::{Queue, Strand};

use crate::bench::{Bench, Engine, PATIENCE};

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn replays_get_one_attempt_in_sixteen_and_what_is_left_over(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let live = bench.endpoint("/ok").await;
    let replay = Queue { strand: Strand::Replay, ..live };
    bench
        .change(live, |endpoint| {
            endpoint.disabled = true;
            endpoint.settings.concurrency = NonZeroU32::new(1);
        })
        .await;
    let replays = bench.publish(replay, 10).await;
    bench.publish(live, 100).await;
    let running = bench.dispatch(&[]).await;
    let waits = async || {
        let store = &bench.store;
        (store.waiting(live).await.unwrap(), store.waiting(replay).await.unwrap()) == (100, 10)
    };
    bench.until("parked all", waits).await;
    bench.change(live, |endpoint| endpoint.disabled = false).await;
    bench.sink.wait_for(110, PATIENCE).await.unwrap();

    let replays: HashSet<_> = replays.iter().map(ToString::to_string).collect();
    let is_replay: Vec<_> = bench.sink.ask(|journal| {
        journal.arrivals().iter().map(|one| replays.contains(&*one.webhook_id)).collect()
    });
    let replayed = is_replay[..64].iter().filter(|replay| **replay).count();
    assert_eq!(replayed, 4, "{is_replay:?}");
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    running.stop().await;
}
