//! `History`.

use std::{fmt::Debug, time::Duration};

use shared::{
    domain::{DeadReason, Delivery, Generation, Tally},
    id::{AppId, MessageId},
    store::{
        Cursor, ErrorKind, Lifetimes, Order, Page, PageRequest, Place, Publication, Purge, Resend,
        Resent, Result, Settlement, Verdict,
    },
    time::Millis,
};

use crate::bench::{ALL, Bench, Tenant, attempt, whole};

crate::engines::on_each_engine! {
    Lifetimes::default();
    messages_are_listed_as_they_were_published,
    messages_are_paged_both_ways,
    endpoint_attempts_are_paged_both_ways,
    message_attempts_are_paged_both_ways,
    attempts_of_what_was_sent_again_come_behind_the_first,
    dead_letters_are_paged_both_ways,
    pages_go_on_where_they_ended_while_the_list_grows,
    an_empty_list_is_done,
    nobody_sees_what_is_anothers,
    cursors_are_visible_ascii_without_commas,
    what_is_no_cursor_of_a_list_is_told,
    settled_messages_stay_listed,
    lists_are_read_from_a_time_on,
    records_are_read_at_once_as_one_by_one,
    a_dead_letter_is_found_at_its_place,
    purged_dead_letters_are_gone_and_no_others,
    settlements_are_counted_once,
}

/// Reads a list in pages of each size and both orders; `expected` is oldest first.
async fn assert_paged<T: Clone + PartialEq + Debug>(
    expected: &[T],
    read: impl AsyncFn(PageRequest) -> Result<Page<T>>,
) {
    let mut expected = expected.to_vec();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for limit in [1, 3, expected.len(), ALL] {
            let mut found = Vec::new();
            let mut after: Option<Cursor> = None;
            loop {
                let page = read(PageRequest { after, order, limit }).await.unwrap();
                assert!(page.entries.len() <= limit);
                after = page.entries.last().map(|(cursor, _)| cursor.clone());
                found.extend(page.entries.into_iter().map(|(_, entry)| entry));
                if page.done {
                    break;
                }
                assert!(after.is_some(), "an empty page ends its list");
            }
            assert_eq!(found, expected, "{order:?}, pages of {limit}");
        }
        expected.reverse();
    }
}

/// Fails a delivery so many times, one write each, and gives it up with the last.
async fn fail(bench: &Bench, tenant: &Tenant, times: u32) -> Delivery {
    let delivery = tenant.deliver().await;
    let fence = bench.own(delivery.lane()).await;
    let mut place = Place::Stream(bench.entry_of(delivery).await);
    for attempts in 1..=times {
        let verdict = match attempts == times {
            true => Verdict::Dead(DeadReason::Exhausted),
            false => Verdict::Retry { delay: Duration::ZERO, steps: attempts },
        };
        let record = Some(attempt(delivery, attempts));
        let settlement = Settlement { delivery, place, attempts, verdict, record };
        bench.settle_all(&fence, vec![settlement]).await.unwrap();
        place = Place::Waiting;
    }
    delivery
}

async fn messages_are_listed_as_they_were_published(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let batch: Vec<_> = (0..3).map(|_| tenant.publication()).collect();
    bench.store.publish(batch.clone()).await.unwrap();
    let page = bench.store.messages(tenant.app, &whole(Order::OldestFirst)).await.unwrap();
    let found: Vec<_> = page.entries.into_iter().map(|(_, header)| header).collect();
    let expected: Vec<_> = batch.into_iter().map(|publication| publication.header).collect();
    assert_eq!(found, expected, "with all that the header says");
    let newest = PageRequest { after: None, order: Order::default(), limit: 1 };
    let page = bench.store.messages(tenant.app, &newest).await.unwrap();
    assert_eq!(page.entries[0].1, expected[2], "newest first, unless told otherwise");
}

async fn messages_are_paged_both_ways(bench: Bench) {
    let tenant = bench.tenant(0).await;
    let mut expected = Vec::new();
    for batch in [1, 5, 3] {
        let batch: Vec<_> = (0..batch).map(|_| tenant.publication()).collect();
        expected.extend(batch.iter().map(|publication| publication.header.clone()));
        bench.store.publish(batch).await.unwrap();
    }
    let read = async |request| bench.store.messages(tenant.app, &request).await;
    assert_paged(&expected, read).await;
}

async fn endpoint_attempts_are_paged_both_ways(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let mut expected = Vec::new();
    // Several in one write, and several writes.
    for count in [4, 1, 6] {
        let mut settlements = Vec::new();
        for _ in 0..count {
            let delivery = tenant.deliver().await;
            let place = Place::Stream(bench.entry_of(delivery).await);
            let record = attempt(delivery, 1);
            expected.push(record.clone());
            settlements.push(Settlement {
                delivery,
                place,
                attempts: 1,
                verdict: Verdict::Delivered,
                record: Some(record),
            });
        }
        bench.settle_all(&fence, settlements).await.unwrap();
    }
    let read = async |request| bench.store.endpoint_attempts(tenant.queue(0), &request).await;
    assert_paged(&expected, read).await;
}

async fn message_attempts_are_paged_both_ways(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let delivery = fail(&bench, &tenant, 9).await;
    fail(&bench, &tenant, 2).await;
    let all = bench.store.endpoint_attempts(tenant.queue(0), &whole(Order::OldestFirst)).await;
    let all = all.unwrap().entries.into_iter().map(|(_, attempt)| attempt);
    let expected: Vec<_> = all.filter(|attempt| attempt.message == delivery.message).collect();
    assert_eq!(expected.len(), 9);
    let read =
        async |request| bench.store.message_attempts(tenant.app, delivery.message, &request).await;
    assert_paged(&expected, read).await;
}

async fn attempts_of_what_was_sent_again_come_behind_the_first(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let first = tenant.deliver().await;
    let mut expected = Vec::new();
    for generation in 0..4 {
        let delivery = Delivery { generation: Generation(generation), ..first };
        if generation > 0 {
            let resent = bench.store.resend(Resend { delivery }).await.unwrap();
            assert_eq!(resent, Resent::Queued);
        }
        let place = Place::Stream(bench.entry_of(delivery).await);
        let record = attempt(delivery, 1);
        expected.push(record.clone());
        let verdict = Verdict::Delivered;
        let settlement = Settlement { delivery, place, attempts: 1, verdict, record: Some(record) };
        bench.settle_all(&fence, vec![settlement]).await.unwrap();
    }
    let read =
        async |request| bench.store.message_attempts(tenant.app, first.message, &request).await;
    assert_paged(&expected, read).await;

    for struck in [0, 2] {
        let attempt = Some(expected[struck].id);
        assert!(bench.store.expunge_responses(tenant.app, first.message, attempt).await.unwrap());
        expected[struck].response.clear();
        assert_paged(&expected, read).await;
    }
    assert!(bench.store.expunge_responses(tenant.app, first.message, None).await.unwrap());
    expected.iter_mut().for_each(|attempt| attempt.response.clear());
    assert_paged(&expected, read).await;
}

async fn dead_letters_are_paged_both_ways(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let mut messages = Vec::new();
    for _ in 0..7 {
        messages.push(fail(&bench, &tenant, 2).await.message);
    }
    let all = bench.store.dead_letters(tenant.queue(0), &whole(Order::OldestFirst)).await.unwrap();
    let expected: Vec<_> = all.entries.into_iter().map(|(_, letter)| letter).collect();
    assert_eq!(expected.iter().map(|letter| letter.message).collect::<Vec<_>>(), messages);
    let read = async |request| bench.store.dead_letters(tenant.queue(0), &request).await;
    assert_paged(&expected, read).await;
}

async fn pages_go_on_where_they_ended_while_the_list_grows(bench: Bench) {
    let tenant = bench.tenant(0).await;
    let mut published = Vec::new();
    for _ in 0..6 {
        published.push(tenant.publish().await);
    }
    let page = async |after, order| {
        let request = PageRequest { after, order, limit: 3 };
        let page = bench.store.messages(tenant.app, &request).await.unwrap();
        let cursor = page.entries.last().map(|(cursor, _)| cursor.clone());
        (page.entries.into_iter().map(|(_, header)| header.id).collect::<Vec<_>>(), cursor)
    };
    let (newest, back) = page(None, Order::NewestFirst).await;
    let (oldest, forth) = page(None, Order::OldestFirst).await;
    assert_eq!(newest, [published[5], published[4], published[3]]);
    assert_eq!(oldest, published[..3]);
    let late = tenant.publish().await;
    assert_eq!(page(back, Order::NewestFirst).await.0, [published[2], published[1], published[0]]);
    let (rest, forth) = page(forth, Order::OldestFirst).await;
    assert_eq!(rest, published[3..]);
    assert_eq!(page(forth, Order::OldestFirst).await.0, [late]);
}

async fn an_empty_list_is_done(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let request = PageRequest { after: None, order: Order::NewestFirst, limit: 5 };
    let store = &bench.store;
    let page = store.messages(tenant.app, &request).await.unwrap();
    assert!(page.done && page.entries.is_empty());
    let page = store.endpoint_attempts(tenant.queue(0), &request).await.unwrap();
    assert!(page.done && page.entries.is_empty());
    let page = store.message_attempts(tenant.app, MessageId::new(), &request).await.unwrap();
    assert!(page.done && page.entries.is_empty());
    let page = store.dead_letters(tenant.queue(0), &request).await.unwrap();
    assert!(page.done && page.entries.is_empty());
    let page = store.applications(&request).await.unwrap();
    assert!(page.done && page.entries.is_empty());
}

async fn nobody_sees_what_is_anothers(bench: Bench) {
    let page = whole(Order::NewestFirst);
    let mut tenants = Vec::new();
    for _ in 0..12 {
        let tenant = bench.tenant(1).await;
        let delivery = fail(&bench, &tenant, 2).await;
        tenants.push((tenant, delivery));
    }
    for (tenant, delivery) in &tenants {
        let messages = bench.store.messages(tenant.app, &page).await.unwrap().entries;
        let messages: Vec<_> = messages.iter().map(|(_, header)| header.id).collect();
        assert_eq!(messages, [delivery.message]);
        let attempts = bench.store.endpoint_attempts(tenant.queue(0), &page).await.unwrap().entries;
        assert_eq!(attempts.len(), 2);
        assert!(attempts.iter().all(|(_, attempt)| attempt.endpoint == delivery.endpoint));
        let dead = bench.store.dead_letters(tenant.queue(0), &page).await.unwrap().entries;
        assert_eq!(dead.len(), 1);
        assert_eq!(dead[0].1.endpoint, delivery.endpoint);
        let attempts = bench.store.message_attempts(tenant.app, delivery.message, &page).await;
        assert_eq!(attempts.unwrap().entries.len(), 2);
    }
    let nobody = bench.store.messages(AppId::new(), &page).await.unwrap();
    assert_eq!(nobody.entries, []);
}

async fn cursors_are_visible_ascii_without_commas(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let delivery = fail(&bench, &tenant, 3).await;
    bench.store.index(tenant.app, None, None).await.unwrap();
    let page = whole(Order::NewestFirst);
    let store = &bench.store;
    let mut cursors = Vec::new();
    macro_rules! collect {
        ($page:expr) => {{
            let entries = $page.await.unwrap().entries;
            assert!(!entries.is_empty());
            cursors.extend(entries.into_iter().map(|(cursor, _)| cursor.0));
        }};
    }
    collect!(store.messages(tenant.app, &page));
    collect!(store.endpoint_attempts(tenant.queue(0), &page));
    collect!(store.message_attempts(tenant.app, delivery.message, &page));
    collect!(store.dead_letters(tenant.queue(0), &page));
    collect!(store.applications(&page));
    for cursor in cursors {
        let fine = cursor.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        assert!(fine && !cursor.is_empty(), "{cursor:?}");
    }
}

async fn what_is_no_cursor_of_a_list_is_told(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let delivery = fail(&bench, &tenant, 3).await;
    let store = &bench.store;
    for text in
        ["", "0", "zz", "ü", "-1", "+1-+1", "1-1.x", "99999", "00", "18446744073709551615", "ffff"]
    {
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let page = PageRequest { after: Some(Cursor(text.into())), order, limit: 2 };
            let errors = [
                store.messages(tenant.app, &page).await.err(),
                store.endpoint_attempts(tenant.queue(0), &page).await.err(),
                store.message_attempts(tenant.app, delivery.message, &page).await.err(),
                store.dead_letters(tenant.queue(0), &page).await.err(),
                store.applications(&page).await.err(),
                store.tasks(&page).await.err(),
            ];
            for error in errors.into_iter().flatten() {
                assert_eq!(error.kind(), ErrorKind::NoPlace, "{text:?}: {error}");
            }
        }
    }
}

async fn settled_messages_stay_listed(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let fence = bench.own(tenant.lane()).await;
    let publication = Publication { ..tenant.publication() };
    bench.store.publish(vec![publication.clone()]).await.unwrap();
    let delivery = tenant.delivery(publication.header.id, 0);
    let place = Place::Stream(bench.entry_of(delivery).await);
    bench.settle(&fence, delivery, place, 1, Verdict::Delivered).await;
    let page = bench.store.messages(tenant.app, &whole(Order::NewestFirst)).await.unwrap();
    assert_eq!(page.entries[0].1, publication.header);
    assert!(bench.lives(tenant.app, publication.header.id).await, "for the time of its retention");
}

async fn lists_are_read_from_a_time_on(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let early = fail(&bench, &tenant, 1).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let time = Millis::now();
    let late = fail(&bench, &tenant, 1).await;
    let (oldest, newest) = (Order::OldestFirst, Order::NewestFirst);
    let hour = Duration::from_secs(3600);
    for (time, order, expected) in [
        (Millis(0), oldest, vec![early, late]),
        (time, oldest, vec![late]),
        (time, newest, vec![early]),
        (time.after(hour), newest, vec![early, late]),
    ] {
        let request = PageRequest { after: Some(bench.store.since(time)), order, limit: ALL };
        let (store, queue) = (&bench.store, tenant.queue(0));
        let messages = store.messages(tenant.app, &request).await.unwrap().entries;
        let messages = messages.into_iter().map(|(_, header)| header.id).collect();
        let letters = store.dead_letters(queue, &request).await.unwrap().entries;
        let letters = letters.into_iter().map(|(_, letter)| letter.message).collect();
        let attempts = store.endpoint_attempts(queue, &request).await.unwrap().entries;
        let attempts: Vec<_> = attempts.into_iter().map(|(_, attempt)| attempt.message).collect();
        for found in [messages, letters, attempts] {
            let all = expected.iter().all(|delivery| found.contains(&delivery.message));
            assert!(all, "{found:?} at {time:?}, {order:?}");
        }
    }
}

async fn records_are_read_at_once_as_one_by_one(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let (first, second) = (tenant.publish().await, tenant.publish().await);
    let asked = [second, MessageId::new(), first];
    let mut expected = Vec::new();
    for message in asked {
        expected.push(bench.store.message(tenant.app, message).await.unwrap());
    }
    assert!(expected[0].is_some() && expected[1].is_none() && expected[2].is_some());
    assert_eq!(bench.store.records(tenant.app, &asked).await.unwrap(), expected);
    assert_eq!(bench.store.records(tenant.app, &[]).await.unwrap(), []);
}

async fn letters(bench: &Bench, tenant: &Tenant) -> Vec<(Cursor, MessageId)> {
    let page = bench.store.dead_letters(tenant.queue(0), &whole(Order::OldestFirst)).await;
    page.unwrap().entries.into_iter().map(|(place, letter)| (place, letter.message)).collect()
}

async fn a_dead_letter_is_found_at_its_place(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let delivery = fail(&bench, &tenant, 1).await;
    let (place, _) = letters(&bench, &tenant).await.remove(0);
    let found = bench.store.dead_letter(tenant.queue(0), &place).await.unwrap().unwrap();
    assert_eq!(found.message, delivery.message);
    for other in ["", "nonsense", "1-1", "0000000000000001"] {
        let found = bench.store.dead_letter(tenant.queue(0), &Cursor(other.into())).await;
        assert_eq!(found.unwrap(), None, "{other}");
    }
    let stranger = bench.tenant(1).await;
    assert_eq!(bench.store.dead_letter(stranger.queue(0), &place).await.unwrap(), None);
}

async fn purged_dead_letters_are_gone_and_no_others(bench: Bench) {
    let tenant = bench.tenant(1).await;
    for _ in 0..3 {
        fail(&bench, &tenant, 1).await;
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let time = Millis::now();
    let late = fail(&bench, &tenant, 1).await.message;
    let before = letters(&bench, &tenant).await;
    let purge = async |which| bench.store.purge_dead_letters(tenant.queue(0), &which).await;
    assert_eq!(purge(Purge::One(before[1].0.clone())).await.unwrap(), 1);
    assert_eq!(letters(&bench, &tenant).await, [&before[..1], &before[2..]].concat());
    assert_eq!(purge(Purge::One(before[1].0.clone())).await.unwrap(), 0, "it was there once");
    assert_eq!(purge(Purge::One(Cursor("nonsense".into()))).await.unwrap(), 0);
    assert_eq!(purge(Purge::Before(time)).await.unwrap(), 2);
    assert_eq!(letters(&bench, &tenant).await, [(before[3].0.clone(), late)]);
    let attempts = bench.store.endpoint_attempts(tenant.queue(0), &whole(Order::OldestFirst)).await;
    assert_eq!(attempts.unwrap().entries.len(), 4, "attempts stay");
}

async fn settlements_are_counted_once(bench: Bench) {
    const HOUR: Duration = Duration::from_secs(3600);
    let tenant = bench.tenant(2).await;
    let of = |endpoint| tenant.queue(endpoint).destination();
    let now = Millis::now();
    // An hour before and after, should one begin while this runs.
    let (before, after) = (Millis(now.0 - HOUR.as_millis() as u64), now.after(HOUR));
    let tally = async |endpoint| bench.store.tally(of(endpoint), before, after).await.unwrap();
    assert_eq!(tally(0).await, Tally::default());

    fail(&bench, &tenant, 3).await;
    let delivery = tenant.deliver().await;
    let fence = bench.own(delivery.lane()).await;
    let place = Place::Stream(bench.entry_of(delivery).await);
    let record = Some(attempt(delivery, 1));
    let verdict = Verdict::Delivered;
    let delivered = Settlement { delivery, place, attempts: 1, verdict, record };
    bench.settle_all(&fence, vec![delivered.clone()]).await.unwrap();
    // What is not there counts for nothing.
    bench.settle_all(&fence, vec![delivered]).await.unwrap();
    // Nor does what ended with a deleted endpoint; what was given up without an attempt does.
    for verdict in [Verdict::Deleted, Verdict::Dead(DeadReason::Expired)] {
        let delivery = tenant.deliver().await;
        let place = Place::Stream(bench.entry_of(delivery).await);
        let settlement = Settlement { delivery, place, attempts: 0, verdict, record: None };
        bench.settle_all(&fence, vec![settlement]).await.unwrap();
    }
    assert_eq!(tally(0).await, Tally { delivered: 1, failed: 3, given_up: 2 });
    assert_eq!(tally(1).await, Tally::default(), "another endpoint's");
    let day = Duration::from_secs(86_400);
    let (from, to) = (Millis(now.0 - day.as_millis() as u64), Millis(before.0 - 3_600_000));
    assert_eq!(bench.store.tally(of(0), from, to).await.unwrap(), Tally::default(), "another time");
}
