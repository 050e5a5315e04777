//! The store's clock as it stands on ours.
//!
//! The store tells the time of its decision, and the answer takes a while. What was decided for a time
//! shall happen at that time: so the fastest answer counts, and not each one's own delay, which would
//! make starts that were even on the store's clock uneven here.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// One a process.
#[derive(Debug, Default)]
pub(crate) struct StoreClock(Mutex<Option<(Instant, Duration)>>);

impl StoreClock {
    /// When the store's clock showed `shown`, which was between `sent` and `received`.
    pub(crate) fn read(&self, sent: Instant, received: Instant, shown: Duration) -> Instant {
        let mut last = self.0.lock();
        let guess = last.and_then(|(at, showed)| match shown.checked_sub(showed) {
            Some(later) => at.checked_add(later),
            None => at.checked_sub(showed - shown),
        });
        // A guess outside was wrong: the clocks do not run alike, or one of them was set.
        let at = guess.map_or(received, |guess| guess.clamp(sent, received));
        *last = Some((at, shown));
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_fastest_answer_counts() {
        let (clock, start, epoch) = (StoreClock::default(), Instant::now(), ms(1 << 40));
        let read = |sent, shown, received| {
            clock.read(start + ms(sent), start + ms(received), epoch + ms(shown)) - start
        };
        // The store's clock shows the same as ours.
        assert_eq!(read(0, 3, 10), ms(10), "nothing better is known");
        assert_eq!(read(20, 21, 22), ms(22));
        assert_eq!(read(30, 33, 60), ms(34), "a slow answer changes nothing");
        assert_eq!(read(100, 101, 101), ms(101));
        // It was set back by 50 ms.
        assert_eq!(read(200, 151, 202), ms(200));
        assert_eq!(read(300, 251, 302), ms(300));
    }
}
