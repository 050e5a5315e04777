//! The applications and endpoints of a description, created through the API.

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use crate::{
    api::Api,
    description::{Description, REFUSED, Subscribe},
    ledger::Destinations,
    redis_server::free_port,
    sender::Record,
    signatures::{Signatures, new_secret},
};

/// Calls of the API under way at a time.
const CALLS: usize = 16;

/// What was created. Endpoints have numbers from 0, those of one application in a row.
#[derive(Debug)]
pub(super) struct Registered {
    /// Ids in the order in which the sender takes turns.
    pub(super) applications: Vec<String>,
    /// Which behaviour each endpoint has.
    behaviours: Vec<usize>,
    /// Path and query of each endpoint at the sink; none where nothing arrives in the end.
    paths: Vec<Option<String>>,
    per_application: usize,
    subscribe: Subscribe,
}

impl Registered {
    /// Creates all of it. Endpoints are at `sink`, the URL that the server reaches it by; `done` is
    /// told of each that was created. The secrets are those that the sink must see used, if it
    /// verifies signatures.
    pub(super) async fn create(
        api: &Api,
        description: &Description,
        sink: &str,
        done: impl Fn(),
    ) -> anyhow::Result<(Self, Signatures)> {
        let closed = free_port()?;
        let applications = (0..description.applications)
            .map(|number| async move { api.create_application(&format!("load {number}")).await });
        let applications: Vec<String> =
            stream::iter(applications).buffered(CALLS).try_collect().await?;
        let behaviours = description.behaviour_of_each();
        let endpoints = &description.endpoints;
        let mut signatures = Signatures::default();
        let mut paths = Vec::with_capacity(behaviours.len());
        let mut calls = Vec::with_capacity(behaviours.len());
        for (number, behaviour) in behaviours.iter().enumerate() {
            let behaving = &endpoints.behaviours[*behaviour];
            let path = format!("{}?{number}", behaving.path);
            let url = match behaving.path.as_str() {
                REFUSED => format!("http://127.0.0.1:{closed}/?{number}"),
                _ => format!("{sink}{path}"),
            };
            let mut endpoint = json!({ "url": url });
            if endpoints.subscribe == Subscribe::One {
                endpoint["channels"] = json!([format!("c{}", number % endpoints.per_application)]);
            }
            if let Some(limit) = behaving.rate_limit {
                endpoint["rateLimit"] = limit.into();
            }
            if behaving.ordered {
                endpoint["sluicegate"] = json!({ "ordering": { "by": "endpoint" } });
            }
            if description.verify_signatures {
                let secret = new_secret();
                signatures.expect(&path, &secret)?;
                endpoint["secret"] = secret.into();
            }
            paths.push(behaving.delivers().then_some(path));
            calls.push((&applications[number / endpoints.per_application], endpoint));
        }
        let done = &done;
        let calls = calls.into_iter().map(|(application, endpoint)| async move {
            api.create_endpoint_with(application, &endpoint).await.context("an endpoint")?;
            done();
            anyhow::Ok(())
        });
        stream::iter(calls).buffer_unordered(CALLS).try_collect::<()>().await?;
        let (per_application, subscribe) = (endpoints.per_application, endpoints.subscribe);
        Ok((Self { applications, behaviours, paths, per_application, subscribe }, signatures))
    }

    /// The behaviour of the endpoint with this path and query at the sink; none if there is no such
    /// endpoint.
    pub(super) fn behaviour_at(&self, path: &str) -> Option<usize> {
        let (_, number) = path.rsplit_once('?')?;
        self.behaviours.get(number.parse::<usize>().ok()?).copied()
    }

    /// How many deliveries of a message must arrive.
    pub(super) fn due(&self, record: &Record) -> usize {
        self.paths_of(record.application, record.channel).count()
    }

    fn paths_of(&self, application: usize, channel: Option<u64>) -> impl Iterator<Item = &String> {
        let first = application * self.per_application;
        let numbers = match channel {
            Some(channel) => first + channel as usize..first + channel as usize + 1,
            None => first..first + self.per_application,
        };
        self.paths[numbers].iter().flatten()
    }

    /// Channels of each application; 0 if all endpoints subscribe to everything.
    pub(super) fn channels(&self) -> u64 {
        match self.subscribe {
            Subscribe::All => 0,
            Subscribe::One => self.per_application as u64,
        }
    }

    /// The name under which [`destinations`](Self::destinations) has those of a message.
    pub(super) fn audience(&self, record: &Record) -> String {
        self.name(record.application, record.channel)
    }

    fn name(&self, application: usize, channel: Option<u64>) -> String {
        let application = &self.applications[application];
        channel.map_or_else(|| application.clone(), |channel| format!("{application} c{channel}"))
    }

    /// Where messages must arrive.
    pub(super) fn destinations(&self) -> Destinations {
        let channels: Vec<Option<u64>> = match self.subscribe {
            Subscribe::All => vec![None],
            Subscribe::One => (0..self.channels()).map(Some).collect(),
        };
        let mut destinations = Destinations::new();
        for application in 0..self.applications.len() {
            for channel in &channels {
                let paths = self.paths_of(application, *channel).cloned().collect();
                destinations.insert(self.name(application, *channel), paths);
            }
        }
        destinations
    }
}
