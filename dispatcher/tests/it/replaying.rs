//! Tasks: what was given up, missed or sent before is sent again.

use std::{collections::HashSet, time::Duration};

use actix_web::http::StatusCode;
use rstest::rstest;
use shared::{
    domain::{
        AttemptStatus, Progress, Queue, Selection, Strand, Task, TaskKind, TaskStatus, TrackedTask,
    },
    id::{MessageId, TaskId},
    store::{Begun, Change},
    time::Millis,
};

use crate::bench::{Bench, Engine, PATIENCE};

/// More than two steps.
const MANY: usize = 600;

impl Bench {
    /// Begins a task for an endpoint.
    async fn begin(&self, queue: Queue, kind: TaskKind, status: Option<AttemptStatus>) -> Task {
        let task = Task {
            id: TaskId::new(),
            app: queue.app,
            endpoint: queue.endpoint,
            kind,
            selection: Selection {
                until: Millis(Millis::now().0 + 1),
                status,
                ..Selection::default()
            },
            created_at: Millis::now(),
            extra: Default::default(),
        };
        assert_eq!(self.store.begin_task(&task).await.unwrap(), Begun::Begun);
        task
    }

    async fn progress(&self, task: &Task) -> Progress {
        let TrackedTask { progress, .. } = self.store.task(task.id).await.unwrap().unwrap();
        progress
    }

    /// How far the task is once it has ended.
    async fn ended(&self, task: &Task) -> Progress {
        let ended = async || self.progress(task).await.status != TaskStatus::Running;
        self.until("ended", ended).await;
        self.progress(task).await
    }

    /// Publishes messages that the endpoint refuses for good; there must be no schedule.
    async fn give_up(&self, queue: Queue, count: usize) -> Vec<MessageId> {
        let before = self.letters(queue).await;
        self.sink.set_outage(Some(StatusCode::NOT_FOUND));
        let messages = self.publish(queue, count).await;
        let given_up = async || self.letters(queue).await == before + count;
        self.until("gave up", given_up).await;
        self.sink.set_outage(None);
        messages
    }

    async fn letters(&self, queue: Queue) -> usize {
        self.dead_letters(queue).await.len()
    }

    /// Which messages were taken, in order.
    fn taken(&self) -> Vec<String> {
        let taken = |journal: &loadtests::journal::Journal| {
            let arrivals = journal.arrivals().iter().filter(|arrival| arrival.accepted());
            arrivals.map(|arrival| arrival.webhook_id.to_string()).collect()
        };
        self.sink.ask(taken)
    }

    /// Waits until all of these were taken, each once.
    async fn until_taken_once(&self, messages: &[MessageId]) {
        let wanted: HashSet<_> = messages.iter().map(MessageId::to_string).collect();
        let all = async || self.taken().len() >= wanted.len();
        self.until("took all", all).await;
        let taken = self.taken();
        assert_eq!(taken.len(), wanted.len());
        assert_eq!(taken.into_iter().collect::<HashSet<_>>(), wanted);
    }
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn recover_sends_what_was_given_up_once(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let (endpoint, other) = (bench.endpoint("/ok").await, bench.endpoint("/ok?other").await);
    let running = bench.dispatch(&[]).await;
    bench.give_up(other, 1).await;
    let messages = bench.give_up(endpoint, MANY).await;
    let task = bench.begin(endpoint, TaskKind::Recover, None).await;
    bench.until_taken_once(&messages).await;
    let ended = bench.ended(&task).await;
    let many = MANY as u64;
    assert_eq!((ended.status, ended.total), (TaskStatus::Finished, Some(many)));
    assert_eq!((ended.looked_at, ended.sent, ended.gone), (many, many, 0));
    assert!(ended.steps > 2, "a few at a time");
    assert_eq!(bench.letters(endpoint).await, 0, "they are no dead letters any more");
    assert_eq!(bench.letters(other).await, 1);
    assert_eq!(running.metric("deliveries_replayed_total"), many as f64);

    let again = bench.begin(endpoint, TaskKind::Recover, None).await;
    assert_eq!(bench.ended(&again).await.sent, 0);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn what_is_given_up_again_is_a_dead_letter_again(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    let running = bench.dispatch(&[Duration::ZERO; 2]).await;
    let messages = bench.give_up(endpoint, 2).await;
    bench.sink.set_outage(Some(StatusCode::NOT_FOUND));
    let task = bench.begin(endpoint, TaskKind::Recover, None).await;
    bench.ended(&task).await;
    let again = async || {
        let letters = bench.dead_letters(endpoint).await;
        letters.len() == 2 && letters.iter().all(|letter| letter.generation.0 > 0)
    };
    bench.until("gave up again", again).await;
    for message in messages {
        let tried = bench.sink.ask(|journal| journal.of(&message.to_string()).count());
        assert_eq!(tried, 6, "all of the schedule, twice");
    }
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn replay_missing_sends_what_the_endpoint_never_got(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let elsewhere = bench.endpoint("/ok").await;
    let missed = bench.publish(elsewhere, 300).await;
    // Slow, so that some are in hand and not yet tried when the task looks.
    let endpoint = bench.endpoint("/slow/100").await;
    let mut wanted = bench.publish(endpoint, 10).await;
    let first = bench.dispatch(&[]).await;
    bench.sink.wait_for(310, PATIENCE).await.unwrap();
    first.stop().await;
    // These are on their way when the task begins.
    wanted.extend(bench.publish(endpoint, 60).await);
    let task = bench.begin(endpoint, TaskKind::ReplayMissing, None).await;
    let second = bench.dispatch(&[]).await;
    let ended = bench.ended(&task).await;
    assert_eq!((ended.sent, ended.looked_at), (300, 370));
    wanted.extend(missed);
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    let taken = |journal: &loadtests::journal::Journal| {
        let arrivals = journal.arrivals().iter().filter(|arrival| &*arrival.path == "/slow/100");
        arrivals.map(|arrival| arrival.webhook_id.to_string()).collect::<Vec<_>>()
    };
    let taken = bench.sink.ask(taken);
    assert_eq!(taken.len(), wanted.len());
    let wanted: HashSet<_> = wanted.iter().map(MessageId::to_string).collect();
    assert_eq!(taken.into_iter().collect::<HashSet<_>>(), wanted);
    second.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn bulk_replay_sends_what_was_sent_before(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let (endpoint, other) = (bench.endpoint("/ok").await, bench.endpoint("/ok?other").await);
    let running = bench.dispatch(&[]).await;
    let refused = bench.give_up(endpoint, 3).await;
    let taken = bench.publish(endpoint, 4).await;
    bench.publish(other, 5).await;
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    let count = |messages: &[MessageId]| {
        let ids: HashSet<_> = messages.iter().map(MessageId::to_string).collect();
        bench.taken().iter().filter(|id| ids.contains(*id)).count()
    };
    assert_eq!((count(&refused), count(&taken)), (0, 4));
    for (status, sent, expected) in [
        (Some(AttemptStatus::Success), 4, (0, 8)),
        (Some(AttemptStatus::Fail), 3, (3, 8)),
        (None, 7, (6, 12)),
    ] {
        let task = bench.begin(endpoint, TaskKind::BulkReplay, status).await;
        assert_eq!(bench.ended(&task).await.sent, sent, "{status:?}");
        bench.until("came to rest", rest).await;
        assert_eq!((count(&refused), count(&taken)), expected, "{status:?}");
    }
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded, true)]
#[case::redis(Engine::Redis, true)]
#[case::redis_unclean(Engine::Redis, false)]
#[actix_rt::test]
async fn the_next_owner_goes_on_with_a_task(#[case] engine: Engine, #[case] clean: bool) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    let first = bench.dispatch(&[]).await;
    let messages = bench.give_up(endpoint, MANY).await;
    bench.change(endpoint, |endpoint| endpoint.rate_limit = Some(400)).await;
    let task = bench.begin(endpoint, TaskKind::Recover, None).await;
    let begun = async || bench.taken().len() > 10;
    bench.until("began", begun).await;
    match clean {
        true => first.stop().await,
        false => first.abandon().await,
    }
    assert_eq!(bench.progress(&task).await.status, TaskStatus::Running);
    let second = bench.dispatch(&[]).await;
    let ended = bench.ended(&task).await;
    assert_eq!((ended.status, ended.sent), (TaskStatus::Finished, MANY as u64));
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    let taken = bench.taken();
    assert!(!clean || taken.len() == MANY, "{} arrived", taken.len());
    let wanted: HashSet<_> = messages.iter().map(MessageId::to_string).collect();
    assert_eq!(taken.into_iter().collect::<HashSet<_>>(), wanted);
    second.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn few_replays_wait_at_once_and_a_cancelled_task_adds_no_more(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    let replays = endpoint.destination().queue(Strand::Replay);
    let beside = bench.neighbour(endpoint, "/ok?beside").await;
    let running = bench.dispatch(&[]).await;
    bench.give_up(endpoint, MANY).await;
    bench.give_up(beside, MANY).await;
    bench.change(endpoint, |endpoint| endpoint.disabled = true).await;
    let task = bench.begin(endpoint, TaskKind::Recover, None).await;
    let some = async || bench.store.waiting(replays).await.unwrap() > 0;
    bench.until("waited", some).await;
    // It has had its time when one that came later is through.
    let other = bench.begin(beside, TaskKind::Recover, None).await;
    assert_eq!(bench.ended(&other).await.sent, MANY as u64);
    bench.store.cancel_task(task.id).await.unwrap();
    let ended = bench.ended(&task).await;
    assert_eq!(ended.status, TaskStatus::Cancelled);
    assert!(ended.sent < MANY as u64, "{} wait at once", ended.sent);
    assert_eq!(bench.store.waiting(replays).await.unwrap(), ended.sent);
    bench.change(endpoint, |endpoint| endpoint.disabled = false).await;
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    assert_eq!(bench.taken().len() as u64, ended.sent + MANY as u64);
    assert_eq!(bench.letters(endpoint).await as u64, MANY as u64 - ended.sent);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn a_task_ends_with_its_endpoint(#[case] engine: Engine) {
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    let running = bench.dispatch(&[]).await;
    bench.give_up(endpoint, MANY).await;
    bench.change(endpoint, |endpoint| endpoint.disabled = true).await;
    let task = bench.begin(endpoint, TaskKind::Recover, None).await;
    let some = async || bench.progress(&task).await.sent > 0;
    bench.until("began", some).await;
    bench.commit(Change::DeleteEndpoint(endpoint.endpoint)).await;
    assert_eq!(bench.ended(&task).await.status, TaskStatus::EndpointDeleted);
    let rest = async || bench.is_at_rest().await;
    bench.until("came to rest", rest).await;
    assert_eq!(bench.taken().len(), 0);
    running.stop().await;
}

#[rstest]
#[case::embedded(Engine::Embedded)]
#[case::redis(Engine::Redis)]
#[actix_rt::test]
async fn live_work_goes_first_while_a_task_runs(#[case] engine: Engine) {
    const LIVE: usize = 150;
    let bench = Bench::new(engine).await;
    let endpoint = bench.endpoint("/ok").await;
    let running = bench.dispatch(&[]).await;
    bench.give_up(endpoint, MANY).await;
    bench.change(endpoint, |endpoint| endpoint.rate_limit = Some(200)).await;
    let task = bench.begin(endpoint, TaskKind::Recover, None).await;
    let begun = async || bench.taken().len() > 10;
    bench.until("began", begun).await;
    let live = bench.publish(endpoint, LIVE).await;
    let before = bench.taken().len();
    let live: HashSet<_> = live.iter().map(MessageId::to_string).collect();
    let all = async || bench.taken().iter().filter(|id| live.contains(*id)).count() == LIVE;
    bench.until("took what is live", all).await;
    let taken = bench.taken();
    let last = taken.iter().rposition(|id| live.contains(id)).unwrap();
    let replays = taken[before..last].iter().filter(|id| !live.contains(*id)).count();
    // One in sixteen, and what was prepared before.
    assert!(replays <= LIVE / 15 + 20, "{replays} replays before {LIVE} live messages");
    assert_eq!(bench.progress(&task).await.status, TaskStatus::Running, "it went on all the while");
    running.stop().await;
}
