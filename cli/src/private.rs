//! Files that only their owner may read: what they hold opens something.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use anyhow::Context;

use crate::exit::{Failure, Result};

/// Makes a directory for its owner only, where there is none.
pub(crate) fn private_directory(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("the data directory {} cannot be made", path.display()))
        .map_err(Failure::from)
}

/// Fails if others can read a file.
pub(crate) fn check(path: &Path) -> Result<()> {
    let metadata =
        fs::metadata(path).with_context(|| format!("{} cannot be looked at", path.display()))?;
    if metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    let path = path.display();
    Err(Failure::config(format!("others can read the secret in {path}: run `chmod 600 {path}`")))
}

/// Writes one line: all of it or nothing, also across a power loss.
pub(crate) fn write(path: &Path, line: &str) -> Result<()> {
    write_line(path, line)
        .with_context(|| format!("the file {} cannot be written", path.display()))
        .map_err(Failure::from)
}

fn write_line(path: &Path, line: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}
