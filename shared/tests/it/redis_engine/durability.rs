//! What the server must keep, and what happens when it does not.

use loadtests::redis_server::{Fsync, RedisServer};
use shared::store::{Durability, ErrorKind, Published};

use super::{Home, client, open, set};

#[tokio::test]
async fn a_server_that_keeps_less_than_promised_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = RedisServer::start(directory.path(), Fsync::EverySecond).unwrap();
    let error = open(&server, Durability::Disk).await.err().expect("it syncs every second only");
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.to_string().contains("CONFIG SET appendfsync always"), "{error}");
    assert!(open(&server, Durability::Process).await.is_ok());
}

#[tokio::test]
async fn readiness_sees_a_setting_that_changed() {
    let home = Home::safe().await;
    home.bench.store.ready().await.unwrap();
    set(&mut home.client(), "maxmemory-policy", "allkeys-lru");
    let error = home.bench.store.ready().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.to_string().contains("maxmemory-policy"), "{error}");
}

#[tokio::test]
async fn a_store_of_another_layout_is_refused() {
    let home = Home::safe().await;
    let layout = "format=999 shards=16 lanes=64";
    ::redis::cmd("SET").arg("{g}:layout").arg(layout).exec(&mut home.client()).unwrap();
    let error = open(&home.server, Durability::Disk).await.err().expect("the format is another");
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.to_string().contains(layout), "{error}");
}

#[tokio::test]
async fn a_replicated_publish_waits_for_a_replica() {
    let mut home = Home::safe().await;
    let directory = tempfile::tempdir().unwrap();
    let mut replica = RedisServer::start(directory.path(), Fsync::Always).unwrap();
    let address = home.server.url().replace("redis://", "");
    let (host, port) = address.split_once(':').unwrap();
    ::redis::cmd("REPLICAOF").arg(host).arg(port).exec(&mut client(&replica)).unwrap();
    set(&mut home.client(), "min-replicas-to-write", "1");
    // The replica counts once it has synchronised: there is no event for it.
    while home.bench.store.ready().await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let tenant = home.bench.tenant(1).await;
    home.bench.store = open(&home.server, Durability::Replicated).await.unwrap();
    let publish = || home.bench.store.publish(vec![tenant.publication()]);
    assert_eq!(publish().await.unwrap(), [Published::Accepted]);

    replica.kill().unwrap();
    let error = publish().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Ambiguous | ErrorKind::Full), "{error}");
}
