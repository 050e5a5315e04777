//! Keys of secrets and the API's token: there, private, and those that open what is stored.

use std::{collections::BTreeSet, ops::ControlFlow};

use shared::{sealing::KeyRing, store::SharedStore, time::Millis};

use super::finding::{Finding, Findings};
use crate::{
    config::{AtRest, Settings},
    endpoints,
    exit::Failure,
    keys, private,
};

/// Endpoints that are looked at: more would take long and say little.
const MOST: usize = 10_000;
/// Hosts of theirs that are looked up.
const HOSTS: usize = 10;

/// Checks them; answers hosts to which deliveries go.
pub(super) async fn check(
    settings: &Settings,
    store: Option<&SharedStore>,
    findings: &mut Findings,
) -> Vec<String> {
    let check = "secrets";
    for path in [&settings.secrets.keys_file, &settings.api_token_file] {
        if !path.as_os_str().is_empty()
            && let Err(failure) = private::check(path)
        {
            // Containers mount such files readable for all: a server takes them.
            if let Failure::Config(wrong) = failure {
                findings.add(Finding::warning(check, wrong.join("; "), ""));
            }
        }
    }
    let found = match keys::find(settings) {
        Ok(found) => found,
        Err(failure) => {
            findings.fail_each(check, &failure);
            return Vec::new();
        }
    };
    let has_keys = found.is_some();
    let ring = match found {
        Some(keys) => {
            findings.add(match settings.secrets.at_rest {
                AtRest::Encrypted => Finding::ok(check, keys.told),
                AtRest::Plain => {
                    Finding::warning(check, keys.told, "set secrets.at_rest to \"encrypted\"")
                }
            });
            keys.ring
        }
        None => {
            findings.add(Finding::ok(check, "a key will be made at start".to_owned()));
            KeyRing::default()
        }
    };
    let stored = match store {
        Some(store) => look(store, &ring).await,
        None => Ok(Stored::default()),
    };
    match stored {
        Ok(stored) => {
            findings.add(stored.judge(has_keys, store.is_some()));
            stored.hosts.into_iter().collect()
        }
        Err(error) => {
            findings.fail_each("secrets.stored", &Failure::from(error));
            Vec::new()
        }
    }
}

/// What is stored of endpoints.
#[derive(Debug, Default)]
struct Stored {
    endpoints: usize,
    /// Those whose secrets or headers cannot be opened.
    closed: usize,
    /// Why the first of them cannot.
    why: Option<String>,
    hosts: BTreeSet<String>,
}

async fn look(store: &SharedStore, ring: &KeyRing) -> shared::store::Result<Stored> {
    let (mut stored, now) = (Stored::default(), Millis::now());
    endpoints::each(store, |app, endpoint| {
        stored.endpoints += 1;
        if let Err(error) = endpoint.confidential(app, ring, now) {
            stored.closed += 1;
            stored.why.get_or_insert_with(|| format!("{app} {}: {error}", endpoint.id));
        }
        if let Some(host) = url::Url::parse(&endpoint.url).ok().as_ref().and_then(url::Url::domain)
            && stored.hosts.len() < HOSTS
        {
            stored.hosts.insert(host.to_owned());
        }
        match stored.endpoints < MOST {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })
    .await?;
    Ok(stored)
}

impl Stored {
    fn judge(&self, has_keys: bool, was_read: bool) -> Finding {
        let check = "secrets.stored";
        let Self { endpoints, closed, why, .. } = self;
        match why {
            Some(why) => {
                let found =
                    format!("{closed} of {endpoints} endpoints cannot be opened, the first: {why}");
                let todo = if has_keys {
                    "until then nothing is delivered to them"
                } else {
                    "bring the data directory's key file back from a backup; a server refuses to start"
                };
                Finding::failed(check, found, todo)
            }
            None if !was_read => {
                Finding::ok(check, "not looked at: the store was not opened".to_owned())
            }
            None if *endpoints == MOST => {
                Finding::ok(check, format!("the first {endpoints} endpoints can be opened"))
            }
            None => Finding::ok(check, format!("all {endpoints} endpoints can be opened")),
        }
    }
}
