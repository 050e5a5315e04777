//! Operational events: what happens to endpoints and their messages, told to the operator.
//!
//! They are ordinary messages of one reserved application, whose endpoints the operator manages: the
//! same engine delivers them, with the same guarantees from there on. What happens there itself is never
//! told, so nothing goes in circles. An event is told at most once: its key names the occurrence, and who
//! crashes between an occurrence and its publication has not told it.

mod bulletin;

pub use bulletin::Bulletin;
use serde_json::{Map, Value, json};

use crate::{
    domain::{Application, Attempt, Delivery, Destination, DisabledReason, Endpoint},
    id::AppId,
    time::Millis,
};

/// The reserved application: no other has this id, because it would have been made in 1970.
pub const APPLICATION: AppId = AppId::from_bits(0);

/// A message of which so many attempts have failed is *failing*.
pub const FAILING_AFTER: u32 = 4;

/// Something that happened to an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Occurrence {
    /// Which endpoint.
    pub destination: Destination,
    /// When.
    pub at: Millis,
    /// Its first failure after its last success, where that is known.
    pub failing_since: Option<Millis>,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// It was disabled.
    Disabled(DisabledReason),
    /// It was enabled again.
    Enabled,
    /// Its circuit breaker opened.
    BreakerOpened,
    /// Its circuit breaker closed again.
    BreakerClosed,
    /// A delivery to it was given up after this attempt.
    Exhausted(Delivery, Last),
    /// [`FAILING_AFTER`] attempts of a delivery have failed.
    Failing(Delivery, Last),
    /// A delivery that was failing has arrived.
    Recovered(Delivery, Last),
}

/// What is told of the last attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Last {
    id: String,
    status: u16,
    at: Millis,
}

impl From<&Attempt> for Last {
    fn from(attempt: &Attempt) -> Self {
        Self { id: attempt.id.to_string(), status: attempt.code, at: attempt.at }
    }
}

/// What the operator knows those by to which it happened.
#[derive(Debug, Default)]
struct Names<'a> {
    application: Option<&'a Application>,
    endpoint: Option<&'a Endpoint>,
    event_id: Option<String>,
}

impl What {
    /// The event type.
    const fn name(&self) -> &'static str {
        match self {
            Self::Disabled(_) => "endpoint.disabled",
            Self::Enabled => "endpoint.enabled",
            Self::BreakerOpened => "endpoint.breaker.opened",
            Self::BreakerClosed => "endpoint.breaker.closed",
            Self::Exhausted(..) => "message.attempt.exhausted",
            Self::Failing(..) => "message.attempt.failing",
            Self::Recovered(..) => "message.attempt.recovered",
        }
    }

    const fn delivery(&self) -> Option<(&Delivery, &Last)> {
        match self {
            Self::Disabled(_) | Self::Enabled | Self::BreakerOpened | Self::BreakerClosed => None,
            Self::Exhausted(delivery, last)
            | Self::Failing(delivery, last)
            | Self::Recovered(delivery, last) => Some((delivery, last)),
        }
    }
}

impl Occurrence {
    /// The key under which it is published: the same for whoever tells of the same occurrence.
    fn key(&self) -> String {
        let (name, endpoint) = (self.what.name(), self.destination.endpoint.bare());
        match self.what.delivery() {
            Some((delivery, _)) => format!("o:{name}:{endpoint}:{}", delivery.member()),
            None => format!("o:{name}:{endpoint}:{}", self.at.0),
        }
    }

    /// The payload. Names and fields are those of Svix's operational webhooks, as its SDKs read them
    /// (`EndpointDisabledEventData`, `MessageAttemptExhaustedEventData`, …); what is ours stands in
    /// `sluicegate`.
    fn payload(&self, names: &Names<'_>) -> Value {
        let mut data = Map::new();
        let mut put = |name: &str, value: Value| _ = data.insert(name.to_owned(), value);
        put("appId", json!(self.destination.app));
        if let Some(uid) = names.application.and_then(|application| application.uid.as_ref()) {
            put("appUid", json!(uid));
        }
        put("endpointId", json!(self.destination.endpoint));
        if let Some((delivery, last)) = self.what.delivery() {
            put("msgId", json!(delivery.message));
            if let Some(event_id) = &names.event_id {
                put("msgEventId", json!(event_id));
            }
            put(
                "lastAttempt",
                json!({
                    "id": last.id, "responseStatusCode": last.status, "timestamp": last.at.rfc3339(),
                }),
            );
        } else if let Some(uid) = names.endpoint.and_then(|endpoint| endpoint.uid.as_ref()) {
            put("endpointUid", json!(uid));
        }
        if let What::Disabled(reason) = self.what {
            let trigger = match reason {
                DisabledReason::Operator => "manual",
                DisabledReason::Gone | DisabledReason::Failing => "automatic",
            };
            put("trigger", json!(trigger));
            put("sluicegate", json!({"reason": reason.name()}));
        }
        if let Some(since) = self.failing_since {
            put("failSince", json!(since.rfc3339()));
        }
        json!({"type": self.what.name(), "data": data})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Generation, Strand},
        id::{EndpointId, MessageId},
    };

    fn occurrence(what: What) -> Occurrence {
        let destination = Destination { app: AppId::new(), endpoint: EndpointId::new() };
        Occurrence { destination, at: Millis(1), failing_since: None, what }
    }

    #[test]
    fn payloads_have_the_fields_that_sdks_require() {
        let last = Last { id: "atmpt_1".into(), status: 500, at: Millis(0) };
        let destination = occurrence(What::Enabled).destination;
        let delivery = Delivery {
            app: destination.app,
            endpoint: destination.endpoint,
            strand: Strand::Live,
            message: MessageId::new(),
            generation: Generation(0),
        };
        let occurrence = Occurrence { destination, ..occurrence(What::Exhausted(delivery, last)) };
        let names = Names { event_id: Some("order-1".into()), ..Names::default() };
        assert_eq!(
            occurrence.payload(&names),
            json!({"type": "message.attempt.exhausted", "data": {
                "appId": destination.app, "endpointId": destination.endpoint,
                "msgId": delivery.message, "msgEventId": "order-1",
                "lastAttempt": {
                    "id": "atmpt_1", "responseStatusCode": 500,
                    "timestamp": "1970-01-01T00:00:00.000Z",
                },
            }})
        );
    }

    #[test]
    fn an_endpoint_says_why_it_is_disabled_and_since_when_it_failed() {
        let mut occurrence = occurrence(What::Disabled(DisabledReason::Failing));
        occurrence.failing_since = Some(Millis(0));
        let payload = occurrence.payload(&Names::default());
        assert_eq!(payload["type"], "endpoint.disabled");
        assert_eq!(payload["data"]["trigger"], "automatic");
        assert_eq!(payload["data"]["sluicegate"]["reason"], "failing");
        assert_eq!(payload["data"]["failSince"], "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn an_occurrence_has_one_key() {
        let first = occurrence(What::BreakerOpened);
        let later = Occurrence { at: Millis(2), ..first.clone() };
        let other = Occurrence { what: What::BreakerClosed, ..first.clone() };
        assert_eq!(first.key(), first.clone().key());
        assert!(first.key() != later.key() && first.key() != other.key());
        assert!(first.key().len() < 128 && first.key().bytes().all(|byte| byte.is_ascii_graphic()));
    }
}
