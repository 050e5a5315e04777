//! Cross-field checks. Each line says what contradicts what, and what to change.

use std::time::Duration;

use secrecy::ExposeSecret;
use shared::{
    domain::{JITTER, longest_course},
    store::Durability,
};

use super::settings::{AtRest, Settings, StoreChoice};
use crate::{arguments::Role, keys, logging, token};

const BODY_LIMITS: std::ops::RangeInclusive<usize> = 1024..=8 * 1024 * 1024;
const SHORTEST_RETENTION: Duration = Duration::from_secs(600);
const LONGEST_RETENTIONS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(3600)..=Duration::from_secs(365 * 86_400);
const SHORTEST_LEASE: Duration = Duration::from_millis(500);
const LONGEST_SCHEDULE: usize = 64;
/// Each has ten series: together less than a megabyte.
const MOST_SHOWN: usize = 1000;
/// As much of a payload as stands in a line.
const MOST_LOGGED: usize = 65_536;
/// Headers that prove who somebody is: never logged.
const PROOFS: [&str; 5] =
    ["authorization", "proxy-authorization", "cookie", "x-api-key", "webhook-signature"];
/// What the end of an attempt is given to reach the store before the process must be gone.
const SETTLE_TIME: Duration = Duration::from_secs(5);

/// Everything that is wrong, for a process that does this.
pub(super) fn contradictions(settings: &Settings, role: Role) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut require = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    process(settings, role, &mut require);
    secrets(settings, &mut require);
    gateway(settings, &mut require);
    dispatcher(settings, &mut require);
    retries_and_lifetimes(settings, &mut require);
    metrics(settings, &mut require);
    log(settings, &mut require);
    traces(settings, &mut require);
    wrong
}

type Require<'a> = dyn FnMut(bool, String) + 'a;

fn process(settings: &Settings, role: Role, require: &mut Require<'_>) {
    let embedded = settings.store == StoreChoice::Embedded;
    require(
        role == Role::AllInOne || !embedded,
        "store = \"embedded\" serves one process only: run `sluicegate` without a subcommand, or \
         give both halves the same `--store redis://…`"
            .into(),
    );
    require(
        !embedded || settings.durability != Durability::Replicated,
        "durability = \"replicated\" needs a store on several machines: use `--store redis://…` or \
         durability = \"disk\""
            .into(),
    );
    let (token, file) = (settings.api_token.expose_secret(), &settings.api_token_file);
    let (has_token, has_file) = (!token.is_empty(), !file.as_os_str().is_empty());
    require(
        !(has_token && has_file),
        "api_token and api_token_file are both set: remove one".into(),
    );
    require(
        role != Role::Gateway || has_token || has_file,
        "a separate gateway needs the API's token, the same for all gateways: set \
         SLUICEGATE_API_TOKEN or api_token_file"
            .into(),
    );
    require(!has_token || token::is_strong(token), format!("api_token {}", token::RULE));
    if let (true, Err(why)) = (has_file, token::read(file)) {
        require(false, why);
    }
    require(
        !role.takes_messages()
            || settings.listen != settings.admin_listen
            || settings.listen.port() == 0,
        format!("listen and admin_listen are both {}: change one", settings.listen),
    );
}

fn secrets(settings: &Settings, require: &mut Require<'_>) {
    let secrets = &settings.secrets;
    let (has_keys, has_file) =
        (!secrets.keys.is_empty(), !secrets.keys_file.as_os_str().is_empty());
    require(
        !(has_keys && has_file),
        "secrets.keys and secrets.keys_file are both set: remove one".into(),
    );
    let plain = secrets.at_rest == AtRest::Plain;
    require(
        !plain || !(has_keys || has_file),
        "secrets.at_rest is \"plain\" and there are keys: remove one of both".into(),
    );
    let embedded = settings.store == StoreChoice::Embedded;
    require(embedded || plain || has_keys || has_file, keys::MISSING.into());
    if let Err(why) = keys::set(settings) {
        require(false, why);
    }
}

fn gateway(settings: &Settings, require: &mut Require<'_>) {
    let gateway = &settings.gateway;
    require(
        BODY_LIMITS.contains(&gateway.body_limit),
        format!(
            "gateway.body_limit is {}: use {} to {}",
            gateway.body_limit,
            BODY_LIMITS.start(),
            BODY_LIMITS.end()
        ),
    );
    require(!gateway.body_deadline.is_zero(), "gateway.body_deadline is zero: raise it".into());
    let public = url::Url::parse(&gateway.public_url);
    require(
        gateway.public_url.is_empty()
            || public.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()),
        "gateway.public_url is no URL of http or https: write it as browsers see it, or leave it empty"
            .into(),
    );
    for origin in &gateway.cors_origins {
        let is_one = url::Url::parse(origin).is_ok_and(|url| {
            url.origin().is_tuple() && url.origin().ascii_serialization() == *origin
        });
        require(
            origin == "*" || is_one,
            format!(
                "gateway.cors_origins: `{origin}` is no origin: write scheme and host only, such as \
                 \"https://app.example.com\", or \"*\""
            ),
        );
    }
    for (place, issuer) in gateway.issuers.iter().enumerate() {
        if let Err(why) = issuer.check() {
            require(false, why);
        }
        let twice = gateway.issuers[..place].iter().any(|other| other.issuer == issuer.issuer);
        require(!twice, format!("gateway.issuers `{}` stands there twice", issuer.issuer));
    }
}

fn dispatcher(settings: &Settings, require: &mut Require<'_>) {
    let dispatcher = &settings.dispatcher;
    require(
        dispatcher.max_body_bytes / 4 >= settings.gateway.body_limit,
        format!(
            "dispatcher.max_body_bytes is {}, less than four times gateway.body_limit ({}): the \
             largest message would not fit into one application's share; raise the first or lower \
             the second",
            dispatcher.max_body_bytes, settings.gateway.body_limit
        ),
    );
    require(dispatcher.max_window > 0, "dispatcher.max_window is 0: use 1 or more".into());
    require(
        dispatcher.max_window <= dispatcher.max_in_flight,
        format!(
            "dispatcher.max_window ({}) is greater than dispatcher.max_in_flight ({}): lower the \
             first or raise the second",
            dispatcher.max_window, dispatcher.max_in_flight
        ),
    );
    require(
        !dispatcher.request_timeout.is_zero(),
        "dispatcher.request_timeout is zero: raise it".into(),
    );
    require(
        settings.shutdown_grace >= dispatcher.request_timeout + SETTLE_TIME,
        format!(
            "shutdown_grace ({:?}) is less than dispatcher.request_timeout ({:?}) and {SETTLE_TIME:?} \
             for writing down how it ended: attempts would be cut off and made again; raise the \
             first or lower the second",
            settings.shutdown_grace, dispatcher.request_timeout
        ),
    );
    require(
        dispatcher.lease_ttl >= SHORTEST_LEASE,
        format!("dispatcher.lease_ttl is less than {SHORTEST_LEASE:?}: raise it"),
    );
    require(
        !dispatcher.lease_renewal.is_zero() && dispatcher.lease_renewal < dispatcher.lease_ttl / 3,
        format!(
            "dispatcher.lease_renewal ({:?}) must be above zero and less than a third of \
             dispatcher.lease_ttl ({:?}), so that one lost renewal costs no lane",
            dispatcher.lease_renewal, dispatcher.lease_ttl
        ),
    );
}

fn metrics(settings: &Settings, require: &mut Require<'_>) {
    let metrics = &settings.metrics;
    for (name, count) in [
        ("worst_endpoints", metrics.worst_endpoints),
        ("pinned_endpoints", metrics.pinned_endpoints.len()),
    ] {
        require(
            count <= MOST_SHOWN,
            format!(
                "metrics.{name}: {count} are more than the {MOST_SHOWN} that a scrape may show"
            ),
        );
    }
}

fn retries_and_lifetimes(settings: &Settings, require: &mut Require<'_>) {
    let lifetimes = settings.lifetimes;
    let schedule = settings.retry_schedule();
    require(
        schedule.len() <= LONGEST_SCHEDULE,
        format!(
            "dispatcher.retry_schedule has {} delays: use at most {LONGEST_SCHEDULE}",
            schedule.len()
        ),
    );
    let longest = longest_course(&schedule, JITTER, settings.dispatcher.request_timeout);
    require(
        lifetimes.message > longest,
        format!(
            "lifetimes.message ({:?}) is not longer than all of dispatcher.retry_schedule with its \
             variation and attempts ({longest:?}): the last retries would find nothing to send; \
             raise the first or shorten the second",
            lifetimes.message
        ),
    );
    require(
        lifetimes.retention >= SHORTEST_RETENTION,
        format!(
            "lifetimes.retention ({:?}) is less than {SHORTEST_RETENTION:?}: a repeated request \
             would not find its message; raise it",
            lifetimes.retention
        ),
    );
    require(
        LONGEST_RETENTIONS.contains(&lifetimes.longest_retention),
        format!(
            "lifetimes.longest_retention ({:?}) must be from an hour to 365 days",
            lifetimes.longest_retention
        ),
    );
    require(
        lifetimes.history >= lifetimes.retention,
        format!(
            "lifetimes.history ({:?}) is less than lifetimes.retention ({:?}): messages would leave \
             the lists before they are gone; raise the first or lower the second",
            lifetimes.history, lifetimes.retention
        ),
    );
}

fn log(settings: &Settings, require: &mut Require<'_>) {
    let log = &settings.log;
    require(
        logging::filter(&log.level).is_ok(),
        "log.level cannot be read: use error, warn, info, debug, trace, or filters such as \
         \"info,dispatcher=debug\""
            .into(),
    );
    for header in &log.headers {
        let is_name = header.parse::<reqwest::header::HeaderName>().is_ok();
        require(is_name, format!("log.headers: `{header}` is no name of a header: remove it"));
        let proves = PROOFS.iter().any(|proof| header.eq_ignore_ascii_case(proof));
        require(
            !proves,
            format!(
                "log.headers: `{header}` proves who somebody is and is never logged: remove it"
            ),
        );
    }
    require(
        log.payload_bytes <= MOST_LOGGED,
        format!("log.payload_bytes is {}: use 0 to {MOST_LOGGED}", log.payload_bytes),
    );
}

fn traces(settings: &Settings, require: &mut Require<'_>) {
    if let Err(why) = settings.traces.check() {
        require(false, why);
    }
}
