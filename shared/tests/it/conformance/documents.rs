//! `Documents`.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::{
    domain::Queue,
    id::{AppId, EndpointId},
    store::{
        Change, Document, Entry, ErrorKind, Expect, Indexed, Kind, Lifetimes, NudgeKind, Order,
        PageRequest, Swept, Version,
    },
};

use crate::bench::{ALL, Bench, application, endpoint, whole};

crate::engines::on_each_engine! {
    Lifetimes::default();
    a_commit_is_read_back_whole,
    unknown_fields_are_kept,
    versions_grow_with_each_commit,
    a_commit_on_another_version_is_a_conflict_and_changes_nothing,
    one_of_many_commits_on_one_version_wins,
    put_of_an_endpoint_nudges_it,
    delete_of_an_endpoint_nudges_it,
    a_change_of_the_application_nudges_all_endpoints,
    delete_of_the_application_nudges_all_endpoints,
    delete_of_an_endpoint_removes_its_history,
    a_commit_of_512_endpoints_is_one_write,
    index_lists_and_claims_the_uid,
    index_of_a_taken_uid_names_the_holder_and_changes_nothing,
    index_gives_the_old_uid_up_only_if_it_was_its_own,
    one_of_many_gets_the_uid,
    unindex_takes_out_and_frees_only_its_own_uid,
    unindex_leaves_what_was_indexed_since,
    applications_are_paged_by_age,
    documents_are_written_as_expected,
    documents_are_sorted_by_name,
    one_of_many_writers_creates_a_document,
}

async fn configured(bench: &Bench, app: AppId) -> (Version, Vec<EndpointId>) {
    let found = bench.store.configuration(app).await.unwrap().unwrap();
    (found.version, found.endpoints.keys().copied().collect())
}

/// The nudges behind those that a lane's stream had.
async fn nudges(bench: &Bench, queue: Queue, had: usize) -> Vec<NudgeKind> {
    let stream = bench.stream(queue.lane()).await.into_iter().skip(had);
    let nudges = stream.filter_map(|(_, entry)| match entry {
        Entry::Nudge { queue: of, kind } if of == queue => Some(kind),
        _ => None,
    });
    nudges.collect()
}

async fn a_commit_is_read_back_whole(bench: Bench) {
    let app = AppId::new();
    assert_eq!(bench.store.configuration(app).await.unwrap(), None);
    let mut tenant = application(app);
    tenant.uid = Some("acme".into());
    tenant.metadata = BTreeMap::from([("plan".into(), "größer".into())]);
    let endpoints: Vec<_> = (0..5).map(|_| endpoint(EndpointId::new())).collect();
    let mut changes = vec![Change::PutApplication(tenant.clone())];
    changes.extend(endpoints.iter().rev().cloned().map(Change::PutEndpoint));
    let version = bench.store.commit(app, None, &changes).await.unwrap();
    let found = bench.store.configuration(app).await.unwrap().unwrap();
    assert_eq!(found.version, version);
    assert_eq!(found.application, tenant);
    assert_eq!(bench.store.application(app).await.unwrap(), Some(tenant.clone()));
    assert_eq!(bench.store.application(AppId::new()).await.unwrap(), None);
    assert_eq!(bench.store.version(app).await.unwrap(), Some(version));
    assert_eq!(bench.store.version(AppId::new()).await.unwrap(), None);
    let read: Vec<_> = found.endpoints.values().map(|endpoint| (**endpoint).clone()).collect();
    assert_eq!(read, endpoints, "oldest first");

    let mut changed = endpoints[2].clone();
    changed.url = "https://elsewhere.example/".into();
    let changes = [Change::PutEndpoint(changed.clone()), Change::DeleteEndpoint(endpoints[0].id)];
    bench.store.commit(app, Some(version), &changes).await.unwrap();
    let found = bench.store.configuration(app).await.unwrap().unwrap();
    assert_eq!(*found.endpoints[&changed.id], changed);
    assert_eq!(found.endpoints.len(), 4);
    assert_eq!(found.application, tenant);
}

async fn unknown_fields_are_kept(bench: Bench) {
    let mut tenant = bench.tenant(1).await;
    let mut future = endpoint(tenant.endpoints[0]);
    future.extra =
        serde_json::from_str(r#"{"shape":{"n":[]},"big":18446744073709551615}"#).unwrap();
    tenant.commit(&[Change::PutEndpoint(future.clone())]).await;
    let found = bench.store.configuration(tenant.app).await.unwrap().unwrap();
    assert_eq!(*found.endpoints[&future.id], future);
}

async fn versions_grow_with_each_commit(bench: Bench) {
    let mut tenant = bench.tenant(0).await;
    for _ in 0..5 {
        let before = tenant.version;
        tenant.commit(&[Change::PutEndpoint(endpoint(EndpointId::new()))]).await;
        assert!(tenant.version > before);
        assert_eq!(configured(&bench, tenant.app).await.0, tenant.version);
        assert_eq!(bench.store.version(tenant.app).await.unwrap(), Some(tenant.version));
    }
}

async fn a_commit_on_another_version_is_a_conflict_and_changes_nothing(bench: Bench) {
    let tenant = bench.tenant(1).await;
    let before = bench.store.configuration(tenant.app).await.unwrap();
    let stream = bench.stream(tenant.lane()).await;
    let Version(version) = tenant.version;
    let deletes = [
        Change::DeleteEndpoint(tenant.endpoints[0]),
        Change::PutEndpoint(endpoint(tenant.endpoints[0])),
        Change::DeleteApplication,
    ];
    for expected in [None, Some(Version(version + 1)), Some(Version(version.wrapping_sub(1)))] {
        let error = bench.store.commit(tenant.app, expected, &deletes).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "expected {expected:?}");
        assert_eq!(bench.store.configuration(tenant.app).await.unwrap(), before);
        assert_eq!(bench.stream(tenant.lane()).await, stream);
    }
    let app = AppId::new();
    let changes = [Change::PutApplication(application(app))];
    let error = bench.store.commit(app, Some(Version(1)), &changes).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "there is none");
    assert_eq!(bench.store.configuration(app).await.unwrap(), None);
}

async fn one_of_many_commits_on_one_version_wins(bench: Bench) {
    let tenant = bench.tenant(0).await;
    let endpoints: Vec<_> = (0..16).map(|_| EndpointId::new()).collect();
    let changes: Vec<_> = endpoints.iter().map(|id| [Change::PutEndpoint(endpoint(*id))]).collect();
    let expected = Some(tenant.version);
    let calls = changes.iter().map(|change| bench.store.commit(tenant.app, expected, change));
    let answers = futures_util::future::join_all(calls).await;
    let winners: Vec<_> = endpoints.iter().zip(&answers).filter(|(_, won)| won.is_ok()).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(
        configured(&bench, tenant.app).await,
        (*winners[0].1.as_ref().unwrap(), vec![*winners[0].0])
    );
    let lost = answers.iter().filter_map(|answer| answer.as_ref().err());
    assert!(lost.map(|error| error.kind()).all(|kind| kind == ErrorKind::Conflict));
}

async fn put_of_an_endpoint_nudges_it(bench: Bench) {
    let mut tenant = bench.tenant(1).await;
    assert_eq!(nudges(&bench, tenant.queue(0), 0).await.last(), Some(&NudgeKind::Changed));
    let had = bench.stream(tenant.lane()).await.len();
    tenant.commit(&[Change::PutEndpoint(endpoint(tenant.endpoints[0]))]).await;
    assert_eq!(nudges(&bench, tenant.queue(0), had).await, [NudgeKind::Changed]);
}

async fn delete_of_an_endpoint_nudges_it(bench: Bench) {
    let mut tenant = bench.tenant(2).await;
    let had = [0, 1].map(|nth| tenant.queue(nth).lane());
    let had = [bench.stream(had[0]).await.len(), bench.stream(had[1]).await.len()];
    tenant.commit(&[Change::DeleteEndpoint(tenant.endpoints[0])]).await;
    assert_eq!(nudges(&bench, tenant.queue(0), had[0]).await, [NudgeKind::Deleted]);
    assert_eq!(nudges(&bench, tenant.queue(1), had[1]).await, []);
    assert_eq!(configured(&bench, tenant.app).await.1, [tenant.endpoints[1]]);
}

async fn a_change_of_the_application_nudges_all_endpoints(bench: Bench) {
    let mut tenant = bench.tenant(6).await;
    let mut had = Vec::new();
    for nth in 0..6 {
        had.push(bench.stream(tenant.queue(nth).lane()).await.len());
    }
    tenant.commit(&[Change::PutApplication(application(tenant.app))]).await;
    for (nth, had) in had.into_iter().enumerate() {
        assert_eq!(nudges(&bench, tenant.queue(nth), had).await, [NudgeKind::Changed]);
    }
}

async fn delete_of_the_application_nudges_all_endpoints(bench: Bench) {
    let mut tenant = bench.tenant(6).await;
    let mut had = Vec::new();
    for nth in 0..6 {
        had.push(bench.stream(tenant.queue(nth).lane()).await.len());
    }
    tenant.commit(&[Change::DeleteApplication]).await;
    assert_eq!(bench.store.version(tenant.app).await.unwrap(), None);
    assert_eq!(bench.store.configuration(tenant.app).await.unwrap(), None);
    for (nth, had) in had.into_iter().enumerate() {
        assert_eq!(nudges(&bench, tenant.queue(nth), had).await, [NudgeKind::Deleted]);
    }
}

async fn delete_of_an_endpoint_removes_its_history(bench: Bench) {
    use shared::{domain::DeadReason, store::Place, store::Verdict};

    let mut tenant = bench.tenant(2).await;
    let message = tenant.publish().await;
    for nth in 0..2 {
        let delivery = tenant.delivery(message, nth);
        let fence = bench.own(delivery.lane()).await;
        let place = Place::Stream(bench.entry_of(delivery).await);
        bench.settle(&fence, delivery, place, 1, Verdict::Dead(DeadReason::Gone)).await;
    }
    tenant.commit(&[Change::DeleteEndpoint(tenant.endpoints[0])]).await;
    while bench.store.sweep().await.unwrap() == Swept::Part {}
    let page = whole(Order::NewestFirst);
    for (nth, expected) in [(0, 0), (1, 1)] {
        let attempts = bench.store.endpoint_attempts(tenant.queue(nth), &page).await.unwrap();
        assert_eq!(attempts.entries.len(), expected);
        let dead = bench.store.dead_letters(tenant.queue(nth), &page).await.unwrap();
        assert_eq!(dead.entries.len(), expected);
    }
}

async fn a_commit_of_512_endpoints_is_one_write(bench: Bench) {
    let mut tenant = bench.tenant(512).await;
    let (version, endpoints) = configured(&bench, tenant.app).await;
    assert_eq!((version, &endpoints), (tenant.version, &tenant.endpoints));
    tenant.commit(&[Change::DeleteApplication]).await;
    for nth in [0, 255, 511] {
        let last = nudges(&bench, tenant.queue(nth), 0).await.pop();
        assert_eq!(last, Some(NudgeKind::Deleted));
    }
}

async fn index_lists_and_claims_the_uid(bench: Bench) {
    let (named, nameless) = (AppId::new(), AppId::new());
    for _ in 0..2 {
        let indexed = bench.store.index(named, Some("acme"), None).await.unwrap();
        assert_eq!(indexed, Indexed::Done, "also when repeated");
        assert_eq!(bench.store.index(nameless, None, None).await.unwrap(), Indexed::Done);
    }
    assert_eq!(bench.store.find_uid("acme").await.unwrap(), Some(named));
    assert_eq!(bench.store.find_uid("acm").await.unwrap(), None);
    let page = bench.store.applications(&whole(Order::OldestFirst)).await.unwrap();
    let listed: Vec<_> = page.entries.iter().map(|(_, app)| *app).collect();
    assert_eq!(listed, [named, nameless]);
}

async fn index_of_a_taken_uid_names_the_holder_and_changes_nothing(bench: Bench) {
    let (holder, other) = (AppId::new(), AppId::new());
    bench.store.index(holder, Some("acme"), None).await.unwrap();
    let taken = bench.store.index(other, Some("acme"), None).await.unwrap();
    assert_eq!(taken, Indexed::Taken(holder));
    let listed = bench.store.applications(&whole(Order::OldestFirst)).await.unwrap().entries;
    assert_eq!(listed.len(), 1);

    bench.store.index(other, Some("beta"), None).await.unwrap();
    let taken = bench.store.index(other, Some("acme"), Some("beta")).await.unwrap();
    assert_eq!(taken, Indexed::Taken(holder));
    assert_eq!(bench.store.find_uid("beta").await.unwrap(), Some(other), "it keeps the old one");
    assert_eq!(bench.store.find_uid("acme").await.unwrap(), Some(holder));
}

async fn index_gives_the_old_uid_up_only_if_it_was_its_own(bench: Bench) {
    let (app, other) = (AppId::new(), AppId::new());
    bench.store.index(app, Some("old"), None).await.unwrap();
    bench.store.index(other, Some("theirs"), None).await.unwrap();
    bench.store.index(app, Some("new"), Some("old")).await.unwrap();
    assert_eq!(bench.store.find_uid("old").await.unwrap(), None);
    assert_eq!(bench.store.find_uid("new").await.unwrap(), Some(app));
    bench.store.index(app, Some("newer"), Some("theirs")).await.unwrap();
    assert_eq!(bench.store.find_uid("theirs").await.unwrap(), Some(other));
    bench.store.index(app, Some("newer"), Some("newer")).await.unwrap();
    assert_eq!(bench.store.find_uid("newer").await.unwrap(), Some(app), "no change of name");
    bench.store.index(app, None, Some("newer")).await.unwrap();
    assert_eq!(bench.store.find_uid("newer").await.unwrap(), None);
    let listed = bench.store.applications(&whole(Order::OldestFirst)).await.unwrap().entries;
    assert_eq!(listed.len(), 2);
}

async fn one_of_many_gets_the_uid(bench: Bench) {
    let apps: Vec<_> = (0..16).map(|_| AppId::new()).collect();
    let calls = apps.iter().map(|app| bench.store.index(*app, Some("acme"), None));
    let answers = futures_util::future::join_all(calls).await;
    let holder = bench.store.find_uid("acme").await.unwrap().unwrap();
    for (app, answer) in apps.into_iter().zip(answers) {
        let expected = if app == holder { Indexed::Done } else { Indexed::Taken(holder) };
        assert_eq!(answer.unwrap(), expected);
    }
}

async fn unindex_takes_out_and_frees_only_its_own_uid(bench: Bench) {
    let (app, other) = (AppId::new(), AppId::new());
    bench.store.index(app, Some("acme"), None).await.unwrap();
    bench.store.index(other, Some("beta"), None).await.unwrap();
    let claim = bench.store.claim(other).await.unwrap();
    bench.store.unindex(other, Some("acme"), claim).await.unwrap();
    assert_eq!(bench.store.find_uid("acme").await.unwrap(), Some(app));
    let claim = bench.store.claim(app).await.unwrap();
    for _ in 0..2 {
        bench.store.unindex(app, Some("acme"), claim).await.unwrap();
        assert_eq!(bench.store.find_uid("acme").await.unwrap(), None);
    }
    let listed = bench.store.applications(&whole(Order::OldestFirst)).await.unwrap().entries;
    assert!(listed.is_empty());
    assert_eq!(bench.store.index(other, Some("acme"), None).await.unwrap(), Indexed::Done);
}

async fn unindex_leaves_what_was_indexed_since(bench: Bench) {
    let app = AppId::new();
    bench.store.index(app, Some("acme"), None).await.unwrap();
    let before = bench.store.claim(app).await.unwrap();
    // Somebody creates it anew, under the uid that names it still.
    bench.store.index(app, Some("acme"), None).await.unwrap();
    bench.store.unindex(app, Some("acme"), before).await.unwrap();
    assert_eq!(bench.store.find_uid("acme").await.unwrap(), Some(app));
    let listed = bench.store.applications(&whole(Order::OldestFirst)).await.unwrap().entries;
    assert_eq!(listed.len(), 1);
    // And so it is after the list has forgotten it in between.
    let second = bench.store.claim(app).await.unwrap();
    bench.store.unindex(app, Some("acme"), second).await.unwrap();
    assert_eq!(bench.store.find_uid("acme").await.unwrap(), None);
    bench.store.index(app, Some("acme"), None).await.unwrap();
    for old in [before, second] {
        bench.store.unindex(app, Some("acme"), old).await.unwrap();
        assert_eq!(bench.store.find_uid("acme").await.unwrap(), Some(app));
    }
}

async fn applications_are_paged_by_age(bench: Bench) {
    let mut apps: Vec<_> = (0..11).map(|_| AppId::new()).collect();
    for &app in apps.iter().rev() {
        bench.store.index(app, None, None).await.unwrap();
    }
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for limit in [1, 4, 11, ALL] {
            let mut found = Vec::new();
            let mut request = PageRequest { after: None, order, limit };
            loop {
                let page = bench.store.applications(&request).await.unwrap();
                assert!(page.entries.len() <= limit);
                request.after = page.entries.last().map(|(cursor, _)| cursor.clone());
                found.extend(page.entries.into_iter().map(|(_, app)| app));
                if page.done {
                    break;
                }
            }
            assert_eq!(found, apps, "{order:?}, pages of {limit}");
        }
        apps.reverse();
    }
}

async fn documents_are_written_as_expected(bench: Bench) {
    let kind = Kind::EventType;
    let document = |json: &'static str| Document { name: "invoice.paid".into(), json: json.into() };
    let put = async |json, expect: Expect| {
        let written = bench.store.put_document(kind, &document(json), &expect).await;
        written.map_err(|error| error.kind())
    };
    let read = async || bench.store.document(kind, "invoice.paid").await.unwrap();
    let exactly = |json: &'static str| Expect::Exactly(Bytes::from_static(json.as_bytes()));

    assert_eq!(read().await, None);
    assert_eq!(put("{}", exactly("{}")).await, Err(ErrorKind::Conflict));
    assert_eq!(read().await, None);
    assert_eq!(put(r#"{"a":1}"#, Expect::Absent).await, Ok(()));
    assert_eq!(put("{}", Expect::Absent).await, Err(ErrorKind::Conflict));
    assert_eq!(put("{}", exactly(r#"{"a": 1}"#)).await, Err(ErrorKind::Conflict));
    assert_eq!(read().await.as_deref(), Some(br#"{"a":1}"#.as_slice()));
    assert_eq!(put(r#"{"ü":[]}"#, exactly(r#"{"a":1}"#)).await, Ok(()));
    assert_eq!(read().await.as_deref(), Some(r#"{"ü":[]}"#.as_bytes()));
    assert_eq!(put("{}", Expect::Any).await, Ok(()));
    assert!(bench.store.delete_document(kind, "invoice.paid").await.unwrap());
    assert!(!bench.store.delete_document(kind, "invoice.paid").await.unwrap());
    assert_eq!(read().await, None);
    assert_eq!(put("{}", Expect::Any).await, Ok(()));
}

async fn documents_are_sorted_by_name(bench: Bench) {
    let names = ["b", "a.b", "a", "z:1", "B", "a.a", "a-"];
    for name in names {
        let document = Document { name: name.into(), json: name.as_bytes().to_vec().into() };
        bench.store.put_document(Kind::EventType, &document, &Expect::Absent).await.unwrap();
    }
    let found = bench.store.documents(Kind::EventType).await.unwrap();
    assert_eq!(bench.store.documents(Kind::Limit).await.unwrap(), [], "another kind");
    let mut sorted = names;
    sorted.sort();
    assert_eq!(found.iter().map(|document| document.name.as_str()).collect::<Vec<_>>(), sorted);
    assert!(found.iter().all(|document| document.json == document.name.as_bytes()));
}

async fn one_of_many_writers_creates_a_document(bench: Bench) {
    let documents: Vec<_> =
        (0..16).map(|n| Document { name: "one".into(), json: n.to_string().into() }).collect();
    let calls = documents
        .iter()
        .map(|document| bench.store.put_document(Kind::EventType, document, &Expect::Absent));
    let answers = futures_util::future::join_all(calls).await;
    let winners: Vec<_> =
        documents.iter().zip(answers).filter(|(_, answer)| answer.is_ok()).collect();
    assert_eq!(winners.len(), 1);
    let found = bench.store.document(Kind::EventType, "one").await.unwrap();
    assert_eq!(found, Some(winners[0].0.json.clone()));
}
