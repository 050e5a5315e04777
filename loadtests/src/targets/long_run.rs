//! A part of T8: whether the embedded store stays as fast as it began, and gives its room back.
//!
//! Messages go through in parts, which are compared with the first one. In the long form a part has a
//! million of them, and bodies and history live for ten minutes, so that what the first parts wrote has
//! to go while the later ones run.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde::Serialize;

use super::lab::{APPLICATIONS, Lab};
use crate::{
    report::Bound,
    rounds::{Store, Subject, Traffic, through},
};

const PARTS: usize = 10;
const MEBIBYTE: f64 = (1 << 20) as f64;
/// The shortest that the settings allow.
const RETENTION: Duration = Duration::from_secs(600);
/// Before the end of the first half, what went first must have been gone for a while; so a run is as
/// long as this many times the retention, if that is more than its parts take.
const LIVES: u32 = 3;

/// Some messages, from end to end.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Part {
    messages: u64,
    messages_per_second: f64,
    /// When it ended, since the first one began.
    ended_after_seconds: f64,
    /// What the store's directory takes then.
    disk_mebibytes: f64,
}

pub(super) async fn measure(lab: &Lab) -> anyhow::Result<Vec<Part>> {
    let (messages, least) = match lab.long {
        true => (1_000_000, RETENTION * LIVES),
        false => (100_000, Duration::ZERO),
    };
    let settings =
        [("SLUICEGATE_LIFETIMES__RETENTION", "10m"), ("SLUICEGATE_LIFETIMES__HISTORY", "10m")];
    let subject = Subject::sluicegate(&lab.program, Store::Embedded, &settings).await?;
    let traffic = Traffic::full(subject.api(), &lab.sink, APPLICATIONS, 1).await?;
    let began = Instant::now();
    let mut parts = Vec::new();
    while parts.len() < PARTS || began.elapsed() < least {
        let took = through(&traffic, &lab.sink, messages).await?;
        let part = Part {
            messages,
            messages_per_second: messages as f64 / took.as_secs_f64(),
            ended_after_seconds: began.elapsed().as_secs_f64(),
            disk_mebibytes: disk_use(&subject.data())? as f64 / MEBIBYTE,
        };
        eprintln!("embedded: {part:.0?}");
        parts.push(part);
    }
    subject.stop().await?;
    Ok(parts)
}

/// What the parts must be; of the room that they take only if it had to be given back meanwhile.
pub(super) fn bounds(parts: &[Part], long: bool) -> anyhow::Result<Vec<Bound>> {
    let (first, last) = (parts.first().context("no part")?, parts.last().context("no part")?);
    let before: u64 = parts.iter().map(|part| part.messages).sum::<u64>() - last.messages;
    let rate = last.messages_per_second / first.messages_per_second;
    let what = format!("of the first {} messages' rate, after {before}", first.messages);
    let mut bounds = vec![Bound::at_least(what, rate, 0.8)];
    if long {
        let half = last.ended_after_seconds / 2.0;
        ensure!(half > RETENTION.as_secs_f64(), "nothing had to go in the first half");
        let most = |later: bool| {
            let of = parts.iter().filter(|part| (part.ended_after_seconds > half) == later);
            of.map(|part| part.disk_mebibytes).fold(0.0, f64::max)
        };
        let what = "times the disk use of the first half at most, in the second half";
        bounds.push(Bound::at_most(what, most(true) / most(false), 1.25));
    }
    Ok(bounds)
}

/// Bytes that a directory's files take on disk.
fn disk_use(directory: &Path) -> anyhow::Result<u64> {
    const BLOCK: u64 = 512;
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => bytes += disk_use(&path)?,
            Ok(found) => bytes += found.blocks() * BLOCK,
            // The store removes files whenever it likes.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(rates: &[f64], seconds: f64, mebibytes: &[f64]) -> Vec<Part> {
        let all = rates.iter().zip(mebibytes).enumerate();
        all.map(|(number, (&messages_per_second, &disk_mebibytes))| Part {
            messages: 1000,
            messages_per_second,
            ended_after_seconds: (number + 1) as f64 * seconds,
            disk_mebibytes,
        })
        .collect()
    }

    fn held(parts: &[Part], long: bool) -> Vec<bool> {
        bounds(parts, long).unwrap().iter().map(|bound| bound.holds).collect()
    }

    #[test]
    fn the_last_part_is_compared_with_the_first() {
        let room = [1.0; 3];
        assert_eq!(held(&parts(&[100.0, 50.0, 81.0], 10.0, &room), false), [true]);
        assert_eq!(held(&parts(&[100.0, 110.0, 79.0], 10.0, &room), false), [false]);
        let bound = &bounds(&parts(&[100.0; 3], 10.0, &room), false).unwrap()[0];
        assert_eq!(bound.what, "of the first 1000 messages' rate, after 2000");
    }

    #[test]
    fn room_is_given_back_if_the_second_half_takes_no_more_than_the_first() {
        let rates = [100.0; 4];
        let bounded = parts(&rates, 500.0, &[500.0, 900.0, 1000.0, 950.0]);
        assert_eq!(held(&bounded, true), [true, true]);
        let growing = parts(&rates, 500.0, &[500.0, 900.0, 1300.0, 1700.0]);
        assert_eq!(held(&growing, true), [true, false]);
        let short = parts(&rates, 200.0, &[500.0, 900.0, 1000.0, 950.0]);
        assert!(bounds(&short, true).is_err());
    }

    #[test]
    fn disk_use_counts_what_lies_in_directories_below() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::write(directory.path().join("one"), vec![1; 100_000]).unwrap();
        let one = disk_use(directory.path()).unwrap();
        fs::write(below.join("two"), vec![1; 100_000]).unwrap();
        let both = disk_use(directory.path()).unwrap();
        assert!(one >= 100_000 && both >= one + 100_000, "{one} {both}");
    }
}
