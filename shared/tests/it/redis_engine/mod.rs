//! What only the Redis engine has to show: that it lives through what happens to a server, and what it
//! leaves in it.

mod cost;
mod durability;
mod faults;
mod keys;

use std::sync::Arc;

use loadtests::redis_server::{Fsync, RedisServer};
use shared::{
    domain::Delivery,
    store::{Durability, Lifetimes, Place, Settled, Verdict, redis},
};
use tempfile::TempDir;

use crate::bench::{Bench, Tenant};

/// A server of its own, with the engine on it.
struct Home {
    bench: Bench,
    server: RedisServer,
    _directory: TempDir,
}

impl Home {
    async fn new(fsync: Fsync, durability: Durability) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = RedisServer::start(directory.path(), fsync).unwrap();
        let store = redis::open(&server.url(), durability, Lifetimes::default()).await.unwrap();
        Self { bench: Bench::new(store, Box::new(())), server, _directory: directory }
    }

    async fn safe() -> Self {
        Self::new(Fsync::Always, Durability::Disk).await
    }

    /// A client of the server that is not the engine.
    fn client(&self) -> ::redis::Connection {
        client(&self.server)
    }
}

fn client(server: &RedisServer) -> ::redis::Connection {
    ::redis::Client::open(server.url()).unwrap().get_connection().unwrap()
}

fn set(client: &mut ::redis::Connection, setting: &str, value: &str) {
    ::redis::cmd("CONFIG").arg("SET").arg(setting).arg(value).exec(client).unwrap();
}

/// Delivers what a tenant just published.
async fn deliver(bench: &Bench, tenant: &Tenant, delivery: Delivery) -> Settled {
    let fence = bench.own(tenant.lane()).await;
    let place = Place::Stream(bench.entry_of(delivery).await);
    bench.settle(&fence, delivery, place, 1, Verdict::Delivered).await
}

type Opened = Result<Arc<redis::Redis>, shared::store::StoreError>;

async fn open(server: &RedisServer, durability: Durability) -> Opened {
    redis::open(&server.url(), durability, Lifetimes::default()).await
}
