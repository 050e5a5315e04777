//! Faults of the server.

use std::time::Duration;

use shared::{
    domain::Limit,
    store::{Bucket, EntryId, ErrorKind, LaneRead, Metered, Published, Settled, Take},
};

use super::{Home, deliver, set};

#[tokio::test]
async fn flushed_scripts_are_loaded_again() {
    let home = Home::safe().await;
    let tenant = home.bench.tenant(1).await;
    let flush = || ::redis::cmd("SCRIPT").arg("FLUSH").exec(&mut home.client()).unwrap();
    flush();
    let delivery = tenant.deliver().await;
    flush();
    assert_eq!(deliver(&home.bench, &tenant, delivery).await, Settled::Done);
}

#[tokio::test]
async fn a_killed_server_is_found_again_with_all_that_was_accepted() {
    let mut home = Home::safe().await;
    let tenant = home.bench.tenant(1).await;
    let mut reader = home.bench.store.reader().await.unwrap();
    let delivery = tenant.deliver().await;
    let incarnation = home.bench.store.incarnation().await.unwrap();

    home.server.kill().unwrap();
    let publication = tenant.publication();
    let errors = [
        home.bench.store.publish(vec![publication.clone()]).await.unwrap_err(),
        home.bench.store.publish(vec![publication.clone()]).await.unwrap_err(),
        home.bench.store.message(tenant.app, delivery.message).await.unwrap_err(),
        home.bench.store.incarnation().await.unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.kind().is_transient()), "{errors:?}");
    assert_eq!(errors[1].kind(), ErrorKind::Unavailable, "nothing listens: {}", errors[1]);
    let lanes = [LaneRead { lane: tenant.lane(), after: EntryId::START }];
    assert!(reader.read(&lanes, 10).await.is_err());

    home.server.restart().unwrap();
    let store = &home.bench.store;
    assert_eq!(store.publish(vec![publication]).await.unwrap(), [Published::Accepted]);
    assert_ne!(store.incarnation().await.unwrap(), incarnation);
    assert!(!reader.read(&lanes, 10).await.unwrap().is_empty());
    assert_eq!(deliver(&home.bench, &tenant, delivery).await, Settled::Done);
}

#[tokio::test]
async fn a_reader_goes_on_after_a_dropped_read() {
    let home = Home::safe().await;
    let tenant = home.bench.tenant(1).await;
    let other = home.bench.tenant(1).await;
    let mut reader = home.bench.store.reader().await.unwrap();
    let no_news = [LaneRead { lane: other.lane(), after: EntryId { major: u64::MAX, minor: 0 } }];
    let dropped = reader.read(&no_news, 10);
    assert!(tokio::time::timeout(Duration::from_millis(50), dropped).await.is_err());
    let message = tenant.publish().await;
    let lanes = [LaneRead { lane: tenant.lane(), after: EntryId::START }];
    let batches = reader.read(&lanes, 100).await.unwrap();
    let text = format!("{batches:?}");
    assert!(text.contains(&message.to_string()), "{text}");
}

#[tokio::test]
async fn a_full_server_refuses_what_is_new_and_drains() {
    let home = Home::safe().await;
    let tenant = home.bench.tenant(1).await;
    let (first, second) = (tenant.deliver().await, tenant.deliver().await);
    let mut client = home.client();
    set(&mut client, "maxmemory", "1");

    let refused = home.bench.store.publish(vec![tenant.publication()]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full, "{refused}");
    let refused = home.bench.store.ready().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full, "{refused}");
    let fence = home.bench.own(tenant.lane()).await;
    assert_eq!(home.bench.store.renew(std::slice::from_ref(&fence)).await.unwrap(), [true]);
    assert!(!home.bench.store.heartbeat(&fence.owner).await.unwrap().is_empty());
    home.bench.park(&fence, &[second]).await;
    assert_eq!(home.bench.store.waiting(second.queue()).await.unwrap(), 1);
    let limit = Limit { count: 1.try_into().unwrap(), per: Duration::from_secs(1), burst: None };
    let bucket = Bucket::Application(tenant.app);
    let buckets = vec![Metered { bucket, version: 1, limits: vec![limit] }];
    let take = Take { buckets, cells: 1, spread: Duration::ZERO };
    assert_eq!(home.bench.store.take(&take).await.unwrap().cells, [Duration::ZERO]);
    assert_eq!(deliver(&home.bench, &tenant, first).await, Settled::Done);

    set(&mut client, "maxmemory", "0");
    home.bench.store.ready().await.unwrap();
    tenant.publish().await;
}
