//! What it costs to make an event of a request's body.
#![expect(clippy::unwrap_used, reason = "the inputs are fixed")]

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use shared::benchmarks::{Benchmark, order};

use super::message::MessageIn;
use crate::{error::Result, ingest::read_object, publish::Event};

pub(crate) fn all() -> [Benchmark; 2] {
    [
        Benchmark::new("ingest/plain", || read(json!({}), None)),
        Benchmark::new("ingest/rich", || {
            let fields = json!({
                "eventId": "evt_7", "channels": ["north", "south"], "tags": ["first", "second"],
                "sluicegate": {"ttl": "1h", "headers": {"x-origin": "shop"}},
            });
            read(fields, Some(b"key-7"))
        }),
    ]
}

fn read(mut fields: Value, key: Option<&'static [u8]>) -> impl FnMut() -> Event {
    fields["eventType"] = "order.paid".into();
    fields["payload"] = serde_json::from_str(&order()).unwrap();
    let body = Bytes::from(fields.to_string());
    move || event(black_box(&body), key).unwrap()
}

fn event(body: &Bytes, key: Option<&[u8]>) -> Result<Event> {
    let text = std::str::from_utf8(body).unwrap();
    let input: MessageIn<'_> = read_object(text)?;
    input.read(Duration::from_secs(86_400), body, body, key, None)
}
