//! Engines against the model: any sequence of calls gets the same answers and leaves the same state.
//!
//! The sequences work on a small universe (two applications, three endpoints, a few messages, two
//! owners), so that calls meet. Many are wrong on purpose: late repetitions, lost leases, other
//! deliveries, other numbers of attempts. Delays are none or hours, so that no clock decides.
//! `SLUICEGATE_LONG=1` plays more and longer ones.

mod call;
mod meaning;
mod operation;
mod snapshot;
mod tasks;
mod universe;

use std::{sync::Arc, time::Duration};

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use shared::store::Lifetimes;

use self::{
    call::Call,
    operation::{Operation, operations},
    snapshot::Snapshot,
    universe::{Side, Universe},
};
use crate::{bench::Bench, model::Model};

const HOUR: Duration = Duration::from_secs(3600);
/// Bodies go at once when their last delivery is settled, so that the count of open ones shows.
const LIFETIMES: Lifetimes =
    Lifetimes { message: HOUR, retention: Duration::from_millis(1), history: HOUR };
/// The state is compared after each so many steps, and at the end.
const STEPS_BETWEEN_SNAPSHOTS: usize = 8;
/// An engine is opened anew after so many cases: what earlier ones left behind slows it down.
const CASES_PER_STORE: usize = 25;

#[test]
fn embedded_agrees_with_the_model() {
    agrees_with_the_model(async || crate::engines::embedded(LIFETIMES).await);
}

#[test]
fn redis_agrees_with_the_model() {
    agrees_with_the_model(async || crate::engines::redis(LIFETIMES).await);
}

fn agrees_with_the_model(open: impl AsyncFn() -> Bench) {
    let long = std::env::var_os("SLUICEGATE_LONG").is_some();
    // At most so many steps: half of them on average.
    let (cases, steps) = if long { (2000, 100) } else { (60, 80) };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = std::cell::RefCell::new((0, runtime.block_on(open())));
    let played = TestRunner::new(config).run(&operations(steps), |operations| {
        let (cases, engine) = &mut *bench.borrow_mut();
        *cases += 1;
        if *cases % CASES_PER_STORE == 0 {
            *engine = runtime.block_on(open());
        }
        runtime.block_on(play(engine, &operations))
    });
    if let Err(failure) = played {
        panic!("{failure}");
    }
}

/// Plays one sequence on a model of its own and on the engine.
async fn play(engine: &Bench, operations: &[Operation]) -> Result<(), TestCaseError> {
    let model = Arc::new(Model::open(Lifetimes { retention: Duration::ZERO, ..LIFETIMES }));
    let sides = [Side::new(model.clone()), Side::new(engine.store.clone())];
    let mut universe = Universe::new(model, sides).await;
    let mut calls: Vec<[Call; 2]> = Vec::new();
    // Most calls mean something only to an owner.
    let begin = [0, 2].map(|endpoint| Operation::Acquire { endpoint, owner: 0 });
    for (step, operation) in begin.iter().chain(operations).enumerate() {
        let Some(pair) = universe.calls_for(operation, &calls).await else { continue };
        let said = pair[0].apply(&universe.sides[0]).await;
        let heard = pair[1].apply(&universe.sides[1]).await;
        if said != heard {
            return Err(TestCaseError::fail(format!(
                "step {step}, {operation:?}: the model answers {said:?}, the engine {heard:?} to {:?}",
                pair[1]
            )));
        }
        universe.learn(&pair, &said).await;
        calls.push(pair);
        universe.until_bodies_agree().await;
        if step % STEPS_BETWEEN_SNAPSHOTS == STEPS_BETWEEN_SNAPSHOTS - 1 {
            assert_same_state(&universe, step).await?;
        }
    }
    assert_same_state(&universe, operations.len()).await
}

async fn assert_same_state(universe: &Universe, step: usize) -> Result<(), TestCaseError> {
    let expected = Snapshot::of(universe, &universe.sides[0]).await;
    let found = Snapshot::of(universe, &universe.sides[1]).await;
    match expected.difference(&found) {
        None => Ok(()),
        Some(difference) => Err(TestCaseError::fail(format!("after step {step}: {difference}"))),
    }
}
