//! Opens the store that the settings choose.

use std::path::PathBuf;

use shared::store::{SharedStore, embedded, redis};

use crate::{
    config::{Settings, StoreChoice},
    exit::Result,
    private::private_directory,
};

/// The embedded store has a directory of its own inside of the data directory.
const DIRECTORY: &str = "store";

/// Opens it. Fails if it cannot keep the promised durability, or another process has it.
pub(crate) async fn open(settings: &Settings) -> Result<SharedStore> {
    let (durability, lifetimes) = (settings.durability, settings.lifetimes());
    match &settings.store {
        StoreChoice::Embedded => {
            private_directory(&settings.data_dir)?;
            Ok(embedded::open(&directory(settings), durability, lifetimes)?)
        }
        StoreChoice::Redis(url) => Ok(redis::open(url.as_str(), durability, lifetimes).await?),
    }
}

/// Where the embedded store lies.
pub(crate) fn directory(settings: &Settings) -> PathBuf {
    settings.data_dir.join(DIRECTORY)
}
