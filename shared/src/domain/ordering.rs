//! Ordering: that an endpoint gets its messages one after the other.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::{ORDERED_STRANDS, Payload, Strand};

/// The object `ordering` of an endpoint. It is applied when a message is published: a change holds for
/// messages from then on, and what waits already stays in the strand that it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ordering {
    /// Among which messages there is an order.
    #[serde(flatten)]
    pub by: OrderBy,
    /// What becomes of a message that fails again and again. Where it is not given, the retry schedule
    /// decides: at its end the message is a dead letter, and the next one comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poison: Option<Poison>,
}

/// Among which messages there is an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "camelCase")]
pub enum OrderBy {
    /// All.
    Endpoint,
    /// Those with the same value at a place of their payloads. Values share [`ORDERED_STRANDS`] queues
    /// by their hash, so now and then one waits for another.
    Key {
        /// The place: a JSON pointer (RFC 6901).
        pointer: String,
    },
}

/// What becomes of a message that blocks those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Poison {
    /// After so many attempts it is a dead letter.
    DeadLetterAfter(NonZeroU32),
    /// It is tried on at the last delay of the schedule, until it arrives or expires.
    Block,
}

/// The text of a string, number or boolean at a place.
fn text_at(payload: &Payload<'_>, pointer: &str) -> Option<String> {
    match payload.value()?.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        scalar @ (Value::Number(_) | Value::Bool(_)) => Some(scalar.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Ordering {
    /// The strand of a message: the first one if all are in one order or if there is no string, number
    /// or boolean at the pointer's place; else xxh3-64 of its text, modulo [`ORDERED_STRANDS`].
    pub fn strand(&self, payload: &Payload<'_>) -> Strand {
        let key = match &self.by {
            OrderBy::Endpoint => None,
            OrderBy::Key { pointer } => text_at(payload, pointer),
        };
        let hash = key.map_or(0, |key| xxh3_64(key.as_bytes()));
        Strand::Ordered((hash % u64::from(ORDERED_STRANDS)) as u8)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn by_key(pointer: &str) -> Ordering {
        Ordering { by: OrderBy::Key { pointer: pointer.into() }, poison: None }
    }

    fn strand(ordering: &Ordering, payload: Value) -> Strand {
        let payload = payload.to_string();
        ordering.strand(&Payload::new(payload.as_bytes()))
    }

    #[test]
    fn records_round_trip() {
        for record in [
            json!({"by": "endpoint"}),
            json!({"by": "endpoint", "poison": "block"}),
            json!({"by": "key", "pointer": "/a", "poison": {"deadLetterAfter": 3}}),
        ] {
            let ordering: Ordering = serde_json::from_value(record.clone()).unwrap();
            assert_eq!(serde_json::to_value(&ordering).unwrap(), record);
        }
    }

    #[test]
    fn equal_values_share_a_strand_and_many_spread_over_all() {
        let ordering = by_key("/customer/id");
        let of = |id: Value| strand(&ordering, json!({"customer": {"id": id}, "other": 1}));
        assert_eq!(of(json!("7")), strand(&ordering, json!({"customer": {"id": "7"}})));
        assert_eq!(of(json!("7")), of(json!(7)), "it is the text that counts");
        let used: BTreeSet<_> = (0..2000).map(|id| of(json!(id))).collect();
        assert_eq!(used.len(), usize::from(ORDERED_STRANDS));
    }

    #[test]
    fn the_hash_is_fixed() {
        // What waits in the store was placed by it.
        assert_eq!(strand(&by_key("/k"), json!({"k": "customer-1"})), Strand::Ordered(KEPT));
    }

    #[test]
    fn what_has_no_key_is_in_the_first_strand() {
        let all = Ordering { by: OrderBy::Endpoint, poison: None };
        assert_eq!(strand(&all, json!({"k": "customer-1"})), Strand::Ordered(0));
        for payload in [json!({}), json!({"k": null}), json!({"k": [1]}), json!({"k": {"a": 1}})] {
            assert_eq!(strand(&by_key("/k"), payload), Strand::Ordered(0));
        }
        assert_eq!(by_key("/k").strand(&Payload::new(b"no json")), Strand::Ordered(0));
    }

    #[test]
    fn pointers_are_those_of_rfc_6901() {
        let payload = json!({"a/b": {"m~n": ["x", "customer-1"]}});
        assert_eq!(strand(&by_key("/a~1b/m~0n/1"), payload), Strand::Ordered(KEPT));
    }

    /// Of the text `customer-1`.
    const KEPT: u8 = 12;
}
