//! One bucket: what was taken from it, and what is free. Times are microseconds of the store's clock.
//!
//! It keeps, for each limit, the theoretical arrival time. A cell that is due later than that, because
//! of another bucket, makes this one skip time that others could use: that is a *hole*, and the next
//! cells come out of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::{Metered, pace};

/// More are forgotten: what lies free in them is lost.
const MOST_HOLES: usize = 32;

/// The record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Bucket {
    version: u64,
    tracks: Vec<Track>,
    /// First and last time at which a cell may be put there.
    holes: Vec<(u64, u64)>,
}

/// One limit.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Track {
    gap: u64,
    tolerance: u64,
    arrival: u64,
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Bucket {
    /// The bucket as this caller finds it now.
    pub(super) fn open(before: Option<Self>, metered: &Metered, now: u64) -> Self {
        let mut before = before.unwrap_or_default();
        before.holes.retain(|(_, to)| *to >= now);
        if before.version > metered.version {
            return before;
        }
        let paces = metered.limits.iter().map(pace);
        let paces: Vec<_> = paces.map(|it| (micros(it.gap), micros(it.tolerance))).collect();
        before.version = metered.version;
        if before.tracks.iter().map(|track| (track.gap, track.tolerance)).eq(paces.iter().copied())
        {
            return before;
        }
        let latest = before.tracks.iter().map(|track| track.arrival).max().unwrap_or_default();
        let track = |(gap, tolerance): (u64, u64)| {
            let used_up = now.saturating_add(tolerance).saturating_add(gap);
            Track { gap, tolerance, arrival: latest.min(used_up) }
        };
        Self { tracks: paces.into_iter().map(track).collect(), holes: Vec::new(), ..before }
    }

    /// The first time from this one on at which there is a cell.
    pub(super) fn earliest(&self, time: u64) -> u64 {
        let ready = self.tracks.iter().map(|track| track.arrival.saturating_sub(track.tolerance));
        let ready = ready.max().unwrap_or_default().max(time);
        let holes = self.holes.iter().filter(|(_, to)| time <= *to);
        holes.map(|(from, _)| time.max(*from)).fold(ready, u64::min)
    }

    /// Takes the cell at a time that [`Bucket::earliest`] answered.
    pub(super) fn occupy(&mut self, time: u64, now: u64) {
        let gap = self.tracks.iter().map(|track| track.gap).max().unwrap_or_default();
        let inside = self.holes.iter().position(|(from, to)| (*from..=*to).contains(&time));
        if let Some(index) = inside {
            let (from, to) = self.holes.remove(index);
            self.add_hole(from, time.saturating_sub(gap));
            self.add_hole(time.saturating_add(gap), to);
            return;
        }
        let full = self.tracks.iter().map(|track| track.arrival).fold(now, u64::max);
        for track in &mut self.tracks {
            track.arrival = track.arrival.max(time).saturating_add(track.gap);
        }
        self.add_hole(full, time.saturating_sub(gap));
    }

    fn add_hole(&mut self, from: u64, to: u64) {
        if from <= to && self.holes.len() < MOST_HOLES {
            self.holes.push((from, to));
        }
    }
}
