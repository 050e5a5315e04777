//! What the functions of the hot path cost by themselves.
//!
//! Each crate lists its own, so that nothing has to be public for it. Their inputs are always the
//! same: no clock, no chance, and nothing of the machine; so that what is counted can be counted again.
//! Whatever is built to run is built without them.
#![expect(clippy::unwrap_used, reason = "the inputs are fixed")]

use std::hint::black_box;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    domain::{
        Delivery, Endpoint, Filter, Generation, Message, MessageHeader, Payload, Secret, Strand,
    },
    id::{AppId, EndpointId, MessageId},
    signature,
    store::redis,
    time::Millis,
};

/// All times in inputs.
pub const NOW: Millis = Millis(1_750_000_000_000);

/// One thing to measure.
pub struct Benchmark {
    name: &'static str,
    prepare: Box<dyn FnOnce() -> Box<dyn FnMut()>>,
}

impl Benchmark {
    /// Under a name, `<room>/<what>`: what prepares the work, so that nobody pays for the inputs of
    /// others. Nothing of the work is optimised away.
    pub fn new<W, T>(name: &'static str, prepare: impl FnOnce() -> W + 'static) -> Self
    where
        W: FnMut() -> T + 'static,
    {
        let prepare = || -> Box<dyn FnMut()> {
            let mut work = prepare();
            Box::new(move || drop(black_box(work())))
        };
        Self { name, prepare: Box::new(prepare) }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The work: each call does it once.
    pub fn prepare(self) -> Box<dyn FnMut()> {
        (self.prepare)()
    }
}

/// An application.
pub const APP: AppId = AppId::from_bits(id(1));

/// One of many endpoints.
pub const fn endpoint(number: u64) -> EndpointId {
    EndpointId::from_bits(id(number))
}

/// The record of one of them, with the `fields` in which it differs.
pub fn configured(number: u64, fields: &Value) -> Endpoint {
    let mut record = json!({
        "id": endpoint(number), "url": "https://example.com/", "version": 1, "secrets": [],
        "created_at": NOW, "updated_at": NOW,
    });
    record.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
    serde_json::from_value(record).unwrap()
}

/// One of many messages.
pub const fn message(number: u64) -> MessageId {
    MessageId::from_bits(id(number))
}

const fn id(number: u64) -> u128 {
    ((NOW.0 as u128) << 80) | (7 << 76) | (2 << 62) | number as u128
}

/// The first delivery of a message to an endpoint.
pub const fn delivery(number: u64, to: u64) -> Delivery {
    Delivery {
        app: APP,
        endpoint: endpoint(to),
        strand: Strand::Live,
        message: message(number),
        generation: Generation(0),
    }
}

/// A payload of 1 KiB: an order with 12 lines, neither noise nor repetition.
pub fn order() -> String {
    const THINGS: [&str; 4] = ["cotton shirt", "paper lamp", "oak table", "tea pot"];
    let line = |number: u64| {
        let noise = xxh3_64(&number.to_le_bytes());
        let title = THINGS[noise as usize % THINGS.len()];
        json!({"sku": format!("{noise:016x}"), "title": title, "quantity": 1 + noise % 9})
    };
    let lines: Vec<_> = (0..12).map(line).collect();
    let customer = json!({"id": 7, "country": "NO", "tags": ["vip", "eu"]});
    json!({"type": "order", "amount": 150, "customer": customer, "lines": lines}).to_string()
}

/// What is known of a message.
pub fn header(event_type: &str, channels: &[&str]) -> MessageHeader {
    MessageHeader {
        id: message(1),
        app: APP,
        event_type: event_type.to_owned(),
        channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
        tags: vec![],
        event_id: None,
        created_at: NOW,
        options: Default::default(),
        trace: None,
        extra: Default::default(),
    }
}

/// All of this crate.
pub fn all() -> Vec<Benchmark> {
    let mut all = vec![
        Benchmark::new("signature/64-bytes", || sign(1, "x".repeat(64))),
        Benchmark::new("signature/1-kib", || sign(1, order())),
        Benchmark::new("signature/1-kib-two-secrets", || sign(2, order())),
        // With the payload's parsing, which the first filter of a message pays for.
        Benchmark::new("filter/conditions", || {
            filter(&json!({"all": [
                {"pointer": "/customer/country", "in": ["SE", "NO"]},
                {"pointer": "/amount", "gte": 100},
            ]}))
        }),
        Benchmark::new("filter/expression", || {
            filter(&json!({"cel": "payload.amount >= 100 && payload.customer.country == 'NO'"}))
        }),
        Benchmark::new("message/encode-plain", || encode("{}".to_owned())),
        Benchmark::new("message/decode-plain", || decode("{}".to_owned())),
        Benchmark::new("message/encode-packed", || encode(order())),
        Benchmark::new("message/decode-packed", || decode(order())),
    ];
    all.extend(redis::benchmarks::all());
    all
}

fn sign(secrets: u8, body: String) -> impl FnMut() -> String {
    let secret = |byte| Secret::parse(&STANDARD.encode([byte; 32])).unwrap();
    let secrets: Vec<_> = (0..secrets).map(secret).collect();
    let id = message(1).to_string();
    move || signature::sign(black_box(&secrets), &id, NOW.0 / 1000, body.as_bytes())
}

fn filter(source: &Value) -> impl FnMut() -> bool + use<> {
    let (filter, payload) = (Filter::compile(source).unwrap(), order());
    assert!(filter.matches(&Payload::new(payload.as_bytes())));
    move || filter.matches(&Payload::new(black_box(payload.as_bytes())))
}

fn encode(payload: String) -> impl FnMut() -> Bytes {
    let message = Message { header: header("order.paid", &["north"]), payload: payload.into() };
    move || black_box(&message).encode().unwrap()
}

fn decode(payload: String) -> impl FnMut() -> Message {
    let record = encode(payload)();
    move || Message::decode(black_box(&record)).unwrap()
}
