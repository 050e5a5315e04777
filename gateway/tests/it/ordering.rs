//! Endpoints that get their messages in order.

use std::{collections::HashMap, time::Duration};

use serde_json::{Value, json};
use shared::{
    domain::{Delivery, Queue, Strand},
    placement::Lane,
    store::{
        Entry, EntryId, Fence, Owner, Park, Place, Settle, Settled, Settlement, SharedStore,
        Verdict,
    },
};

use crate::harness::{Api, fresh};

async fn flowing(store: &SharedStore) -> Vec<(EntryId, Delivery)> {
    let mut found = Vec::new();
    for lane in Lane::all() {
        let entries = store.page(lane, EntryId::START, 1000).await.unwrap();
        found.extend(entries.into_iter().filter_map(|(id, entry)| match entry {
            Entry::Delivery { delivery, .. } => Some((id, delivery)),
            Entry::FanOut(_) | Entry::Nudge { .. } | Entry::Unknown => None,
        }));
    }
    found
}

async fn create(api: &Api, ordering: Value) -> String {
    let body = json!({"url": "https://example.com/", "sluicegate": {"ordering": ordering}});
    let created = api.post("/app/acme/endpoint", body).await.expect(201);
    assert_eq!(created["sluicegate"]["ordering"], ordering);
    created["id"].as_str().unwrap().to_owned()
}

async fn publish(api: &Api, payload: Value) -> String {
    let body = json!({"eventType": "a", "payload": payload});
    api.post("/app/acme/msg", body).await.expect(202)["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_endpoint_gets_a_message_in_the_strand_of_its_own_order() {
    let (api, stored) = fresh().await;
    api.application("acme").await;
    let plain = api.endpoint("acme").await;
    let strict = create(&api, json!({"by": "endpoint"})).await;
    let keyed = create(&api, json!({"by": "key", "pointer": "/customer/id"})).await;
    let other = create(&api, json!({"by": "key", "pointer": "/kind", "poison": "block"})).await;

    let mut strands: HashMap<(String, &str), Strand> = HashMap::new();
    let of = async |payload| publish(&api, payload).await;
    let messages = [
        of(json!({"customer": {"id": "one"}, "kind": "x"})).await,
        of(json!({"customer": {"id": "one"}, "kind": "y"})).await,
        of(json!({"customer": {"id": "two"}, "kind": "x"})).await,
        of(json!({"nobody": true})).await,
    ];
    for (_, delivery) in flowing(&stored.store).await {
        let endpoint = delivery.endpoint.to_string();
        let endpoint = [&plain, &strict, &keyed, &other].into_iter().find(|id| **id == endpoint);
        strands.insert((delivery.message.to_string(), endpoint.unwrap()), delivery.strand);
    }
    let of =
        |endpoint: &str| messages.each_ref().map(|message| strands[&(message.clone(), endpoint)]);
    assert_eq!(of(&plain), [Strand::Live; 4]);
    assert_eq!(of(&strict), [Strand::Ordered(0); 4]);
    let [one, again, two, none] = of(&keyed);
    assert!(one.is_ordered() && one == again && one != two && none == Strand::Ordered(0));
    let [x, y, x_again, none] = of(&other);
    assert!(x.is_ordered() && x == x_again && x != y && none == Strand::Ordered(0));
}

#[tokio::test]
async fn a_change_of_the_order_is_for_messages_from_then_on() {
    let (api, stored) = fresh().await;
    api.application("acme").await;
    let endpoint = create(&api, json!({"by": "endpoint"})).await;
    let path = format!("/app/acme/endpoint/{endpoint}");
    let before = publish(&api, json!({})).await;
    let changed = json!({"sluicegate": {"ordering": null}});
    let changed = api.patch(&path, changed).await.expect(200);
    assert_eq!(changed["sluicegate"], json!({}));
    let after = publish(&api, json!({})).await;
    let flowing = flowing(&stored.store).await;
    let strand = |message: &str| {
        flowing.iter().find(|(_, it)| it.message.to_string() == message).unwrap().1.strand
    };
    assert_eq!((strand(&before), strand(&after)), (Strand::Ordered(0), Strand::Live));
}

#[tokio::test]
async fn orders_that_cannot_be_are_refused() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    for ordering in [
        json!({}),
        json!({"by": "time"}),
        json!({"by": "endpoint", "pointer": "/a"}),
        json!({"by": "key"}),
        json!({"by": "key", "pointer": "customer.id"}),
        json!({"by": "key", "pointer": "/a~2"}),
        json!({"by": "endpoint", "poison": "forget"}),
        json!({"by": "endpoint", "poison": {"deadLetterAfter": 0}}),
        json!({"by": "endpoint", "poison": {"deadLetterAfter": 65}}),
        json!({"by": "endpoint", "poison": {"dead_letter_after": 3}}),
        json!({"by": "endpoint", "poison": [3]}),
    ] {
        let body = json!({"url": "https://example.com/", "sluicegate": {"ordering": ordering}});
        let refused = api.post("/app/acme/endpoint", body).await.expect(422);
        let fault = &refused["detail"][0];
        assert_eq!(fault["loc"], json!(["body", "sluicegate"]), "{ordering}");
        assert!(fault["msg"].as_str().unwrap().starts_with("ordering."), "{fault}");
    }
}

#[tokio::test]
async fn the_state_shows_what_blocks_an_ordered_queue() {
    let (api, stored) = fresh().await;
    let app = api.application("acme").await.parse().unwrap();
    let endpoint = create(&api, json!({"by": "endpoint"})).await;
    let path = format!("/app/acme/endpoint/{endpoint}/state");
    let first = publish(&api, json!({})).await;
    publish(&api, json!({})).await;

    let lane = Queue::live(app, endpoint.parse().unwrap()).lane();
    let owner = Owner::new("test");
    let epoch = stored.store.acquire(lane, &owner, None).await.unwrap().unwrap();
    let fence = Fence { lane, owner, epoch };
    let flowing = flowing(&stored.store).await;
    let park = |(entry, delivery)| Park { entry, delivery, delay: None };
    let parks: Vec<_> = flowing.iter().copied().map(park).collect();
    stored.store.park(&fence, &parks).await.unwrap().unwrap();
    let state = api.get(&path).await.expect(200);
    assert_eq!((&state["waiting"], &state["blocked"]), (&json!(2), &json!([])));

    let settlement = Settlement {
        delivery: flowing[0].1,
        place: Place::Waiting,
        attempts: 0,
        verdict: Verdict::Retry { delay: Duration::from_secs(3600), steps: 0 },
        record: None,
    };
    let settle = Settle { fence, settlements: vec![settlement], states: vec![] };
    assert_eq!(stored.store.settle(&[settle]).await.unwrap(), [Some(vec![Settled::Done])]);
    let state = api.get(&path).await.expect(200);
    let blocked = &state["blocked"][0];
    assert_eq!((&blocked["msgId"], &blocked["waiting"]), (&json!(first), &json!(2)));
    assert!(blocked["nextAttempt"].is_string() && blocked["attempts"] == 0);
}
