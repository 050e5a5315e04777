//! A bare log on this engine: what its way of writing costs with nothing on top.
//!
//! Measurements compare the store with it. It has the writer, its groups and their fsync, the table of
//! bodies and snapshots, in a directory of its own, and must never have more.

use std::{path::Path, sync::Arc};

use bytes::Bytes;

use super::{Embedded, corrupt, draft::Draft, keys::Key, open, tables::Table};
use crate::store::{Durability, Lifetimes, Result};

/// A log of bodies. Dropping it waits until the writer has finished what it was given.
pub struct Log(Arc<Embedded>);

impl Log {
    /// Opens the log in a directory that nothing else uses, and creates it if there is none. Blocks.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open(directory: &Path) -> Result<Self> {
        open(directory, Durability::Disk, Lifetimes::default()).map(Self)
    }

    /// Appends a body and answers its place once it survives a power loss. Places grow.
    ///
    /// # Errors
    /// As any promise of the engine: after a failed write everything fails.
    pub async fn append(&self, body: Bytes) -> Result<u64> {
        let append = move |draft: &mut Draft<'_>| {
            let place = draft.stamp().0;
            draft.put(Table::Bodies, Key::new().u64(place), &*body);
            Ok(place)
        };
        self.0.writer.write(true, append).await
    }

    /// At most `limit` bodies behind a place, in order, each with its place.
    ///
    /// # Errors
    /// If the directory cannot be read, or a write has failed.
    pub fn behind(&self, place: u64, limit: usize) -> Result<Vec<(u64, Bytes)>> {
        let from = Key::new().u64(place.saturating_add(1));
        let items = self.0.core.view()?.range(Table::Bodies, from, Key::new().u64(u64::MAX));
        let read = |item: Result<(fjall::Slice, fjall::Slice)>| {
            let (key, body) = item?;
            let place = key.as_ref().try_into().map_err(|_| corrupt("a place in a log"))?;
            Ok((u64::from_be_bytes(place), Bytes::copy_from_slice(&body)))
        };
        items.take(limit).map(read).collect()
    }

    /// Removes the bodies at these places. A power loss may bring them back.
    ///
    /// # Errors
    /// If a write has failed.
    pub async fn remove(&self, places: Vec<u64>) -> Result<()> {
        let remove = move |draft: &mut Draft<'_>| {
            for place in places {
                draft.remove(Table::Bodies, Key::new().u64(place));
            }
            Ok(())
        };
        self.0.writer.write(false, remove).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_appended_is_read_in_order_until_it_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::open(directory.path()).unwrap();
        let mut places = Vec::new();
        for body in ["a", "b", "c"] {
            places.push(log.append(Bytes::from(body)).await.unwrap());
        }
        let bodies = |log: &Log, place, limit| -> Vec<Bytes> {
            log.behind(place, limit).unwrap().into_iter().map(|(_, body)| body).collect()
        };
        assert!(places.is_sorted_by(|one, next| one < next), "{places:?}");
        assert_eq!(bodies(&log, 0, 2), ["a", "b"]);
        assert_eq!(bodies(&log, places[0], 9), ["b", "c"]);

        log.remove(vec![places[1]]).await.unwrap();
        drop(log);
        let log = Log::open(directory.path()).unwrap();
        assert_eq!(bodies(&log, 0, 9), ["a", "c"]);
        assert!(log.append(Bytes::from("d")).await.unwrap() > places[2]);
    }
}
