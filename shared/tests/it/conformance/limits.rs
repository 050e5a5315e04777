//! `Limits`.

use std::time::Duration;

use futures_util::future::join_all;
use proptest::{collection::vec, prelude::*, strategy::ValueTree, test_runner::TestRunner};
use shared::{
    domain::Limit,
    id::AppId,
    store::{Bucket, Change, Granted, Lifetimes, Metered, Pace, Take, pace},
};

use crate::bench::Bench;

crate::engines::on_each_engine! {
    Lifetimes::default();
    cells_keep_their_distance_whoever_takes_them,
    at_least_one_cell_is_given_and_all_but_the_first_within_the_spread,
    a_burst_is_given_once,
    no_interval_holds_more_than_its_limits,
    what_one_bucket_must_skip_is_given_to_others,
    a_changed_limit_goes_on_but_waits_no_longer_than_if_it_were_used_up,
    limits_of_an_older_version_are_ignored,
    next_takes_nothing,
    an_application_that_was_deleted_can_be_asked_still,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// A test does not take as long.
const SOON: Duration = Duration::from_secs(30);

fn limit(count: u32, per: Duration, burst: Option<u32>) -> Limit {
    let burst = burst.map(|burst| burst.try_into().unwrap());
    Limit { count: count.try_into().unwrap(), per, burst }
}

fn metered(name: &str, version: u64, limits: &[Limit]) -> Metered {
    Metered { bucket: Bucket::Named(name.into()), version, limits: limits.into() }
}

async fn take(bench: &Bench, buckets: &[&Metered], cells: usize, spread: Duration) -> Granted {
    let buckets = buckets.iter().map(|it| (*it).clone()).collect();
    bench.store.take(&Take { buckets, cells, spread }).await.unwrap()
}

/// When the cells are due, on the store's clock.
fn times(granted: &Granted) -> impl Iterator<Item = Duration> {
    granted.cells.iter().map(|cell| granted.at + *cell)
}

/// Whether these cells keep a limit, whoever got which when.
fn keep(pace: Pace, cells: &[Duration]) -> bool {
    let mut sorted = cells.to_vec();
    sorted.sort();
    let mut arrival = Duration::ZERO;
    sorted.into_iter().all(|cell| {
        let kept = cell + pace.tolerance >= arrival;
        arrival = arrival.max(cell) + pace.gap;
        kept
    })
}

async fn cells_keep_their_distance_whoever_takes_them(bench: Bench) {
    let shared = metered("a", 1, &[limit(10, Duration::from_secs(1), None)]);
    let buckets = [&shared];
    let takes = (0..20).map(|_| take(&bench, &buckets, 3, HOUR));
    let granted = join_all(takes).await;
    let mut all: Vec<_> = granted.iter().flat_map(times).collect();
    all.sort();
    assert_eq!(all.len(), 60);
    let gap = pace(&shared.limits[0]).gap;
    assert!(all.windows(2).all(|pair| pair[1] - pair[0] == gap), "{all:?}");
}

async fn at_least_one_cell_is_given_and_all_but_the_first_within_the_spread(bench: Bench) {
    let shared = metered("a", 1, &[limit(1, HOUR, None)]);
    let gap = pace(&shared.limits[0]).gap;
    assert_eq!(take(&bench, &[&shared], 5, MINUTE).await.cells, [Duration::ZERO]);
    let second = take(&bench, &[&shared], 0, Duration::ZERO).await.cells;
    assert!(second.len() == 1 && second[0] > gap - SOON && second[0] <= gap, "{second:?}");
    let more = take(&bench, &[&shared], 5, 2 * gap).await.cells;
    assert_eq!(more.len(), 3, "{more:?}");
    assert!(more[0] > 2 * gap - SOON && more[2] - more[0] == 2 * gap);
}

async fn a_burst_is_given_once(bench: Bench) {
    let shared = metered("a", 1, &[limit(10, HOUR, Some(4))]);
    let cells = take(&bench, &[&shared], 6, 2 * HOUR).await.cells;
    let gap = pace(&shared.limits[0]).gap;
    assert_eq!(cells[..4], [Duration::ZERO; 4]);
    assert_eq!(cells[4..], [gap, 2 * gap]);
}

async fn no_interval_holds_more_than_its_limits(bench: Bench) {
    let second = Duration::from_secs(1);
    let all = [
        metered("fast", 1, &[limit(100, second, None)]),
        metered("slow", 1, &[limit(7, second, None), limit(20, 5 * second, Some(3))]),
        metered("bursts", 1, &[limit(30, second, Some(10))]),
    ];
    let wish = (1..8usize, 1..6usize, 0..2000u64);
    let wishes = vec(wish, 120).new_tree(&mut TestRunner::deterministic()).unwrap().current();
    let mut taken: [Vec<Duration>; 3] = Default::default();
    for (which, cells, spread) in wishes {
        let chosen: Vec<_> = (0..3).filter(|nth| which & (1 << nth) != 0).collect();
        let buckets: Vec<_> = chosen.iter().map(|nth| &all[*nth]).collect();
        let granted = take(&bench, &buckets, cells, Duration::from_millis(spread)).await;
        assert!((1..=cells).contains(&granted.cells.len()));
        assert!(granted.cells.is_sorted());
        chosen.iter().for_each(|nth| taken[*nth].extend(times(&granted)));
    }
    for (metered, cells) in all.iter().zip(taken) {
        assert!(metered.limits.iter().all(|limit| keep(pace(limit), &cells)), "{metered:?}");
    }
}

async fn what_one_bucket_must_skip_is_given_to_others(bench: Bench) {
    let fast = metered("fast", 1, &[limit(60, HOUR, None)]);
    let slow = metered("slow", 1, &[limit(1, HOUR, None)]);
    take(&bench, &[&slow], 1, HOUR).await;
    let both = take(&bench, &[&fast, &slow], 1, HOUR).await;
    assert!(both.cells[0] > HOUR);
    let alone = take(&bench, &[&fast], 59, HOUR).await;
    let gap = pace(&fast.limits[0]).gap;
    let even = alone.cells.iter().enumerate().all(|(nth, cell)| *cell == gap * nth as u32);
    assert!(even, "{:?}", alone.cells);
    let all: Vec<_> = times(&both).chain(times(&alone)).collect();
    assert!(keep(pace(&fast.limits[0]), &all));
    // In the middle of what is skipped next time, too.
    let again = take(&bench, &[&slow, &fast], 1, HOUR).await;
    assert!(again.cells[0] > 2 * HOUR);
    let next = take(&bench, &[&fast], 1, HOUR).await.cells[0];
    assert!(next > 59 * gap && next < 63 * gap, "{next:?}");
}

async fn a_changed_limit_goes_on_but_waits_no_longer_than_if_it_were_used_up(bench: Bench) {
    let hourly = metered("a", 1, &[limit(1, HOUR, None)]);
    take(&bench, &[&hourly], 3, 9 * HOUR).await;
    let faster = metered("a", 2, &[limit(60, HOUR, Some(60))]);
    let gap = pace(&faster.limits[0]).gap;
    let cells = take(&bench, &[&faster], 3, HOUR).await.cells;
    assert_eq!(cells, [gap, 2 * gap, 3 * gap], "no new burst");
    let slower = metered("a", 3, &[limit(1, HOUR, None)]);
    let cells = take(&bench, &[&slower], 2, 9 * HOUR).await.cells;
    let gap = pace(&slower.limits[0]).gap;
    assert_eq!(cells, [gap, 2 * gap], "although more than that was taken");
}

async fn limits_of_an_older_version_are_ignored(bench: Bench) {
    let new = metered("a", 2, &[limit(60, HOUR, None)]);
    let old = metered("a", 1, &[limit(1, HOUR, None)]);
    take(&bench, &[&new], 1, HOUR).await;
    let cells = take(&bench, &[&old], 3, HOUR).await.cells;
    assert_eq!(cells.len(), 3);
    assert!(cells[0] <= pace(&new.limits[0]).gap);
}

async fn next_takes_nothing(bench: Bench) {
    let (used, unused) =
        (metered("used", 1, &[limit(1, HOUR, None)]), metered("full", 1, &[limit(1, HOUR, None)]));
    take(&bench, &[&used], 1, HOUR).await;
    for _ in 0..3 {
        let next = bench.store.next(&[used.clone(), unused.clone()]).await.unwrap();
        let gap = pace(&used.limits[0]).gap;
        assert!(next[0] > gap - SOON && next[0] <= gap, "{next:?}");
        assert_eq!(next[1], Duration::ZERO);
    }
    assert!(bench.store.next(&[]).await.unwrap().is_empty());
    assert_eq!(take(&bench, &[&unused], 1, HOUR).await.cells, [Duration::ZERO]);
}

async fn an_application_that_was_deleted_can_be_asked_still(bench: Bench) {
    let mut tenant = bench.tenant(1).await;
    let bucket = Bucket::Application(tenant.app);
    let limited = Metered { bucket, version: 1, limits: vec![limit(1, MINUTE, None)] };
    let other = Metered { bucket: Bucket::Application(AppId::new()), ..limited.clone() };
    assert_eq!(take(&bench, &[&limited], 1, HOUR).await.cells, [Duration::ZERO]);
    assert_eq!(take(&bench, &[&other], 1, HOUR).await.cells, [Duration::ZERO]);
    tenant.commit(&[Change::DeleteApplication]).await;
    assert_eq!(take(&bench, &[&limited], 1, HOUR).await.cells.len(), 1);
}
