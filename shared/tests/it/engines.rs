//! The engines, and how each is opened for a test.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU16, Ordering},
};

use loadtests::redis_server::{DATABASES, Fsync, RedisServer};
use parking_lot::Mutex;
use shared::store::{Durability, Lifetimes, embedded, redis};
use tempfile::TempDir;

use crate::{bench::Bench, model::Model};

/// Runs each of these functions as a test of every engine, on a store with these lifetimes.
macro_rules! on_each_engine {
    ($lifetimes:expr; $($test:ident,)*) => {
        $crate::engines::on_engine! { model, $lifetimes; $($test,)* }
        $crate::engines::on_engine! { embedded, $lifetimes; $($test,)* }
        $crate::engines::on_engine! { redis, $lifetimes; $($test,)* }
    };
}

/// Runs them on one engine.
macro_rules! on_engine {
    ($engine:ident, $lifetimes:expr; $($test:ident,)*) => {
        mod $engine {
            use super::*;

            $(#[tokio::test]
            async fn $test() {
                super::$test($crate::engines::$engine($lifetimes).await).await;
            })*
        }
    };
}

pub(crate) use {on_each_engine, on_engine};

/// The model, which says what the others must answer.
pub(crate) async fn model(lifetimes: Lifetimes) -> Bench {
    Bench::new(Arc::new(Model::open(lifetimes)), Box::new(()))
}

/// The embedded engine in a directory of its own.
pub(crate) async fn embedded(lifetimes: Lifetimes) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let store = embedded::open(directory.path(), Durability::Process, lifetimes).unwrap();
    Bench::new(store, Box::new(directory))
}

/// The Redis engine on a database of its own.
pub(crate) async fn redis(lifetimes: Lifetimes) -> Bench {
    let (server, database) = SharedServer::database();
    let url = format!("{}/{database}", server.process.url());
    let mut connection = ::redis::Client::open(url.as_str()).unwrap().get_connection().unwrap();
    ::redis::cmd("FLUSHDB").exec(&mut connection).unwrap();
    let store = redis::open(&url, Durability::Process, lifetimes).await.unwrap();
    Bench::new(store, Box::new(server))
}

/// One server for the tests that run at a time.
struct SharedServer {
    process: RedisServer,
    next_database: AtomicU16,
    _directory: TempDir,
}

/// Weak, because what a plain static owns is never dropped: the server would outlive the tests.
static SERVER: Mutex<Weak<SharedServer>> = Mutex::new(Weak::new());

impl SharedServer {
    /// The server and the number of a database that no running test uses.
    fn database() -> (Arc<Self>, u16) {
        let mut shared = SERVER.lock();
        let server = shared.upgrade().unwrap_or_else(|| {
            let directory = tempfile::tempdir().unwrap();
            let process = RedisServer::start(directory.path(), Fsync::EverySecond).unwrap();
            let next_database = AtomicU16::new(0);
            Arc::new(Self { process, next_database, _directory: directory })
        });
        *shared = Arc::downgrade(&server);
        let database = server.next_database.fetch_add(1, Ordering::Relaxed) % DATABASES;
        (server, database)
    }
}
