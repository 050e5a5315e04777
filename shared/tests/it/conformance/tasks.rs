//! `Tasks`.

use std::time::Duration;

use shared::{
    domain::{
        DeadReason, Delivery, Generation, Progress, Selection, Strand, Task, TaskKind, TaskStatus,
        TrackedTask,
    },
    id::{EndpointId, MessageId, TaskId},
    store::{
        Advanced, Again, Begun, Change, Cursor, Entry, Fence, Lifetimes, NudgeKind, Order, Place,
        Step, Verdict,
    },
    time::Millis,
};

use crate::bench::{Bench, Tenant, whole};

crate::engines::on_each_engine! {
    Lifetimes::default();
    a_task_begins_once_and_nudges_its_lane,
    a_task_for_a_missing_endpoint_is_refused,
    tasks_are_listed_and_found,
    a_step_adds_deliveries_in_order,
    a_step_is_made_once,
    a_step_needs_the_lane,
    a_step_counts_bodies_that_are_gone,
    a_step_takes_dead_letters_along,
    a_step_for_a_deleted_endpoint_ends_the_task,
    a_task_that_ends_leaves_the_open_ones,
    a_cancelled_task_makes_no_step,
    a_reminder_is_a_nudge,
    what_waits_is_told,
}

/// On a store that soon forgets.
mod short_lived {
    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    crate::engines::on_each_engine! {
        Lifetimes { retention: SOON, history: SOON, ..Lifetimes::default() };
        a_body_lives_until_what_is_sent_again_has_ended,
        a_task_goes_with_history_once_it_has_ended,
    }
}

const GENERATION: Generation = Generation(1_790_000_000_000);

fn task(tenant: &Tenant) -> Task {
    Task {
        id: TaskId::new(),
        app: tenant.app,
        endpoint: tenant.endpoints[0],
        kind: TaskKind::Recover,
        selection: Selection { until: Millis::now(), ..Selection::default() },
        created_at: Millis::now(),
        extra: serde_json::Map::from_iter([("from".into(), "the future".into())]),
    }
}

/// Begins a task.
async fn begin(bench: &Bench, tenant: &Tenant) -> Task {
    let task = task(tenant);
    assert_eq!(bench.store.begin_task(&task).await.unwrap(), Begun::Begun);
    task
}

fn step(task: &Task, number: u64, messages: &[MessageId]) -> Step {
    let again = |message: &MessageId| Again { message: *message, letter: None };
    Step {
        task: task.clone(),
        number,
        generation: GENERATION,
        again: messages.iter().map(again).collect(),
        superseded: vec![],
        looked_at: messages.len() as u64,
        total: 10,
        place: format!("after step {number}"),
        status: TaskStatus::Running,
    }
}

async fn advance(bench: &Bench, fence: &Fence, step: &Step) -> Progress {
    match bench.store.advance_task(fence, step).await.unwrap() {
        Advanced::Now(progress) => progress,
        other => panic!("{other:?}"),
    }
}

async fn waiting(bench: &Bench, fence: &Fence, task: &Task) -> Vec<Delivery> {
    let due = bench.due(fence, task.queue()).await;
    due.parked.into_iter().map(|waiting| waiting.delivery).collect()
}

async fn nudges(bench: &Bench, task: &Task) -> usize {
    let nudge =
        Entry::Nudge { queue: task.destination().queue(Strand::Live), kind: NudgeKind::Task };
    let stream = bench.stream(task.queue().lane()).await;
    stream.into_iter().filter(|(_, entry)| *entry == nudge).count()
}

/// The progress without when it was made.
fn timeless(progress: Progress) -> Progress {
    Progress { updated_at: Millis(0), ..progress }
}

async fn a_task_begins_once_and_nudges_its_lane(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let task = begin(&bench, &tenant).await;
    assert_eq!(nudges(&bench, &task).await, 1);
    let begun = bench.store.task(task.id).await.unwrap().unwrap();
    assert_eq!(begun.task, task, "with all that it says");
    assert_eq!(timeless(begun.progress), Progress::begun(Millis(0)));

    advance(&bench, &fence, &step(&task, 1, &[])).await;
    assert_eq!(bench.store.begin_task(&task).await.unwrap(), Begun::Begun);
    let again = bench.store.task(task.id).await.unwrap().unwrap();
    assert_eq!(again.progress.steps, 1, "it goes on where it was");
    assert_eq!(bench.store.open_tasks(tenant.lane()).await.unwrap(), [again]);
}

async fn a_task_for_a_missing_endpoint_is_refused(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let missing = Task { endpoint: EndpointId::new(), ..task(&tenant) };
    assert_eq!(bench.store.begin_task(&missing).await.unwrap(), Begun::NoEndpoint);
    assert_eq!(bench.store.task(missing.id).await.unwrap(), None);
    assert_eq!(nudges(&bench, &missing).await, 0);
    assert_eq!(bench.store.open_tasks(missing.queue().lane()).await.unwrap(), []);
    assert_eq!(bench.store.tasks(&whole(Order::OldestFirst)).await.unwrap().entries, []);
}

async fn tasks_are_listed_and_found(bench: Bench) {
    let (one, other) = (bench.tenant(1).await, bench.tenant(1).await);
    let mut tasks = Vec::new();
    for tenant in [&one, &other, &one] {
        tasks.push(begin(&bench, tenant).await);
    }
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let request = shared::store::PageRequest { after, order, limit: 2 };
            let page = bench.store.tasks(&request).await.unwrap();
            after = page.entries.last().map(|(cursor, _)| cursor.clone());
            found.extend(page.entries.into_iter().map(|(_, tracked)| tracked.task));
            if page.done {
                break;
            }
        }
        assert_eq!(found, tasks);
        tasks.reverse();
    }
    for task in &tasks {
        let found = bench.store.task(task.id).await.unwrap();
        assert_eq!(found.map(|tracked| tracked.task).as_ref(), Some(task));
    }
    assert_eq!(bench.store.task(TaskId::new()).await.unwrap(), None);
}

async fn a_step_adds_deliveries_in_order(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let mut messages = Vec::new();
    for _ in 0..5 {
        messages.push(tenant.publish().await);
    }
    let task = begin(&bench, &tenant).await;
    advance(&bench, &fence, &step(&task, 1, &messages[..3])).await;
    let progress = advance(&bench, &fence, &step(&task, 2, &messages[3..])).await;
    let expected = Progress {
        status: TaskStatus::Running,
        steps: 2,
        total: Some(10),
        looked_at: 5,
        sent: 5,
        gone: 0,
        place: "after step 2".into(),
        updated_at: Millis(0),
    };
    assert_eq!(timeless(progress.clone()), expected);
    let expected: Vec<_> =
        messages.iter().map(|message| task.delivery(*message, GENERATION)).collect();
    assert_eq!(waiting(&bench, &fence, &task).await, expected);
    assert_eq!(bench.agenda(tenant.lane()).await, [task.queue()]);
    let tracked = bench.store.task(task.id).await.unwrap().unwrap();
    assert_eq!(tracked, TrackedTask { task, progress });
}

async fn a_step_is_made_once(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let (first, second) = (tenant.publish().await, tenant.publish().await);
    let task = begin(&bench, &tenant).await;
    let once = advance(&bench, &fence, &step(&task, 1, &[first])).await;
    let twice = advance(&bench, &fence, &step(&task, 1, &[second])).await;
    assert_eq!(once, twice, "another step of the same number");
    let too_early = advance(&bench, &fence, &step(&task, 3, &[second])).await;
    assert_eq!(once, too_early);
    assert_eq!(waiting(&bench, &fence, &task).await, [task.delivery(first, GENERATION)]);
    let unknown = step(&self::task(&tenant), 1, &[second]);
    assert_eq!(bench.store.advance_task(&fence, &unknown).await.unwrap(), Advanced::NoTask);
}

async fn a_step_needs_the_lane(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let old = bench.own(tenant.lane()).await;
    let message = tenant.publish().await;
    let task = begin(&bench, &tenant).await;
    let new = bench.own(tenant.lane()).await;
    let step = step(&task, 1, &[message]);
    assert_eq!(bench.store.advance_task(&old, &step).await.unwrap(), Advanced::Fenced);
    assert_eq!(waiting(&bench, &new, &task).await, []);
    assert_eq!(advance(&bench, &new, &step).await.sent, 1);
}

async fn a_step_counts_bodies_that_are_gone(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let (there, gone) = (tenant.publish().await, MessageId::new());
    let task = begin(&bench, &tenant).await;
    let progress = advance(&bench, &fence, &step(&task, 1, &[gone, there])).await;
    assert_eq!((progress.sent, progress.gone), (1, 1));
    assert_eq!(waiting(&bench, &fence, &task).await, [task.delivery(there, GENERATION)]);
}

async fn a_step_takes_dead_letters_along(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    for _ in 0..4 {
        let delivery = tenant.deliver().await;
        let place = Place::Stream(bench.entry_of(delivery).await);
        let verdict = Verdict::Dead(DeadReason::Exhausted);
        bench.settle(&fence, delivery, place, 1, verdict).await;
    }
    let letters = async || {
        let page = bench.store.dead_letters(tenant.queue(0), &whole(Order::OldestFirst)).await;
        page.unwrap().entries.into_iter().map(|(place, one)| (place, one.message)).collect()
    };
    let before: Vec<(Cursor, MessageId)> = letters().await;
    let task = begin(&bench, &tenant).await;
    let again = |message, place: &Cursor| Again { message, letter: Some(place.clone()) };
    let step = Step {
        again: vec![again(before[0].1, &before[0].0), again(MessageId::new(), &before[1].0)],
        superseded: vec![before[2].0.clone()],
        ..step(&task, 1, &[])
    };
    advance(&bench, &fence, &step).await;
    let left: Vec<(Cursor, MessageId)> = letters().await;
    assert_eq!(left, [before[1].clone(), before[3].clone()], "what is gone cannot be sent");
}

async fn a_step_for_a_deleted_endpoint_ends_the_task(bench: Bench) {
    let mut tenant = bench.tenant(2).await;
    let fence = bench.own(tenant.lane()).await;
    let message = tenant.publish().await;
    let task = begin(&bench, &tenant).await;
    tenant.commit(&[Change::DeleteEndpoint(task.endpoint)]).await;
    let progress = advance(&bench, &fence, &step(&task, 1, &[message])).await;
    assert_eq!((progress.status, progress.sent), (TaskStatus::EndpointDeleted, 0));
    assert_eq!(waiting(&bench, &fence, &task).await, []);
    assert_eq!(bench.store.open_tasks(tenant.lane()).await.unwrap(), []);
}

async fn a_task_that_ends_leaves_the_open_ones(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let (first, second) = (begin(&bench, &tenant).await, begin(&bench, &tenant).await);
    let last = Step { status: TaskStatus::Finished, ..step(&first, 1, &[]) };
    let progress = advance(&bench, &fence, &last).await;
    assert_eq!(progress.status, TaskStatus::Finished);
    let open = bench.store.open_tasks(tenant.lane()).await.unwrap();
    assert_eq!(open.into_iter().map(|tracked| tracked.task).collect::<Vec<_>>(), [second]);
    let message = tenant.publish().await;
    assert_eq!(advance(&bench, &fence, &step(&first, 2, &[message])).await, progress);
    assert_eq!(waiting(&bench, &fence, &first).await, []);
}

async fn a_cancelled_task_makes_no_step(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let message = tenant.publish().await;
    let task = begin(&bench, &tenant).await;
    for _ in 0..2 {
        let cancelled = bench.store.cancel_task(task.id).await.unwrap().unwrap();
        assert_eq!(cancelled.progress.status, TaskStatus::Cancelled);
    }
    assert_eq!(nudges(&bench, &task).await, 2, "for its beginning and its end");
    assert_eq!(bench.store.open_tasks(tenant.lane()).await.unwrap(), []);
    let progress = advance(&bench, &fence, &step(&task, 1, &[message])).await;
    assert_eq!((progress.status, progress.steps), (TaskStatus::Cancelled, 0));
    assert_eq!(waiting(&bench, &fence, &task).await, []);

    let finished = begin(&bench, &tenant).await;
    let last = Step { status: TaskStatus::Finished, ..step(&finished, 1, &[]) };
    advance(&bench, &fence, &last).await;
    let late = bench.store.cancel_task(finished.id).await.unwrap().unwrap();
    assert_eq!(late.progress.status, TaskStatus::Finished);
    assert_eq!(bench.store.cancel_task(TaskId::new()).await.unwrap(), None);
}

async fn a_reminder_is_a_nudge(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let task = task(&tenant);
    bench.store.remind(task.destination()).await.unwrap();
    assert_eq!(nudges(&bench, &task).await, 1);
}

async fn what_waits_is_told(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let (parked, retried) = (tenant.deliver().await, tenant.deliver().await);
    let flowing = tenant.deliver().await;
    let mut ordered = tenant.publication();
    ordered.targets[0].strand = Strand::Ordered(17);
    let message = ordered.header.id;
    bench.store.publish(vec![ordered]).await.unwrap();
    let ordered = Delivery { strand: Strand::Ordered(17), ..tenant.delivery(message, 0) };
    bench.park(&fence, &[parked, ordered]).await;
    let place = Place::Stream(bench.entry_of(retried).await);
    let retry = Verdict::Retry { delay: Duration::from_secs(60), steps: 1 };
    bench.settle(&fence, retried, place, 1, retry).await;
    let task = begin(&bench, &tenant).await;
    advance(&bench, &fence, &step(&task, 1, &[flowing.message])).await;
    let messages =
        [parked.message, flowing.message, retried.message, MessageId::new(), ordered.message];
    let waits = bench.store.waits(task.destination(), &messages).await.unwrap();
    assert_eq!(waits, [true, false, true, false, true], "another generation does not count");
    assert_eq!(bench.store.waits(task.destination(), &[]).await.unwrap(), [] as [bool; 0]);
}

async fn a_body_lives_until_what_is_sent_again_has_ended(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let first = tenant.deliver().await;
    let task = begin(&bench, &tenant).await;
    advance(&bench, &fence, &step(&task, 1, &[first.message])).await;
    let place = Place::Stream(bench.entry_of(first).await);
    bench.settle(&fence, first, place, 1, Verdict::Delivered).await;
    tokio::time::sleep(Duration::from_millis(80)).await;
    bench.store.sweep().await.unwrap();
    assert!(bench.lives(tenant.app, first.message).await, "one of the two is open");
    let second = task.delivery(first.message, GENERATION);
    bench.settle(&fence, second, Place::Waiting, 1, Verdict::Delivered).await;
    bench.until_gone(tenant.app, first.message).await;
}

async fn a_task_goes_with_history_once_it_has_ended(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let (ends, runs) = (begin(&bench, &tenant).await, begin(&bench, &tenant).await);
    let last = Step { status: TaskStatus::Finished, ..step(&ends, 1, &[]) };
    advance(&bench, &fence, &last).await;
    let gone = async || bench.store.task(ends.id).await.unwrap().is_none();
    while !gone().await {
        bench.store.sweep().await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(bench.store.task(runs.id).await.unwrap().is_some());
    let listed = bench.store.tasks(&whole(Order::OldestFirst)).await.unwrap().entries;
    assert_eq!(listed.into_iter().map(|(_, one)| one.task).collect::<Vec<_>>(), [runs]);
}
