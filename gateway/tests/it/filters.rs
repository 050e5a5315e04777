//! Endpoints that choose their messages by the payload.

use serde_json::{Value, json};
use shared::{
    domain::{Endpoint, Message, Payload},
    id::{AppId, EndpointId},
    placement::Lane,
    store::{Change, Entry, EntryId, FanOut, SharedStore},
};

use crate::harness::{Api, fresh};

/// An endpoint with this filter; its id.
async fn filtered(api: &Api, filter: Value) -> String {
    let body = json!({"url": "https://example.com/", "sluicegate": {"filter": filter}});
    let created = api.post("/app/acme/endpoint", body).await.expect(201);
    assert_eq!(created["sluicegate"]["filter"], filter);
    created["id"].as_str().unwrap().to_owned()
}

async fn publish(api: &Api, payload: Value) -> String {
    let body = json!({"eventType": "a", "payload": payload});
    api.post("/app/acme/msg", body).await.expect(202)["id"].as_str().unwrap().to_owned()
}

/// Who gets which message, and the fan-outs, in all streams.
async fn flowing(store: &SharedStore) -> (Vec<(String, String)>, Vec<FanOut>) {
    let (mut deliveries, mut fan_outs) = (vec![], vec![]);
    for lane in Lane::all() {
        for (_, entry) in store.page(lane, EntryId::START, 10_000).await.unwrap() {
            match entry {
                Entry::Delivery { delivery, .. } => {
                    deliveries.push((delivery.message.to_string(), delivery.endpoint.to_string()));
                }
                Entry::FanOut(fan_out) => fan_outs.push(fan_out),
                Entry::Nudge { .. } | Entry::Unknown => {}
            }
        }
    }
    (deliveries, fan_outs)
}

#[tokio::test]
async fn a_message_goes_where_the_filter_lets_it() {
    let (api, stored) = fresh().await;
    api.application("acme").await;
    let all = api.endpoint("acme").await;
    let great = filtered(&api, json!({"pointer": "/amount", "gte": 100})).await;
    let either = json!({"any": [
        {"pointer": "/country", "in": ["DE", "AT"]},
        {"not": {"pointer": "/country", "exists": true}},
    ]});
    let near = filtered(&api, either).await;
    let vip = filtered(&api, json!({"cel": "payload.amount > 10 && 'vip' in payload.tags"})).await;
    let mut expected = vec![];
    for (payload, wanted) in [
        (json!({"amount": 100, "country": "FR"}), vec![&all, &great]),
        (json!({"amount": 11, "country": "DE", "tags": ["vip"]}), vec![&all, &near, &vip]),
        (json!({"amount": 200, "tags": []}), vec![&all, &great, &near]),
        (json!([]), vec![&all, &near]),
    ] {
        let message = publish(&api, payload).await;
        expected.extend(wanted.into_iter().map(|endpoint| (message.clone(), endpoint.clone())));
    }
    let (mut deliveries, _) = flowing(&stored.store).await;
    deliveries.sort();
    expected.sort();
    assert_eq!(deliveries, expected);
    assert_eq!(api.counted("sluicegate_gateway_filters_failed_total"), 2.0, "no tags, no amount");

    let path = format!("/app/acme/endpoint/{great}");
    let changed = api.patch(&path, json!({"sluicegate": {"filter": null}})).await.expect(200);
    assert_eq!(changed["sluicegate"], json!({}));
    let message = publish(&api, json!({"amount": 1, "country": "FR"})).await;
    let (deliveries, _) = flowing(&stored.store).await;
    assert!(deliveries.contains(&(message, great)));
}

#[tokio::test]
async fn filters_that_cannot_be_are_refused_where_they_are_wrong() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    for (filter, place) in [
        (json!([]), json!(["body", "sluicegate", "filter"])),
        (
            json!({"all": [{"pointer": "/a", "exists": true}, {"pointer": "a", "gt": 1}]}),
            json!(["body", "sluicegate", "filter", "all", "1", "pointer"]),
        ),
        (json!({"cel": "payload.a =="}), json!(["body", "sluicegate", "filter", "cel"])),
        (json!({"cel": "(".repeat(1000)}), json!(["body", "sluicegate", "filter", "cel"])),
    ] {
        let body = json!({"url": "https://example.com/", "sluicegate": {"filter": filter}});
        let answer = api.post("/app/acme/endpoint", body).await;
        answer.expect_error(422, "validation_failed");
        assert_eq!(answer.json()["detail"][0]["loc"], place, "{filter}");
    }
}

#[tokio::test]
async fn targets_that_are_chosen_later_are_filtered_too() {
    let (api, stored) = fresh().await;
    let app: AppId = api.application("acme").await.parse().unwrap();
    let one = filtered(&api, json!({"pointer": "/n", "equals": 1})).await;
    let configuration = stored.store.configuration(app).await.unwrap().unwrap();
    let template = configuration.endpoints.values().next().unwrap();
    let open = Endpoint { settings: Default::default(), ..Endpoint::clone(template) };
    let more = (0..513).map(|_| Endpoint { id: EndpointId::new(), ..open.clone() });
    let changes: Vec<_> = more.map(Change::PutEndpoint).collect();
    stored.store.commit(app, Some(configuration.version), &changes).await.unwrap();
    let configuration = stored.store.configuration(app).await.unwrap().unwrap();
    for (payload, expected) in [(json!({"n": 1}), true), (json!({"n": 2}), false)] {
        let message = publish(&api, payload).await;
        let (_, fan_outs) = flowing(&stored.store).await;
        let fan_out = fan_outs.iter().find(|it| it.message.to_string() == message).unwrap();
        let record = stored.store.message(app, fan_out.message).await.unwrap().unwrap();
        let message = Message::decode(&record).unwrap();
        let payload = Payload::new(&message.payload);
        let (mut chosen, mut after) = (vec![], None);
        loop {
            let rest = configuration.endpoints.values().map(|endpoint| endpoint.as_ref());
            let rest = rest.filter(|endpoint| after.is_none_or(|after| endpoint.id > after));
            let (targets, next) = fan_out.choose(&message.header, &payload, rest);
            chosen.extend(targets.into_iter().map(|target| target.endpoint.to_string()));
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((chosen.contains(&one), chosen.len()), (expected, 513 + usize::from(expected)));
    }
}

#[tokio::test]
async fn filters_that_take_long_together_are_evaluated_behind_the_request() {
    let (api, stored) = fresh().await;
    let app: AppId = api.application("acme").await.parse().unwrap();
    let looked_at = vec!["payload.x in payload.items"; 20].join(" || ");
    filtered(&api, json!({"cel": format!("!({looked_at})")})).await;
    let configuration = stored.store.configuration(app).await.unwrap().unwrap();
    let one = configuration.endpoints.values().next().unwrap();
    let more = (0..49).map(|_| Endpoint { id: EndpointId::new(), ..Endpoint::clone(one) });
    let changes: Vec<_> = more.map(Change::PutEndpoint).collect();
    stored.store.commit(app, Some(configuration.version), &changes).await.unwrap();
    for (items, expected) in [(100, (50, 0)), (450, (50, 1))] {
        publish(&api, json!({"x": -1, "items": (0..items).collect::<Vec<_>>()})).await;
        let (deliveries, fan_outs) = flowing(&stored.store).await;
        assert_eq!((deliveries.len(), fan_outs.len()), expected, "{items} items");
    }
}

#[tokio::test]
async fn what_the_filter_keeps_out_is_not_missing() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    for amount in [1, 100, 200] {
        publish(&api, json!({"amount": amount})).await;
    }
    let endpoint = filtered(&api, json!({"pointer": "/amount", "gt": 50})).await;
    let path = format!("/app/acme/endpoint/{endpoint}/replay-missing?dryRun=true");
    let dry_run = api.post(&path, json!({"since": "2026-01-01T00:00:00Z"})).await.expect(200);
    assert_eq!(dry_run["messages"], 2, "{dry_run}");
}

#[tokio::test]
async fn producers_can_ask_whether_anybody_listens() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let body = json!({"url": "https://example.com/", "eventTypes": ["a"], "channels": ["x"]});
    let endpoint = api.post("/app/acme/endpoint", body).await.expect(201);
    let ask = async |body: Value| {
        api.post("/app/acme/msg/precheck/active", body).await.expect(200)["active"] == true
    };
    assert!(ask(json!({"eventType": "a", "channels": ["x", "y"]})).await);
    assert!(!ask(json!({"eventType": "a"})).await);
    assert!(!ask(json!({"eventType": "b", "channels": ["x"]})).await);
    let path = format!("/app/acme/endpoint/{}", endpoint["id"].as_str().unwrap());
    api.patch(&path, json!({"disabled": true})).await.expect(200);
    assert!(!ask(json!({"eventType": "a", "channels": ["x"]})).await);
    let path = "/app/acme/msg/precheck/active";
    api.post(path, json!({"eventType": "a b"})).await.expect_error(422, "validation_failed");
    api.post("/app/no/msg/precheck/active", json!({"eventType": "a"}))
        .await
        .expect_error(404, "not_found");
}
