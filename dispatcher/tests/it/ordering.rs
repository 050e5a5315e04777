//! Ordered strands: one after the other, whatever fails.

use std::{num::NonZeroU32, time::Duration};

use rstest::rstest;
use shared::{
    domain::{DeadReason, OrderBy, Ordering, Poison, Queue, Strand},
    id::MessageId,
};

use crate::bench::{Bench, Engine, PATIENCE};

const SOON: Duration = Duration::from_millis(20);
/// Fails at random, but never so that its breaker opens: then it would be asked once in five seconds.
const FAILING: &str = "/picky/30";

fn ordered(queue: Queue, number: u8) -> Queue {
    Queue { strand: Strand::Ordered(number), ..queue }
}

/// Publishes to so many strands of an endpoint by turns; the messages of each.
async fn publish(bench: &Bench, queue: Queue, strands: u8, each: usize) -> Vec<Vec<MessageId>> {
    let mut published = vec![Vec::new(); usize::from(strands)];
    for _ in 0..each {
        for number in 0..strands {
            let messages = bench.publish(ordered(queue, number), 1).await;
            published[usize::from(number)].extend(messages);
        }
    }
    published
}

/// How many of these messages have arrived. No attempt may be at one whose predecessors have not.
fn arrived(bench: &Bench, messages: &[MessageId]) -> usize {
    let ids: Vec<_> = messages.iter().map(ToString::to_string).collect();
    bench.sink.ask(|journal| {
        let mut arrived = 0;
        for arrival in journal.arrivals() {
            let Some(nth) = ids.iter().position(|id| **id == *arrival.webhook_id) else { continue };
            assert!(nth <= arrived, "{nth} was sent before {arrived} had arrived");
            arrived += usize::from(nth == arrived && arrival.accepted());
        }
        arrived
    })
}

async fn until_all_arrived(bench: &Bench, published: &[Vec<MessageId>]) {
    let all = async || published.iter().all(|one| arrived(bench, one) == one.len());
    bench.until("arrived in order", all).await;
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
}

async fn set_poison(bench: &Bench, queue: Queue, poison: Poison) {
    let ordering = Ordering { by: OrderBy::Endpoint, poison: Some(poison) };
    bench.change(queue, |endpoint| endpoint.settings.ordering = Some(ordering)).await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn each_strand_arrives_in_order_under_random_failures(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let queue = bench.endpoint(FAILING).await;
    let running = bench.dispatch(&[SOON; 30]).await;
    let published = publish(&bench, queue, 5, 20).await;
    until_all_arrived(&bench, &published).await;
    assert_eq!(bench.sink.ask(|journal| journal.duplicates()), 0);
    assert_eq!(running.metric("selfcheck_found_total"), 0.0);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn others_proceed_while_the_first_of_a_strand_waits_and_it_keeps_its_place(
    #[case] engine: Engine,
) {
    let bench = Bench::new(engine).await;
    let queue = bench.endpoint("/ok").await;
    let running = bench.dispatch(&[Duration::from_secs(3600)]).await;
    bench.sink.set_outage(Some(actix_web::http::StatusCode::BAD_REQUEST));
    let first = bench.publish(ordered(queue, 0), 1).await;
    let tried = async || bench.sink.ask(|journal| journal.arrivals().len()) == 1;
    bench.until("tried the first", tried).await;
    bench.sink.set_outage(None);

    let mut published = publish(&bench, queue, 3, 10).await;
    let live = bench.publish(queue, 10).await;
    published[0].splice(0..0, first);
    let proceed = async || {
        let live = live.iter().map(|id| arrived(&bench, &[*id])).sum::<usize>();
        (arrived(&bench, &published[1]), arrived(&bench, &published[2]), live) == (10, 10, 10)
    };
    bench.until("proceeded", proceed).await;
    assert_eq!(arrived(&bench, &published[0]), 0);
    let behind = async || bench.store.waiting(ordered(queue, 0)).await.unwrap() == 11;
    bench.until("waited behind the first", behind).await;
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn the_order_holds_over_clean_and_unclean_takeovers(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let queue = bench.endpoint(FAILING).await;
    let dispatch = async || {
        bench.dispatch_with(&[SOON; 30], |config| config.request_timeout = 10 * SOON).await
    };
    let so_many = async |count| {
        let came = async || bench.sink.ask(|journal| journal.arrivals().len()) >= count;
        bench.until("tried some", came).await;
    };
    let first = dispatch().await;
    let mut published = publish(&bench, queue, 3, 30).await;
    so_many(20).await;
    first.stop().await;
    let second = dispatch().await;
    so_many(50).await;
    second.abandon().await;
    let more = publish(&bench, queue, 3, 5).await;
    published.iter_mut().zip(more).for_each(|(all, more)| all.extend(more));
    let third = dispatch().await;
    until_all_arrived(&bench, &published).await;
    third.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn after_an_unclean_takeover_an_ordered_queue_waits_one_request_timeout(
    #[case] engine: Engine,
) {
    let bench = Bench::new(engine).await;
    let queue = bench.endpoint("/ok").await;
    // An owner without anything in flight could still release its lane.
    let hanging = bench.neighbour(queue, "/hang").await;
    bench.publish(hanging, 1).await;
    let first = bench.dispatch(&[]).await;
    let hangs = async || bench.sink.in_flight() == 1;
    bench.until("hung", hangs).await;
    first.abandon().await;
    let url = bench.sink.url("/ok");
    bench.change(hanging, |endpoint| endpoint.url = url).await;
    let messages = bench.publish(ordered(queue, 0), 3).await;
    let live = bench.publish(queue, 20).await;
    // Its request timeout is longer than the test may take.
    let second = bench.dispatch(&[]).await;
    bench.sink.wait_for(live.len() + 1, PATIENCE).await.unwrap();
    let waits = async || bench.store.waiting(ordered(queue, 0)).await.unwrap() == 3;
    bench.until("waited", waits).await;
    assert_eq!(arrived(&bench, &messages), 0);
    second.stop().await;
    let third = bench.dispatch(&[]).await;
    until_all_arrived(&bench, &[messages]).await;
    third.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn what_fails_too_often_becomes_a_dead_letter_and_the_next_comes(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let queue = bench.endpoint("/status/400").await;
    set_poison(&bench, queue, Poison::DeadLetterAfter(NonZeroU32::new(3).unwrap())).await;
    let running = bench.dispatch(&[SOON]).await;
    let messages = bench.publish(ordered(queue, 0), 3).await;
    let dead = async || bench.dead_letters(queue).await.len() == 3;
    bench.until("gave up", dead).await;
    let mut letters = bench.dead_letters(queue).await;
    letters.reverse();
    for (letter, message) in letters.iter().zip(&messages) {
        assert_eq!((letter.message, letter.attempts), (*message, 3));
        assert_eq!(letter.reason, DeadReason::Exhausted);
    }
    let tried = bench.sink.ask(|journal| {
        journal.arrivals().iter().map(|one| one.webhook_id.to_string()).collect::<Vec<_>>()
    });
    let expected: Vec<_> =
        messages.iter().flat_map(|id| std::iter::repeat_n(id.to_string(), 3)).collect();
    assert_eq!(tried, expected);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn what_blocks_is_tried_until_it_arrives(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let queue = bench.endpoint("/fail/5").await;
    set_poison(&bench, queue, Poison::Block).await;
    let running = bench.dispatch(&[SOON]).await;
    let messages = bench.publish(ordered(queue, 0), 3).await;
    until_all_arrived(&bench, &[messages]).await;
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 18);
    assert_eq!(bench.dead_letters(queue).await, []);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn the_queues_of_a_deleted_endpoint_empty_at_once(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let queue = bench.endpoint("/ok").await;
    bench.change(queue, |endpoint| endpoint.disabled = true).await;
    publish(&bench, queue, 2, 30).await;
    let running = bench.dispatch(&[]).await;
    let waits = async || bench.store.waiting(ordered(queue, 1)).await.unwrap() == 30;
    bench.until("waited", waits).await;
    bench.commit(shared::store::Change::DeleteEndpoint(queue.endpoint)).await;
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    assert_eq!(bench.sink.ask(|journal| journal.arrivals().len()), 0);
    running.stop().await;
}
