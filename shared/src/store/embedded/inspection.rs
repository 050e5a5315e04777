//! What can be told of a store's directory from outside, whoever has it open. Nothing in it is changed.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    time::SystemTime,
};

use crate::store::{ErrorKind, Result, StoreError};

/// New work is refused while the directory's file system has less than this many bytes free, so that
/// there is room left to settle what was taken.
pub const HEADROOM: u64 = 64 << 20;

/// The file that whoever has the store open holds a lock on: the engine's own.
const LOCK: &str = "lock";

/// A store's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The user to whom it belongs.
    pub owner: u32,
    /// Its permissions.
    pub mode: u32,
    /// Bytes that are free on its file system.
    pub free: u64,
    /// Whether a store was made in it.
    pub holds_store: bool,
    /// Whether a process has the store open.
    pub is_open: bool,
    /// When anything in it was changed last.
    pub changed: Option<SystemTime>,
}

/// Looks at a directory; `None`: there is none.
///
/// # Errors
/// [`ErrorKind::Unavailable`] if it cannot be looked at.
pub fn inspect(directory: &Path) -> Result<Option<Inspection>> {
    let metadata = match fs::metadata(directory) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(hidden(error)),
    };
    let lock = directory.join(LOCK);
    let holds_store = lock.try_exists().map_err(hidden)?;
    let changed = fs::read_dir(directory)
        .map_err(hidden)?
        .filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok())
        .max();
    Ok(Some(Inspection {
        owner: metadata.uid(),
        mode: metadata.mode() & 0o7777,
        free: free_bytes(directory)?,
        holds_store,
        is_open: holds_store && is_locked(&lock).map_err(hidden)?,
        changed,
    }))
}

/// Whether somebody holds the lock. Who asks has it for a moment, if nobody else has.
fn is_locked(lock: &Path) -> io::Result<bool> {
    match File::open(lock)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Bytes that are free on the file system of this directory.
pub(super) fn free_bytes(directory: &Path) -> Result<u64> {
    match rustix::fs::statvfs(directory) {
        Ok(stat) => Ok(stat.f_bavail.saturating_mul(stat.f_frsize)),
        Err(error) => {
            let what = "cannot tell how much room the store's disk has";
            Err(StoreError::caused_by(ErrorKind::Unavailable, what, error))
        }
    }
}

fn hidden(error: io::Error) -> StoreError {
    let what = "the store's directory cannot be looked at";
    StoreError::caused_by(ErrorKind::Unavailable, what, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Durability, Lifetimes, embedded};

    #[test]
    fn it_tells_whether_the_store_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store");
        assert_eq!(inspect(&path).unwrap(), None);
        let store = embedded::open(&path, Durability::Process, Lifetimes::default()).unwrap();
        let found = inspect(&path).unwrap().unwrap();
        assert!(found.is_open && found.holds_store && found.changed.is_some(), "{found:?}");
        assert_eq!(found.mode, 0o700);
        drop(store);
        let found = inspect(&path).unwrap().unwrap();
        assert!(!found.is_open && found.holds_store && found.free > 0, "{found:?}");
        let empty = inspect(directory.path()).unwrap().unwrap();
        assert!(!empty.holds_store && !empty.is_open, "{empty:?}");
    }
}
