//! What it costs to read what the server says, and to write what it is told.
#![expect(clippy::unwrap_used, reason = "the inputs are fixed")]

use std::hint::black_box;

use ::redis::Value;

use super::{
    entry::{entries, pack_delivery},
    scripts::{Call, SETTLE},
    settle::{add_lane, pieces, works},
};
use crate::{
    benchmarks::{Benchmark, NOW, delivery},
    domain::{Attempt, AttemptStatus, Trigger},
    id::AttemptId,
    store::{Entry, EntryId, Epoch, Fence, Owner, Place, Settle, Settlement, Verdict},
};

pub(crate) fn all() -> [Benchmark; 4] {
    [
        Benchmark::new("entry/write", || || pack_delivery(black_box(&delivery(1, 1)), None)),
        Benchmark::new("entry/read-16", read),
        Benchmark::new("settlement/record", || {
            let attempt = attempt(1);
            move || serde_json::to_vec(black_box(&attempt))
        }),
        Benchmark::new("settlement/call-16", settle),
    ]
}

/// Reads what XREAD answers of 16 deliveries. What is read is used up, so its copy counts.
fn read() -> impl FnMut() -> Vec<(EntryId, Entry)> {
    let text = |text: String| Value::BulkString(text.into_bytes());
    let entry = |number: u64| {
        let packed = pack_delivery(&delivery(number, number % 4), None);
        let fields = Value::Array(vec![text("d".into()), text(packed)]);
        Value::Array(vec![text(format!("{}-{number}", NOW.0)), fields])
    };
    let reply = Value::Array((0..16).map(entry).collect());
    move || entries(black_box(&reply).clone()).unwrap()
}

/// Writes the call that settles 16 deliveries to four endpoints, all of them successes.
fn settle() -> impl FnMut() -> Call {
    let settlement = |number: u64| Settlement {
        delivery: delivery(number, number % 4),
        place: Place::Stream(EntryId { major: NOW.0, minor: number }),
        attempts: 1,
        verdict: Verdict::Delivered,
        record: Some(attempt(number)),
    };
    let fence =
        Fence { lane: delivery(0, 0).lane(), owner: Owner::new("dispatcher-1"), epoch: Epoch(3) };
    let settlements = (0..16).map(settlement).collect();
    let settle = [Settle { fence, settlements, states: vec![] }];
    move || {
        let mut call = Call::new(&SETTLE);
        for piece in pieces(black_box(&settle)) {
            add_lane(&mut call, &piece, &works(&piece)).unwrap();
        }
        call
    }
}

fn attempt(number: u64) -> Attempt {
    let delivery = delivery(number, number % 4);
    Attempt {
        id: AttemptId::from_bits(delivery.message.bits()),
        endpoint: delivery.endpoint,
        message: delivery.message,
        generation: delivery.generation,
        number: 1,
        url: "https://example.com/webhooks/orders".into(),
        status: AttemptStatus::Success,
        outcome: "delivered".into(),
        code: 200,
        response: r#"{"ok":true}"#.into(),
        duration_ms: 12,
        at: NOW,
        trigger: Trigger::of(&delivery),
        next: None,
        extra: Default::default(),
    }
}
