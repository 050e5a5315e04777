//! Opens the store that the settings choose.

use std::path::PathBuf;

use anyhow::Context;
use prometheus::Registry;
use shared::store::{SharedStore, embedded, observed, redis};

use crate::{
    config::{Settings, StoreChoice},
    exit::Result,
    private::private_directory,
};

/// The embedded store has a directory of its own inside of the data directory.
const DIRECTORY: &str = "store";

/// Opens it, with metrics of its calls. Fails if it cannot keep the promised durability, or another
/// process has it.
pub(crate) async fn open(settings: &Settings, metrics: &Registry) -> Result<SharedStore> {
    let (durability, lifetimes) = (settings.durability, settings.lifetimes());
    let store: SharedStore = match &settings.store {
        StoreChoice::Embedded => {
            private_directory(&settings.data_dir)?;
            embedded::open(&directory(settings), durability, lifetimes)?
        }
        StoreChoice::Redis(url) => redis::open(url.as_str(), durability, lifetimes).await?,
    };
    Ok(observed(store, metrics).context("metrics of the store")?)
}

/// Where the embedded store lies.
pub(crate) fn directory(settings: &Settings) -> PathBuf {
    settings.data_dir.join(DIRECTORY)
}
