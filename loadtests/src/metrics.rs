//! The metrics of a process, as its admin address shows them at one moment.

use anyhow::Context;

/// All samples of one answer.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: Vec<(String, f64)>,
}

impl Metrics {
    /// Asks the process whose metrics are at `url`.
    pub async fn fetch(url: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client.get(url).send().await?.error_for_status()?;
        Self::parse(&answer.text().await?)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').context("a sample without a value")?;
            Ok((name.to_owned(), value.parse()?))
        });
        Ok(Self { samples: samples.collect::<anyhow::Result<_>>()? })
    }

    /// The sum over all labels of a metric; 0 if there is none.
    pub fn sum(&self, name: &str) -> f64 {
        self.sum_where(name, "")
    }

    /// The sum over those samples of a metric whose labels contain this text, such as
    /// `kind="fenced"`.
    pub fn sum_where(&self, name: &str, label: &str) -> f64 {
        let of = self.samples.iter().filter(|(sample, _)| {
            let labels = sample.strip_prefix(name);
            labels.is_some_and(|labels| {
                (labels.is_empty() || labels.starts_with('{')) && labels.contains(label)
            })
        });
        // The sum of no floats is -0.
        of.fold(0.0, |sum, (_, value)| sum + value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_name_and_label() {
        let text =
            "# HELP a b\na_total{kind=\"x\"} 1\na_total{kind=\"y\"} 2\na_total_more 4\nb 8.5\n";
        let metrics = Metrics::parse(text).unwrap();
        assert_eq!(metrics.sum("a_total"), 3.0);
        assert_eq!(metrics.sum_where("a_total", "kind=\"y\""), 2.0);
        assert_eq!(metrics.sum("b"), 8.5);
        assert!(metrics.sum("c").is_sign_positive());
        assert!(Metrics::parse("a x").is_err());
    }
}
