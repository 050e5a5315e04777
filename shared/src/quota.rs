//! How much is logged of what others can bring about, endpoints, their data, producers: so many lines
//! of a kind, and then how many were left out. One who fails must not bury what others have to say.

use std::{collections::HashMap, hash::Hash, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lines of one kind within a window.
const MOST: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// What was logged lately, by kind, of which there must be few.
#[derive(Debug)]
pub struct Quota<Kind>(Mutex<HashMap<Kind, Window>>);

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl<Kind> Default for Quota<Kind> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Kind: Eq + Hash> Quota<Kind> {
    /// Whether a line may be written now, and then how many were left out before it.
    pub fn take(&self, kind: Kind, now: Instant) -> Option<u64> {
        let mut windows = self.0.lock();
        let window = windows.entry(kind).or_default();
        if window.began.is_none_or(|began| now.duration_since(began) >= WINDOW) {
            window.began = Some(now);
            window.lines = 0;
        }
        if window.lines == MOST {
            window.left_out += 1;
            return None;
        }
        window.lines += 1;
        Some(std::mem::take(&mut window.left_out))
    }

    /// Counts a line that was left out for another reason.
    pub fn leave_out(&self, kind: Kind) {
        self.0.lock().entry(kind).or_default().left_out += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_quota_are_left_out_and_counted_by_kind() {
        let (quota, now) = (Quota::default(), Instant::now());
        let written = (0..100).filter(|_| quota.take("breaker", now).is_some()).count();
        assert_eq!(written, MOST as usize);
        assert_eq!(quota.take("store", now), Some(0), "another kind");
        assert_eq!(quota.take("breaker", now + WINDOW), Some(u64::from(100 - MOST)));
        quota.leave_out("breaker");
        assert_eq!(quota.take("breaker", now + WINDOW), Some(1));
        assert_eq!(quota.take("breaker", now + WINDOW), Some(0));
    }
}
