//! Statistics of moments and of what was measured between them.

use std::time::Duration;

/// The middle one of some figures; 0 of none.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// The greatest number of moments that any half-open interval of length `span` holds.
///
/// `sorted` are distances from a common origin, in ascending order.
pub fn most_within(sorted: &[Duration], span: Duration) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (index, moment) in sorted.iter().enumerate() {
        while *moment - sorted[first] >= span {
            first += 1;
        }
        most = most.max(index + 1 - first);
    }
    most
}

/// Moments per second between the first and the last one; 0 of fewer than two.
pub fn mean_rate(sorted: &[Duration]) -> f64 {
    match sorted {
        [first, .., last] if last > first => {
            (sorted.len() - 1) as f64 / (*last - *first).as_secs_f64()
        }
        _ => 0.0,
    }
}

/// Which share of the gaps between neighbours lies within `tolerance` (0.25 is a quarter) of
/// `expected`; 0 if there is no gap.
pub fn even_gaps(sorted: &[Duration], expected: Duration, tolerance: f64) -> f64 {
    let gaps = sorted.len().saturating_sub(1);
    if gaps == 0 {
        return 0.0;
    }
    // In whole nanoseconds, so that a gap exactly at the tolerance is within it.
    let most = expected.mul_f64(tolerance);
    let even = sorted.windows(2).filter(|pair| (pair[1] - pair[0]).abs_diff(expected) <= most);
    even.count() as f64 / gaps as f64
}

/// The longest time between neighbours; 0 of fewer than two.
pub fn longest_gap(sorted: &[Duration]) -> Duration {
    sorted.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(millis: &[u64]) -> Vec<Duration> {
        millis.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn the_median_is_one_of_the_figures() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0]), 4.0);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn an_interval_excludes_its_end() {
        let second = Duration::from_secs(1);
        assert_eq!(most_within(&moments(&[0, 500, 1000, 1500]), second), 2);
        assert_eq!(most_within(&moments(&[0, 500, 999, 1500]), second), 3);
        assert_eq!(most_within(&moments(&[0, 2000, 2001, 2002, 9000]), second), 3);
        assert_eq!(most_within(&[], second), 0);
    }

    #[test]
    fn a_rate_needs_two_moments() {
        assert_eq!(mean_rate(&moments(&[1000, 1500, 2000])), 2.0);
        assert_eq!(mean_rate(&moments(&[1000])), 0.0);
        assert_eq!(mean_rate(&moments(&[1000, 1000])), 0.0);
    }

    #[test]
    fn gaps_are_even_within_the_tolerance() {
        let gap = Duration::from_millis(100);
        assert_eq!(even_gaps(&moments(&[0, 100, 225, 300, 426]), gap, 0.25), 0.75);
        assert_eq!(even_gaps(&moments(&[0]), gap, 0.25), 0.0);
    }

    #[test]
    fn the_longest_gap_is_between_neighbours() {
        assert_eq!(longest_gap(&moments(&[0, 100, 350, 400])), Duration::from_millis(250));
        assert_eq!(longest_gap(&moments(&[5])), Duration::ZERO);
    }
}
