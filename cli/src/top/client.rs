//! Asks dispatchers for their destinations.

use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use reqwest::{Client, StatusCode};
use url::Url;

use super::board::{Board, Page, Sort};
use crate::{
    arguments::{Role, TopFlags},
    client::local,
    config::Config,
    exit::{Failure, Result},
};

/// How long a dispatcher may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Those that are asked.
#[derive(Debug)]
pub(super) struct Dispatchers {
    client: Client,
    urls: Vec<Url>,
    limit: usize,
}

impl Dispatchers {
    /// Those of the flags, or the one on this machine.
    pub(super) fn find(flags: &TopFlags) -> Result<Self> {
        let mut urls = flags.url.clone();
        if urls.is_empty() {
            let settings = Config::load(&flags.flags, Role::AllInOne)?.settings;
            urls.push(local(settings.admin_listen)?);
        }
        for url in &urls {
            if url.cannot_be_a_base() || !matches!(url.scheme(), "http" | "https") {
                let what =
                    format!("--url {url}: expected http://HOST:PORT, a dispatcher's admin address");
                return Err(Failure::config(what));
            }
        }
        let client = Client::builder().timeout(PATIENCE).build().context("no HTTP client")?;
        Ok(Self { client, urls, limit: flags.limit.into() })
    }

    /// Asks all of them at once.
    pub(super) async fn ask(&self, sort: Sort) -> Board {
        let asked = self.urls.iter().map(|url| async { (shown(url), self.page(url, sort).await) });
        Board::of(join_all(asked).await, sort, self.limit)
    }

    async fn page(&self, url: &Url, sort: Sort) -> std::result::Result<Page, String> {
        let base = url.as_str().trim_end_matches('/');
        let asked = format!("{base}/destinations?sort={}&limit={}", sort.name(), self.limit);
        let answer = self.client.get(asked).send().await.map_err(|error| unanswered(&error))?;
        match answer.status() {
            StatusCode::OK => answer.json().await.map_err(|error| {
                format!("its answer cannot be read, is it another version? {}", unanswered(&error))
            }),
            StatusCode::NOT_FOUND => {
                Err("it delivers nothing: name the admin address of a dispatcher".to_owned())
            }
            status => Err(format!("it answers {status}")),
        }
    }
}

/// What is inside says why; the outer text repeats the URL only.
fn unanswered(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match error.is_timeout() {
        true => format!("no answer within {PATIENCE:?}"),
        false => cause.to_string(),
    }
}

/// The URL as people may see it.
fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.password().is_some() && shown.set_password(Some("***")).is_err() {
        return format!("{}://***", url.scheme());
    }
    shown.into()
}
