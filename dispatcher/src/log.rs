//! How much is logged of what endpoints and their data can bring about: so many lines of a kind, and
//! then how many were left out. An endpoint that fails must not bury what others have to say.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lines of one kind within a window.
const MOST: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// A kind of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// A breaker opened or closed.
    Breaker,
    /// A configuration cannot be loaded.
    Configuration,
    /// A record cannot be read.
    Record,
    /// What is secret of an endpoint cannot be read.
    Secret,
    /// A call of the store failed.
    Store,
}

impl Line {
    pub(crate) const ALL: [Self; 5] =
        [Self::Breaker, Self::Configuration, Self::Record, Self::Secret, Self::Store];

    /// The name in metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Breaker => "breaker",
            Self::Configuration => "configuration",
            Self::Record => "record",
            Self::Secret => "secret",
            Self::Store => "store",
        }
    }
}

/// What was logged lately.
#[derive(Debug, Default)]
pub(crate) struct Quota([Mutex<Window>; Line::ALL.len()]);

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl Quota {
    /// Whether a line may be written now, and then how many were left out before it.
    pub(crate) fn take(&self, line: Line, now: Instant) -> Option<u64> {
        let mut window = self.0[line as usize].lock();
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_quota_are_left_out_and_counted_by_kind() {
        let (quota, now) = (Quota::default(), Instant::now());
        let written = (0..100).filter(|_| quota.take(Line::Breaker, now).is_some()).count();
        assert_eq!(written, MOST as usize);
        assert_eq!(quota.take(Line::Store, now), Some(0), "another kind");
        assert_eq!(quota.take(Line::Breaker, now + WINDOW), Some(u64::from(100 - MOST)));
        assert_eq!(quota.take(Line::Breaker, now + WINDOW), Some(0));
    }
}
