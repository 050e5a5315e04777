//! Section `traces`.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

/// Where OTLP over HTTP has its traces.
const PATH: &str = "/v1/traces";

/// What is recorded, where it goes, and whom it is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TraceSettings {
    /// Empty where nothing is exported.
    endpoint: String,
    headers: Vec<SecretString>,
    pub(crate) sample_ratio: f64,
    pub(crate) service_name: String,
    attributes: Vec<String>,
    pub(crate) queue: usize,
    pub(crate) accept: bool,
    pub(crate) send: bool,
}

impl TraceSettings {
    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        if !self.endpoint.is_empty() {
            let url = Url::parse(&self.endpoint).ok().filter(|url| {
                matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
            });
            let url = url.ok_or(
                "traces.endpoint is no base URL of http or https: write it such as \
                 \"http://127.0.0.1:4318\", or leave it empty",
            )?;
            if !url.username().is_empty() || url.password().is_some() {
                return Err(
                    "traces.endpoint holds a user or password: put what the collector wants \
                            to know who sends into traces.headers"
                        .into(),
                );
            }
            if url.path().trim_end_matches('/').ends_with(PATH) {
                return Err(format!(
                    "traces.endpoint ends with {PATH}, which is added: write the base URL only"
                ));
            }
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(format!("traces.sample_ratio is {}: use 0.0 to 1.0", self.sample_ratio));
        }
        if !(1..=1_000_000).contains(&self.queue) {
            return Err(format!("traces.queue is {}: use 1 to 1000000", self.queue));
        }
        // Neither is shown: they may be secrets.
        if let Some(place) = self.headers.iter().position(|text| header(text).is_none()) {
            return Err(format!("traces.headers: number {} is not name=value", place + 1));
        }
        if let Some(place) = self.attributes.iter().position(|text| pair(text).is_none()) {
            return Err(format!("traces.attributes: number {} is not name=value", place + 1));
        }
        Ok(())
    }

    /// Where batches go; `None`: nowhere.
    pub(crate) fn url(&self) -> Option<Url> {
        let base = self.endpoint.trim_end_matches('/');
        (!base.is_empty()).then(|| format!("{base}{PATH}").parse().ok()).flatten()
    }

    /// What goes with each batch.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.headers.iter().filter_map(header).collect()
    }

    /// What the collector is to know of this installation.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (String, String)> {
        let pairs = self.attributes.iter().filter_map(|text| pair(text));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}

fn header(text: &SecretString) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = pair(text.expose_secret())?;
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some((name.parse().ok()?, value))
}

fn pair(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    (!name.is_empty()).then_some((name, value.trim()))
}
