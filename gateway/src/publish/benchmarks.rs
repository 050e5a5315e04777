//! What it costs to choose where a message goes.

use std::{collections::BTreeMap, hint::black_box, sync::Arc};

use serde_json::{Value, json};
use shared::{
    benchmarks::{Benchmark, configured, endpoint, header, order},
    domain::{MessageHeader, Payload},
    store::Target,
};

use super::subscriptions::Subscriptions;

pub(crate) fn all() -> [Benchmark; 4] {
    [
        Benchmark::new("matching/50-by-channel-of-1000", || {
            let messages = customers().map(|name| header("order.paid", &[&name]));
            choose(messages, 1000, |number| json!({"channels": [customer(number)]}))
        }),
        Benchmark::new("matching/50-by-type-of-1000", || {
            let messages = customers().map(|name| header(&name, &[]));
            choose(messages, 1000, |number| json!({"filter_types": [customer(number)]}))
        }),
        Benchmark::new("matching/all-of-10", || choose(one(), 10, |_| json!({}))),
        Benchmark::new("matching/one-by-filter-of-50", || {
            choose(one(), 50, |number| {
                let country = if number == 7 { "NO".to_owned() } else { format!("X{number}") };
                let filter = json!({"pointer": "/customer/country", "equals": country});
                json!({"settings": {"filter": filter}})
            })
        }),
    ]
}

fn customer(number: u64) -> String {
    format!("customer.{number}")
}

/// Many, because the seeds of maps come from the system, and with them which names meet in a map.
fn customers() -> impl Iterator<Item = String> {
    (0..1000).step_by(20).map(customer)
}

fn one() -> impl Iterator<Item = MessageHeader> {
    std::iter::once(header("order.paid", &[]))
}

/// Where these messages go, of so many endpoints, which differ in their `fields`.
fn choose(
    messages: impl Iterator<Item = MessageHeader>,
    count: u64,
    fields: impl Fn(u64) -> Value,
) -> impl FnMut() -> usize {
    let endpoint = |number: u64| (endpoint(number), Arc::new(configured(number, &fields(number))));
    let endpoints: BTreeMap<_, _> = (0..count).map(endpoint).collect();
    let subscriptions = Subscriptions::new(&endpoints);
    let (messages, body): (Vec<_>, _) = (messages.collect(), order());
    let targets = move |message: &MessageHeader| -> Vec<Target> {
        let payload = Payload::new(body.as_bytes());
        let candidates = subscriptions.candidates(message);
        candidates.filter_map(|one| Target::choose(one, message, &payload, None)).collect()
    };
    let work =
        move || black_box(&messages).iter().map(|message| black_box(targets(message)).len()).sum();
    assert!(work() > 0);
    work
}
