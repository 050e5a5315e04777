//! Messages whose targets the gateway leaves to a lane's owner.

use serde_json::json;
use shared::{
    domain::Endpoint,
    id::{AppId, EndpointId},
    placement::Lane,
    store::{Change, Entry, EntryId, FanOut, SharedStore},
};

use crate::{
    harness::{Api, fresh, stored},
    scripted::{Act, Scripted},
};

/// All fan-outs, and how many deliveries, in all streams.
async fn flowing(store: &SharedStore) -> (Vec<FanOut>, usize) {
    let (mut fan_outs, mut deliveries) = (vec![], 0);
    for lane in Lane::all() {
        for (_, entry) in store.page(lane, EntryId::START, 10_000).await.unwrap() {
            match entry {
                Entry::FanOut(fan_out) => fan_outs.push(fan_out),
                Entry::Delivery { .. } => deliveries += 1,
                Entry::Nudge { .. } | Entry::Unknown => {}
            }
        }
    }
    (fan_outs, deliveries)
}

#[tokio::test]
async fn a_message_for_more_than_512_endpoints_is_fanned_out_later() {
    let (api, stored) = fresh().await;
    let app: AppId = api.application("acme").await.parse().unwrap();
    api.endpoint("acme").await;
    let configuration = stored.store.configuration(app).await.unwrap().unwrap();
    let one = configuration.endpoints.values().next().unwrap();
    let more = (0..512)
        .map(|_| Change::PutEndpoint(Endpoint { id: EndpointId::new(), ..Endpoint::clone(one) }));
    let changes: Vec<_> = more.collect();
    stored.store.commit(app, Some(configuration.version), &changes).await.unwrap();
    let message = json!({"eventType": "a", "payload": {}});
    let sent = api.post("/app/acme/msg", message).await.expect(202);
    let (fan_outs, deliveries) = flowing(&stored.store).await;
    assert_eq!((fan_outs.len(), deliveries), (1, 0));
    assert_eq!(sent["id"], fan_outs[0].message.to_string());
    assert!(fan_outs[0].until >= one.created_at);
}

#[tokio::test]
async fn after_two_stale_answers_the_targets_are_chosen_later() {
    let stored = stored();
    let scripted = Scripted::new(stored.store.clone(), [Act::Stale, Act::Stale]);
    let store = scripted.clone() as SharedStore;
    let api = Api::start(&store).await;
    api.application("acme").await;
    api.endpoint("acme").await;
    let message = json!({"eventType": "a", "payload": {}});
    api.post("/app/acme/msg", message.clone()).await.expect(202);
    let (fan_outs, deliveries) = flowing(&stored.store).await;
    assert_eq!((fan_outs.len(), deliveries), (1, 0));
    api.post("/app/acme/msg", message).await.expect(202);
    let (fan_outs, deliveries) = flowing(&stored.store).await;
    assert_eq!((fan_outs.len(), deliveries), (1, 1), "the next one is chosen at once");
}
