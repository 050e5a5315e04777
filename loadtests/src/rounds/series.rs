//! Rounds of several forms in turns, and what their figures say of each other.
//!
//! A machine drifts between minutes, so only neighbours are compared: each form once is a *pair*, the
//! order in it alternates, and a ratio is the median of the ratios within the pairs.

use serde::Serialize;

use crate::intervals::median;

/// The two forms that most comparisons have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The least that the machine, the libraries and the store can do.
    Floor,
    /// The system under test.
    Sluicegate,
}

/// One round of one form.
#[derive(Debug, Clone, Serialize)]
struct Taken<K, F> {
    form: K,
    figures: F,
}

/// All rounds, in the order in which they were made.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Series<K, F> {
    rounds: Vec<Taken<K, F>>,
}

impl<K: Copy + PartialEq, F> Series<K, F> {
    /// Makes so many rounds of each form.
    pub async fn take(
        pairs: usize,
        forms: &[K],
        mut round: impl AsyncFnMut(K) -> anyhow::Result<F>,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(pairs > 0, "nothing is measured without a pair");
        let mut rounds = Vec::with_capacity(pairs * forms.len());
        for pair in 0..pairs {
            for form in turn(forms, pair) {
                rounds.push(Taken { form, figures: round(form).await? });
            }
        }
        Ok(Self { rounds })
    }

    /// The rounds of one form.
    pub fn of(&self, form: K) -> impl Iterator<Item = &F> {
        self.rounds.iter().filter(move |taken| taken.form == form).map(|taken| &taken.figures)
    }

    /// The median of a figure of one form.
    pub fn median(&self, form: K, figure: impl Fn(&F) -> f64) -> f64 {
        median(self.of(form).map(figure))
    }

    /// The median, over the pairs, of a figure of `form` ÷ that of `other`.
    pub fn ratio(&self, form: K, other: K, figure: impl Fn(&F) -> f64) -> f64 {
        median(self.of(form).zip(self.of(other)).map(|(one, other)| figure(one) / figure(other)))
    }
}

/// The forms in the order of a pair: forwards and backwards in turn, so that none always follows the
/// same one.
fn turn<K: Copy>(forms: &[K], pair: usize) -> Vec<K> {
    let mut order = forms.to_vec();
    if !pair.is_multiple_of(2) {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pairs_alternate_and_ratios_are_of_neighbours() {
        use Side::{Floor, Sluicegate};
        // The machine becomes twice as slow for the second pair, which no ratio may show.
        let mut figures = [100.0, 80.0, 35.0, 50.0, 100.0, 90.0].into_iter();
        let mut order = Vec::new();
        let series = Series::take(3, &[Floor, Sluicegate], async |side| {
            order.push(side);
            Ok(figures.next().unwrap())
        })
        .await
        .unwrap();
        assert_eq!(order, [Floor, Sluicegate, Sluicegate, Floor, Floor, Sluicegate]);
        assert_eq!(series.of(Sluicegate).copied().collect::<Vec<_>>(), [80.0, 35.0, 90.0]);
        assert_eq!(series.median(Floor, |figure| *figure), 100.0);
        assert_eq!(series.ratio(Sluicegate, Floor, |figure| *figure), 0.8);
        let none = Series::take(0, &[Floor], async |_| Ok(1.0)).await;
        assert!(none.is_err());
    }

    #[test]
    fn three_forms_go_forwards_and_backwards() {
        assert_eq!(turn(&[1, 2, 3], 0), [1, 2, 3]);
        assert_eq!(turn(&[1, 2, 3], 1), [3, 2, 1]);
    }
}
