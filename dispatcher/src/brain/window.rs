//! The window: how many attempts an endpoint may have in flight.
//!
//! It grows while answers are good and it is full: one more for each good answer, so it doubles with
//! each round trip. It halves, at most once per round trip, when the receiver shows that it cannot keep up.

/// Start of an endpoint that nothing is known of.
const START: usize = 4;

/// Attempts in flight, and how many there may be.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    size: usize,
    top: usize,
    in_flight: usize,
    /// Good answers to wait for before it may halve again: the answers to requests that were under
    /// way when it halved tell nothing new.
    settled_in: usize,
}

impl Window {
    /// A window that grows up to `top`.
    pub(crate) fn new(top: usize) -> Self {
        Self { size: START.min(top), top, in_flight: 0, settled_in: 0 }
    }

    /// A window that starts carefully: after a takeover or a recovery.
    pub(crate) fn careful(top: usize) -> Self {
        Self { size: 1, ..Self::new(top) }
    }

    /// Goes on from the size that it had in the hands of another owner a moment ago.
    pub(crate) fn resume(&mut self, size: usize) {
        self.size = size.clamp(1, self.top);
    }

    /// Whether good answers have let it grow beyond its start.
    pub(crate) fn has_grown(&self) -> bool {
        self.size > START
    }

    /// Changes how far it may grow. Attempts above that are not called back.
    pub(crate) fn set_top(&mut self, top: usize) {
        self.top = top.max(1);
        self.size = self.size.min(self.top);
    }

    /// How many more attempts may start.
    pub(crate) fn free(&self) -> usize {
        self.size.saturating_sub(self.in_flight)
    }

    /// How many attempts there may be at once.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// How many attempts there are.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// An attempt starts.
    pub(crate) fn start(&mut self) {
        self.in_flight += 1;
    }

    /// An attempt was given back before it was made.
    pub(crate) fn give_back(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// An attempt ended with a good answer.
    pub(crate) fn good(&mut self) {
        let was_full = self.in_flight >= self.size;
        self.end();
        if was_full {
            self.size = (self.size + 1).min(self.top);
        }
    }

    /// An attempt ended, and says nothing about how much the receiver can take.
    pub(crate) fn neutral(&mut self) {
        self.end();
    }

    /// An attempt ended with a sign of overload.
    pub(crate) fn overload(&mut self) {
        let may_halve = self.settled_in == 0;
        self.end();
        if may_halve {
            self.size = (self.size / 2).max(1);
            self.settled_in = self.in_flight;
        }
    }

    /// Back to one attempt at a time: the receiver has just recovered.
    pub(crate) fn reset(&mut self) {
        self.size = 1;
    }

    fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.settled_in = self.settled_in.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(window: &mut Window) {
        while window.free() > 0 {
            window.start();
        }
    }

    #[test]
    fn doubles_each_round_trip_while_full_up_to_its_top() {
        let mut window = Window::new(20);
        for expected in [8, 16, 20, 20] {
            fill(&mut window);
            while window.in_flight() > 0 {
                // The window is refilled at once in real life; here only its size counts.
                let full = window.free() == 0;
                window.good();
                if full {
                    fill(&mut window);
                }
                if window.size() >= expected {
                    break;
                }
            }
            assert_eq!(window.size(), expected);
        }
    }

    #[test]
    fn does_not_grow_when_it_is_not_used() {
        let mut window = Window::new(20);
        for _ in 0..100 {
            window.start();
            window.good();
        }
        assert_eq!(window.size(), START);
    }

    #[test]
    fn one_burst_of_failures_halves_it_once() {
        let mut window = Window { size: 16, ..Window::new(64) };
        fill(&mut window);
        for _ in 0..16 {
            window.overload();
        }
        assert_eq!(window.size(), 8);
        window.start();
        window.overload();
        assert_eq!(window.size(), 4);
    }

    #[test]
    fn never_falls_below_one() {
        let mut window = Window::careful(8);
        for _ in 0..5 {
            window.start();
            window.overload();
        }
        assert_eq!((window.size(), window.free()), (1, 1));
    }
}
