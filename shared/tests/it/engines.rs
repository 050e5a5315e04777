//! The engines, and how each is opened for a test.

use std::sync::Arc;

use loadtests::redis_server::{Fsync, RedisServer};
use shared::store::{Durability, Lifetimes, redis};

use crate::{bench::Bench, model::Model};

/// Runs each of these functions as a test of every engine, on a store with these lifetimes.
macro_rules! on_each_engine {
    ($lifetimes:expr; $($test:ident,)*) => {
        $crate::engines::on_engine! { model, $lifetimes; $($test,)* }
        $crate::engines::on_engine! { on_redis, $lifetimes; $($test,)* }
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
    Bench::new(Arc::new(Model::open(lifetimes)), ())
}

/// A redis-server of its own.
pub(crate) async fn on_redis(lifetimes: Lifetimes) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let server = RedisServer::start(directory.path(), Fsync::EverySecond).unwrap();
    let store = redis::open(&server.url(), Durability::Process, lifetimes).await.unwrap();
    Bench::new(store, (server, directory))
}
