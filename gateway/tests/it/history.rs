//! Attempts, dead letters, recipients, resends: what a dispatcher leaves behind.

use std::time::Duration;

use serde_json::json;
use shared::{
    domain::{Attempt, AttemptStatus, DeadReason, Delivery, Generation, Queue, Trigger},
    id::AttemptId,
    placement::Lane,
    store::{
        Entry, EntryId, Fence, Owner, Place, Settle, Settled, Settlement, SharedStore, Verdict,
    },
    time::Millis,
};

use crate::harness::{Api, fresh};

/// The first delivery of this lane and where it is.
pub(crate) async fn first_delivery(store: &SharedStore, lane: Lane) -> (EntryId, Delivery) {
    let entries = store.page(lane, EntryId::START, 100).await.unwrap();
    let deliveries = entries.into_iter().filter_map(|(id, entry)| match entry {
        Entry::Delivery { delivery, .. } => Some((id, delivery)),
        Entry::Nudge { .. } | Entry::FanOut(_) | Entry::Unknown => None,
    });
    deliveries.into_iter().next().unwrap()
}

fn attempt(delivery: Delivery, status: AttemptStatus, next: Option<Millis>) -> Attempt {
    Attempt {
        id: AttemptId::new(),
        endpoint: delivery.endpoint,
        message: delivery.message,
        generation: delivery.generation,
        number: 1,
        url: "https://example.com/hook".into(),
        status,
        outcome: "answered".into(),
        code: if status == AttemptStatus::Success { 200 } else { 503 },
        response: "a response".into(),
        duration_ms: 12,
        at: Millis::now(),
        trigger: Trigger::of(&delivery),
        next,
        extra: serde_json::Map::new(),
    }
}

/// The owner of a lane.
pub(crate) struct Settler {
    store: SharedStore,
    fence: Fence,
}

impl Settler {
    pub(crate) async fn of(store: &SharedStore, queue: Queue) -> Self {
        let owner = Owner::new("test");
        let epoch = store.acquire(queue.lane(), &owner, None).await.unwrap().unwrap();
        Self { store: store.clone(), fence: Fence { lane: queue.lane(), owner, epoch } }
    }

    /// Takes the lane's first delivery, and leaves an attempt and what becomes of it.
    pub(crate) async fn settle(&self, verdict: Verdict) -> Attempt {
        let (entry, delivery) = first_delivery(&self.store, self.fence.lane).await;
        let (status, next) = match &verdict {
            Verdict::Delivered => (AttemptStatus::Success, None),
            Verdict::Retry { delay, .. } => {
                (AttemptStatus::Fail, Some(Millis::now().after(*delay)))
            }
            Verdict::Dead(_) | Verdict::Deleted => (AttemptStatus::Fail, None),
        };
        let record = attempt(delivery, status, next);
        let settlement = Settlement {
            delivery,
            place: Place::Stream(entry),
            attempts: 1,
            verdict,
            record: Some(record.clone()),
        };
        let settle =
            Settle { fence: self.fence.clone(), settlements: vec![settlement], states: vec![] };
        let settled = self.store.settle(&[settle]).await.unwrap();
        assert_eq!(settled, [Some(vec![Settled::Done])]);
        record
    }
}

pub(crate) async fn publish(api: &Api, event_type: &str) -> String {
    let body = json!({"eventType": event_type, "payload": {"n": 1}});
    api.post("/app/acme/msg", body).await.expect(202)["id"].as_str().unwrap().to_owned()
}

async fn ids(api: &Api, path: &str) -> Vec<String> {
    let page = api.get(path).await.expect(200);
    let data = page["data"].as_array().unwrap();
    data.iter().map(|attempt| attempt["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn attempts_are_listed_filtered_and_found() {
    let (api, stored) = fresh().await;
    let app = api.application("acme").await.parse().unwrap();
    let endpoint = api.endpoint("acme").await;
    let queue = Queue::live(app, endpoint.parse().unwrap());
    let settler = Settler::of(&stored.store, queue).await;

    let first = publish(&api, "a").await;
    let good = settler.settle(Verdict::Delivered).await;
    let second = publish(&api, "b").await;
    let retry = Verdict::Retry { delay: Duration::from_secs(60), steps: 1 };
    let bad = settler.settle(retry).await;
    let (good_id, bad_id) = (good.id.to_string(), bad.id.to_string());

    let by_endpoint = format!("/app/acme/attempt/endpoint/{endpoint}");
    assert_eq!(ids(&api, &by_endpoint).await, [bad_id.clone(), good_id.clone()]);
    for (query, expected) in [
        ("status=0", &good_id),
        ("status=2", &bad_id),
        ("status_code_class=500", &bad_id),
        ("event_types=a", &good_id),
        ("event_types=b,c", &bad_id),
    ] {
        let found = ids(&api, &format!("{by_endpoint}?{query}")).await;
        assert_eq!(found, std::slice::from_ref(expected), "{query}");
    }
    let page = api.get(&format!("{by_endpoint}?with_msg=true&with_content=false&limit=1")).await;
    let page = page.expect(200);
    assert_eq!(page["data"][0]["msg"]["eventType"], "b");
    assert_eq!((&page["data"][0]["response"], &page["done"]), (&json!(""), &json!(false)));

    assert_eq!(
        ids(&api, &format!("/app/acme/attempt/msg/{first}")).await,
        std::slice::from_ref(&good_id)
    );
    let one = api.get(&format!("/app/acme/msg/{first}/attempt/{good_id}")).await.expect(200);
    assert_eq!((&one["status"], &one["statusText"]), (&json!(0), &json!("success")));
    assert_eq!((&one["responseStatusCode"], &one["triggerType"]), (&json!(200), &json!(0)));
    api.get(&format!("/app/acme/msg/{second}/attempt/{good_id}"))
        .await
        .expect_error(404, "not_found");

    let recipients = api.get(&format!("/app/acme/msg/{second}/endpoint")).await.expect(200);
    let recipient = &recipients["data"][0];
    assert_eq!((&recipient["id"], &recipient["status"]), (&json!(endpoint), &json!(1)));
    assert!(recipient["nextAttempt"].is_string());
}

#[tokio::test]
async fn dead_letters_have_reasons_and_can_be_sent_again() {
    let (api, stored) = fresh().await;
    let app = api.application("acme").await.parse().unwrap();
    let endpoint = api.endpoint("acme").await;
    let queue = Queue::live(app, endpoint.parse().unwrap());
    let settler = Settler::of(&stored.store, queue).await;
    let message = publish(&api, "a").await;
    settler.settle(Verdict::Dead(DeadReason::Exhausted)).await;

    let path = format!("/app/acme/endpoint/{endpoint}/dead-letter");
    let letters = api.get(&path).await.expect(200);
    assert_eq!(letters["data"].as_array().unwrap().len(), 1);
    assert_eq!(letters["data"][0]["msgId"], message.as_str());
    assert_eq!(letters["data"][0]["reason"], "exhausted");

    let resend = format!("/app/acme/msg/{message}/endpoint/{endpoint}/resend");
    api.post_raw(&resend, "").await.expect(202);
    let (_, delivery) = first_delivery(&stored.store, queue.lane()).await;
    assert_eq!(delivery.message.to_string(), message);
    assert_ne!(delivery.generation, Generation(0));
    let unknown = "/app/acme/msg/msg_0000000000000000000000/endpoint";
    api.post_raw(&format!("{unknown}/{endpoint}/resend"), "").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn a_tenant_never_sees_anothers() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    api.application("other").await;
    let endpoint = api.endpoint("acme").await;
    let message = publish(&api, "a").await;
    for path in [
        format!("/app/other/msg/{message}"),
        format!("/app/other/endpoint/{endpoint}"),
        format!("/app/other/endpoint/{endpoint}/secret"),
        format!("/app/other/attempt/endpoint/{endpoint}"),
        format!("/app/other/attempt/msg/{message}"),
        format!("/app/other/msg/{message}/endpoint"),
    ] {
        api.get(&path).await.expect_error(404, "not_found");
    }
    assert_eq!(ids(&api, "/app/other/msg").await, Vec::<String>::new());
}
