//! What a message may ask for beyond the ordinary: when it is delivered, until when, with which
//! headers, and how long its payload is kept. What the compatible API has no name for stands in the
//! object `sluicegate`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use shared::{
    domain::MessageHeader,
    time::{Millis, parse_duration},
};

use super::{
    endpoint_headers::{self, Headers},
    openapi::{Span, Time},
};
use crate::{
    ingest::Faults,
    publish::{Expiry, Wishes},
};

const FIELD: &str = "sluicegate";
/// How far from now, either way, a delivery may be scheduled. What lies behind is due at once; what
/// lies further behind is a mistake.
const MOST_AWAY: Duration = Duration::from_secs(24 * 3600);
const SHORTEST_TTL: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Settings of a message. A name that is not known is a fault.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MessageSettingsIn {
    /// Sent with each attempt.
    headers: Option<Headers>,
    /// No attempt starts later.
    #[schemars(with = "Option<Time>")]
    expires_at: Option<String>,
    /// The same as a duration. Give one of them.
    #[schemars(with = "Option<Span>")]
    ttl: Option<String>,
    /// As the header `Idempotency-Key`, for messages that come with others.
    pub(super) idempotency_key: Option<String>,
}

/// Compatible names of what is not in the payload.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TransformationsParams")]
pub(super) struct Transformations {
    // Known, so that it can be refused.
    #[schemars(skip)]
    raw_payload: Option<IgnoredAny>,
    /// The compatible name of headers.
    headers: Option<Headers>,
}

/// All fields of a message that say what it asks for.
#[derive(Clone, Copy)]
pub(super) struct WishesIn<'a> {
    pub(super) deliver_at: Option<&'a str>,
    pub(super) payload_retention_hours: Option<u32>,
    /// The same in days.
    pub(super) payload_retention_period: Option<u32>,
    pub(super) transformations_params: Option<&'a Transformations>,
    pub(super) sluicegate: Option<&'a MessageSettingsIn>,
}

impl WishesIn<'_> {
    /// Reads them; what is wrong is added to the faults.
    pub(super) fn read(&self, longest_retention: Duration, faults: &mut Faults) -> Wishes {
        let now = Millis::now();
        let deliver_at = self.deliver_at(now, faults);
        Wishes {
            deliver_at,
            expiry: self.expiry(deliver_at.unwrap_or(now).max(now), faults),
            headers: self.headers(faults),
            retention: self.retention(longest_retention, faults),
            ..Wishes::default()
        }
    }

    fn deliver_at(&self, now: Millis, faults: &mut Faults) -> Option<Millis> {
        let text = self.deliver_at?;
        let time = Millis::parse(text);
        match time {
            None => faults.add("deliverAt", "expected an RFC 3339 time"),
            Some(time) if time.since(now).max(now.since(time)) > MOST_AWAY => {
                faults.add("deliverAt", "more than 24 hours away");
            }
            Some(_) => {}
        }
        time
    }

    fn expiry(&self, due: Millis, faults: &mut Faults) -> Option<Expiry> {
        let settings = self.sluicegate?;
        match (&settings.expires_at, &settings.ttl) {
            (None, None) => None,
            (Some(_), Some(_)) => {
                faults.add(FIELD, "give either expiresAt or ttl");
                None
            }
            (Some(text), None) => {
                let time = Millis::parse(text).filter(|time| *time > due);
                if time.is_none() {
                    faults.add(FIELD, "expiresAt must be an RFC 3339 time after the delivery's");
                }
                time.map(Expiry::At)
            }
            (None, Some(text)) => {
                let ttl = parse_duration(text).filter(|ttl| *ttl >= SHORTEST_TTL);
                let ttl = ttl.filter(|ttl| Millis::now().after(*ttl) > due);
                if ttl.is_none() {
                    faults.add(
                        FIELD,
                        "ttl must be a duration such as 30m, at least 1s, that ends after deliverAt",
                    );
                }
                ttl.map(Expiry::After)
            }
        }
    }

    fn headers(&self, faults: &mut Faults) -> Headers {
        let ours = self.sluicegate.and_then(|settings| settings.headers.as_ref());
        let params = self.transformations_params;
        if params.is_some_and(|params| params.raw_payload.is_some()) {
            faults.add("transformationsParams", "rawPayload is not supported: give a payload");
        }
        let theirs = params.and_then(|params| params.headers.as_ref());
        for (field, headers) in [(FIELD, ours), ("transformationsParams", theirs)] {
            if let Some(headers) = headers {
                endpoint_headers::check(headers, field, faults);
            }
        }
        if ours.is_some() && theirs.is_some() {
            faults.add(FIELD, "give headers here or in transformationsParams");
        }
        ours.or(theirs).cloned().unwrap_or_default()
    }

    fn retention(&self, longest: Duration, faults: &mut Faults) -> Option<Duration> {
        let (field, retention) = match (self.payload_retention_hours, self.payload_retention_period)
        {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                faults.add("payloadRetentionHours", "give either hours or a period");
                return None;
            }
            (Some(hours), None) => ("payloadRetentionHours", HOUR * hours),
            (None, Some(days)) => ("payloadRetentionPeriod", 24 * HOUR * days),
        };
        if retention.is_zero() || retention > longest {
            let most = longest.as_secs() / HOUR.as_secs();
            faults.add(field, format!("must be from 1 hour to {most} hours, as it is configured"));
        }
        Some(retention)
    }
}

/// Settings of a message. Headers are not shown: they may hold secrets.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageSettingsOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    expunged: bool,
}

impl MessageSettingsOut {
    pub(super) fn of(header: &MessageHeader) -> Option<Self> {
        let options = &header.options;
        let expires_at = options.expires_at.map(Millis::rfc3339);
        let expunged = options.expunged;
        (expires_at.is_some() || expunged).then_some(Self { expires_at, expunged })
    }
}
