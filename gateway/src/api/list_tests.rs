use super::*;

fn numbers() -> Vec<(String, u64)> {
    (0..10).map(|n| (format!("k{n}"), n)).collect()
}

async fn list(query: &ListQuery, keep: fn(u64) -> bool) -> Listed<u64> {
    gather(
        query,
        Order::NewestFirst,
        async |request| Ok(page_of(numbers(), &request)),
        |n| Some(Millis(*n)),
        async |n| Ok(keep(*n)),
    )
    .await
    .unwrap()
}

fn query(limit: usize, iterator: Option<String>) -> ListQuery {
    ListQuery { limit: Some(limit), iterator, ..ListQuery::default() }
}

#[tokio::test]
async fn pages_go_forward_and_back() {
    let first = list(&query(4, None), |_| true).await;
    assert_eq!((first.data.clone(), first.done), (vec![9, 8, 7, 6], false));
    let second = list(&query(4, first.iterator), |_| true).await;
    assert_eq!((second.data.clone(), second.done), (vec![5, 4, 3, 2], false));
    let last = list(&query(4, second.iterator), |_| true).await;
    assert_eq!((last.data.clone(), last.done), (vec![1, 0], true));
    let back = list(&query(4, last.prev_iterator), |_| true).await;
    assert_eq!(back.data, vec![5, 4, 3, 2]);
    let forward = list(&query(4, back.iterator), |_| true).await;
    assert_eq!(forward.data, vec![1, 0]);
}

#[test]
fn lists_begin_where_their_times_can_pass() {
    let query = ListQuery {
        before: Some("2026-01-01T00:10:00Z".into()),
        after: Some("2026-01-01T00:05:00".into()),
        ..ListQuery::default()
    };
    let at = |text| Millis::parse(text);
    assert_eq!(query.edge(Order::NewestFirst), at("2026-01-01T00:11:00Z"));
    assert_eq!(query.edge(Order::OldestFirst), at("2026-01-01T00:04:00Z"));
    assert_eq!(ListQuery::default().edge(Order::NewestFirst), None);
}

#[tokio::test]
async fn beyond_both_ends_the_way_back_leaves_nothing_out() {
    let first = list(&query(4, None), |_| true).await;
    let before = list(&query(4, first.prev_iterator), |_| true).await;
    assert_eq!((before.data.len(), before.done), (0, true));
    assert_eq!(list(&query(4, before.iterator), |_| true).await.data, first.data);

    let all = list(&query(10, None), |_| true).await;
    let behind = list(&query(10, all.iterator), |_| true).await;
    assert_eq!((behind.data.len(), behind.done), (0, true));
    assert_eq!(list(&query(2, behind.prev_iterator), |_| true).await.data, [1, 0]);
}

#[tokio::test]
async fn filters_look_through_more_pages() {
    let even = list(&query(2, None), |n| n % 4 == 0).await;
    assert_eq!((even.data.clone(), even.done), (vec![8, 4], false));
    let rest = list(&query(2, even.iterator), |n| n % 4 == 0).await;
    assert_eq!((rest.data, rest.done), (vec![0], true));
}

#[tokio::test]
async fn a_filter_that_nothing_passes_ends() {
    let mut pages = 1;
    let mut page = list(&query(1, None), |_| false).await;
    while !page.done {
        assert!(page.data.is_empty());
        page = list(&query(1, page.iterator), |_| false).await;
        pages += 1;
    }
    assert_eq!(pages, 2);
}

#[tokio::test]
async fn times_bound_the_list() {
    let bounded = ListQuery {
        before: Some(Millis(7).rfc3339()),
        after: Some(Millis(3).rfc3339()),
        ..ListQuery::default()
    };
    let page = list(&bounded, |_| true).await;
    assert_eq!((page.data, page.done), (vec![6, 5, 4], true));
}

#[tokio::test]
async fn refuses_what_it_did_not_give_out() {
    for bad in [query(0, None), query(251, None), query(1, Some("what".into()))] {
        let result = gather(
            &bad,
            Order::NewestFirst,
            async |request| Ok(page_of(numbers(), &request)),
            |_| None,
            async |_| Ok(true),
        )
        .await;
        assert!(matches!(result, Err(ApiError::Invalid(_))));
    }
}
