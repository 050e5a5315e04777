//! The engines, and how each is opened for a test.

use std::sync::Arc;

use shared::store::{Durability, Lifetimes, embedded};

use crate::{bench::Bench, model::Model};

/// Runs each of these functions as a test of every engine, on a store with these lifetimes.
macro_rules! on_each_engine {
    ($lifetimes:expr; $($test:ident,)*) => {
        $crate::engines::on_engine! { model, $lifetimes; $($test,)* }
        $crate::engines::on_engine! { embedded, $lifetimes; $($test,)* }
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
