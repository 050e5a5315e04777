//! Sending again: single dead letters, and tasks for many messages.

use std::time::Duration;

use serde_json::{Value, json};
use shared::{
    domain::{DeadReason, Generation, Queue},
    store::{Lifetimes, Verdict},
    time::Millis,
};

use crate::{
    harness::{Api, Stored, fresh, stored_for},
    history::{Settler, first_delivery, publish},
};

const SINCE: &str = "2026-01-01T00:00:00Z";

/// An application with an endpoint and the owner of its lane.
struct Scene {
    api: Api,
    stored: Stored,
    endpoint: String,
    queue: Queue,
    settler: Settler,
}

impl Scene {
    async fn new() -> Self {
        let (api, stored) = fresh().await;
        Self::of(api, stored).await
    }

    async fn of(api: Api, stored: Stored) -> Self {
        let app = api.application("acme").await.parse().unwrap();
        let endpoint = api.endpoint("acme").await;
        let queue = Queue::live(app, endpoint.parse().unwrap());
        let settler = Settler::of(&stored.store, queue).await;
        Self { api, stored, endpoint, queue, settler }
    }

    fn path(&self, rest: &str) -> String {
        format!("/app/acme/endpoint/{}/{rest}", self.endpoint)
    }

    /// Publishes a message that is given up.
    async fn give_up(&self, event_type: &str, reason: DeadReason) -> String {
        let message = publish(&self.api, event_type).await;
        self.settler.settle(Verdict::Dead(reason)).await;
        message
    }

    /// Id and message of the dead letters that pass a filter, the latest first.
    async fn letters(&self, query: &str) -> Vec<(String, String)> {
        let path = format!("{}?{query}", self.path("dead-letter"));
        let page = self.api.get(&path).await.expect(200);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let data = page["data"].as_array().unwrap().iter();
        data.map(|letter| (text(&letter["id"]), text(&letter["msgId"]))).collect()
    }
}

#[tokio::test]
async fn dead_letters_are_filtered() {
    let scene = Scene::new().await;
    let first = scene.give_up("a", DeadReason::Exhausted).await;
    let second = scene.give_up("b", DeadReason::Gone).await;
    let messages = async |query: &str| {
        let letters = scene.letters(query).await;
        letters.into_iter().map(|(_, message)| message).collect::<Vec<_>>()
    };
    assert_eq!(messages("").await, [second.clone(), first.clone()]);
    assert_eq!(messages("order=ascending").await, [first.clone(), second.clone()]);
    assert_eq!(messages("reason=gone").await, std::slice::from_ref(&second));
    assert_eq!(messages("event_types=a").await, std::slice::from_ref(&first));
    assert_eq!(messages("after=2100-01-01T00:00:00Z").await, [] as [String; 0]);
    let unknown = scene.api.get(&scene.path("dead-letter?reason=boredom")).await;
    unknown.expect_error(422, "validation_failed");
}

#[tokio::test]
async fn a_dead_letter_is_replayed_and_leaves_the_list() {
    let scene = Scene::new().await;
    let message = scene.give_up("a", DeadReason::Exhausted).await;
    let (id, _) = scene.letters("").await.remove(0);
    let letter = scene.api.get(&scene.path(&format!("dead-letter/{id}"))).await.expect(200);
    assert_eq!(letter["msgId"], message.as_str());
    let replay = scene.path(&format!("dead-letter/{id}/replay"));
    scene.api.post_raw(&replay, "").await.expect(202);
    let (_, delivery) = first_delivery(&scene.stored.store, scene.queue.lane()).await;
    assert_eq!(delivery.message.to_string(), message);
    assert_ne!(delivery.generation, Generation(0));
    assert!(scene.letters("").await.is_empty());
    scene.api.post_raw(&replay, "").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn dead_letters_are_purged_one_by_one_and_by_time() {
    let scene = Scene::new().await;
    for _ in 0..3 {
        scene.give_up("a", DeadReason::Exhausted).await;
    }
    let letters = scene.letters("").await;
    let one = scene.path(&format!("dead-letter/{}", letters[1].0));
    scene.api.delete(&one).await.expect(204);
    scene.api.delete(&one).await.expect_error(404, "not_found");
    assert_eq!(scene.letters("").await, [letters[0].clone(), letters[2].clone()]);
    let all = scene.path("dead-letter");
    scene.api.delete(&all).await.expect_error(422, "validation_failed");
    let purged = scene.api.delete(&format!("{all}?before={SINCE}")).await.expect(200);
    assert_eq!(purged["purged"], 0);
    tokio::time::sleep(Duration::from_millis(2)).await;
    let now = Millis::now().rfc3339();
    let purged = scene.api.delete(&format!("{all}?before={now}")).await.expect(200);
    assert_eq!(purged["purged"], 2);
    assert!(scene.letters("").await.is_empty());
}

#[tokio::test]
async fn a_message_is_resent_to_an_endpoint_that_never_got_it() {
    let scene = Scene::new().await;
    let message = publish(&scene.api, "a").await;
    scene.settler.settle(Verdict::Delivered).await;
    let late: String = scene.api.endpoint("acme").await;
    let path = format!("/app/acme/msg/{message}/endpoint/{late}/resend");
    scene.api.post_raw(&path, "").await.expect(202);
    let queue = Queue::live(scene.queue.app, late.parse().unwrap());
    let (_, delivery) = first_delivery(&scene.stored.store, queue.lane()).await;
    assert_eq!((delivery.endpoint, delivery.message.to_string()), (queue.endpoint, message));
}

#[tokio::test]
async fn a_message_whose_body_is_gone_is_told_from_one_that_never_was() {
    let lifetimes = Lifetimes { retention: Duration::from_millis(1), ..Lifetimes::default() };
    let stored = stored_for(lifetimes);
    let scene = Scene::of(Api::start(&stored.store).await, stored).await;
    let message = publish(&scene.api, "a").await;
    scene.settler.settle(Verdict::Delivered).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let resend = async |message: &str| {
        let path = format!("/app/acme/msg/{message}/endpoint/{}/resend", scene.endpoint);
        scene.api.post_raw(&path, "").await
    };
    resend(&message).await.expect_error(410, "gone");
    resend("msg_0000000000000000000000").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn each_kind_begins_a_task() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for (path, name) in [
        ("recover", "endpoint.recover"),
        ("replay-missing", "endpoint.replay"),
        ("bulk-replay", "endpoint.bulk-replay"),
    ] {
        let body = json!({"since": SINCE, "until": "2026-02-01T00:00:00"});
        let task = scene.api.post(&scene.path(path), body).await.expect(202);
        assert_eq!((&task["task"], &task["status"]), (&json!(name), &json!("running")));
        assert!(task["id"].as_str().unwrap().starts_with("qtask_"), "{task}");
        assert!(task["updatedAt"].is_string() && task["data"]["messagesSent"] == 0, "{task}");
        let found = format!("/background-task/{}", task["id"].as_str().unwrap());
        assert_eq!(scene.api.get(&found).await.expect(200), task);
        ids.push(task["id"].clone());
    }
    let list = async |query: &str| {
        let page = scene.api.get(&format!("/background-task?{query}")).await.expect(200);
        let data = page["data"].as_array().unwrap();
        data.iter().map(|task| task["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(list("order=ascending").await, ids);
    assert_eq!(list("limit=1").await, [ids[2].clone()], "the latest first");
    assert_eq!(list("task=endpoint.replay&status=running").await, [ids[1].clone()]);
    assert_eq!(list("status=failed").await, [] as [Value; 0]);
    let wrong = scene.api.get("/background-task?status=bored").await;
    wrong.expect_error(422, "validation_failed");

    let all = scene.api.post_raw(&scene.path("dead-letter/replay"), "").await.expect(202);
    assert_eq!(all["task"], "endpoint.recover");
    assert_ne!(all["id"], ids[0], "it means all of them");
}

#[tokio::test]
async fn a_request_that_is_repeated_begins_no_other_task() {
    let scene = Scene::new().await;
    let begin = async |body: Value| {
        scene.api.post(&scene.path("recover"), body).await.expect(202)["id"].clone()
    };
    let first = begin(json!({"since": SINCE})).await;
    assert_eq!(begin(json!({"since": SINCE})).await, first);
    let cancel = format!("/background-task/{}/cancel", first.as_str().unwrap());
    assert_ne!(begin(json!({"since": "2026-01-02T00:00:00Z"})).await, first);
    assert_ne!(begin(json!({"since": SINCE, "eventTypes": ["a"]})).await, first);
    scene.api.post_raw(&cancel, "").await.expect(200);
    assert_ne!(begin(json!({"since": SINCE})).await, first, "that one has ended");
}

#[tokio::test]
async fn an_endpoint_has_a_few_tasks_at_a_time() {
    let scene = Scene::new().await;
    let recover = scene.path("recover");
    let since = |day: u32| json!({"since": format!("2026-01-{:02}T00:00:00Z", day + 1)});
    let mut last = Value::Null;
    for day in 0..16 {
        last = scene.api.post(&recover, since(day)).await.expect(202);
    }
    scene.api.post(&recover, since(16)).await.expect_error(409, "conflict");
    scene.api.post(&recover, since(15)).await.expect(202);
    let cancel = format!("/background-task/{}/cancel", last["id"].as_str().unwrap());
    scene.api.post_raw(&cancel, "").await.expect(200);
    scene.api.post(&recover, since(16)).await.expect(202);
}

#[tokio::test]
async fn a_task_is_cancelled_by_those_who_may_see_it() {
    let scene = Scene::new().await;
    scene.api.application("other").await;
    let task = scene.api.post(&scene.path("recover"), json!({"since": SINCE})).await.expect(202);
    let id = task["id"].as_str().unwrap();
    let others = format!("/app/other/background-task/{id}");
    scene.api.get(&others).await.expect_error(404, "not_found");
    scene.api.post_raw(&format!("{others}/cancel"), "").await.expect_error(404, "not_found");
    let page = scene.api.get("/app/other/background-task").await.expect(200);
    assert_eq!(page["data"], json!([]));
    let own = format!("/app/acme/background-task/{id}");
    assert_eq!(scene.api.get(&own).await.expect(200)["status"], "running");
    let page = scene.api.get("/app/acme/background-task").await.expect(200);
    assert_eq!(page["data"][0]["id"], id);
    for path in [format!("{own}/cancel"), format!("/background-task/{id}/cancel")] {
        let cancelled = scene.api.post_raw(&path, "").await.expect(200);
        assert_eq!(cancelled["status"], "failed");
        assert_eq!(cancelled["data"]["sluicegate"]["reason"], "cancelled");
    }
    for unknown in ["qtask_0000000000000000000000", "nonsense"] {
        let path = format!("/background-task/{unknown}");
        scene.api.get(&path).await.expect_error(404, "not_found");
        scene.api.post_raw(&format!("{path}/cancel"), "").await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn a_dry_run_counts_and_begins_nothing() {
    let scene = Scene::new().await;
    scene.give_up("a", DeadReason::Exhausted).await;
    scene.give_up("b", DeadReason::Gone).await;
    publish(&scene.api, "a").await;
    scene.settler.settle(Verdict::Delivered).await;
    let slow = json!({"rateLimit": 2});
    scene.api.patch(&format!("/app/acme/endpoint/{}", scene.endpoint), slow).await.expect(200);
    for (path, body, messages) in [
        ("recover", json!({"since": SINCE}), 2),
        ("recover", json!({"since": SINCE, "reason": "gone"}), 1),
        ("recover", json!({"since": SINCE, "eventTypes": ["a"]}), 1),
        ("recover", json!({"since": SINCE, "until": "2026-01-02T00:00:00Z"}), 0),
        ("dead-letter/replay", json!({}), 2),
        ("replay-missing", json!({"since": SINCE}), 0),
        ("bulk-replay", json!({"since": SINCE}), 3),
        ("bulk-replay", json!({"since": SINCE, "status": 2}), 2),
        ("bulk-replay", json!({"since": SINCE, "statusCodeClass": 200}), 1),
        ("bulk-replay", json!({"since": SINCE, "eventTypes": ["a"], "status": 0}), 1),
    ] {
        let path = format!("{}?dryRun=true", scene.path(path));
        let answer = scene.api.post(&path, body.clone()).await.expect(200);
        assert_eq!(answer["messages"], messages, "{path} {body}");
        assert_eq!(answer["complete"], true);
        assert_eq!(answer["atLeastSeconds"], f64::from(messages) / 2.0);
    }
    let late = scene.api.endpoint("acme").await;
    let path = format!("/app/acme/endpoint/{late}/replay-missing?dryRun=true");
    let answer = scene.api.post(&path, json!({"since": SINCE})).await.expect(200);
    assert_eq!(answer["messages"], 3, "it was created later");
    let tasks = scene.api.get("/background-task").await.expect(200);
    assert_eq!(tasks["data"], json!([]));
}

#[tokio::test]
async fn a_selection_that_makes_no_sense_is_refused() {
    let scene = Scene::new().await;
    for (path, body, field) in [
        ("recover", json!({}), "since"),
        ("recover", json!({"since": "yesterday"}), "since"),
        ("recover", json!({"since": "2100-01-01T00:00:00Z"}), "since"),
        ("recover", json!({"since": SINCE, "until": SINCE}), "since"),
        ("recover", json!({"since": SINCE, "until": "soon"}), "until"),
        ("recover", json!({"since": SINCE, "status": 2}), "status"),
        ("replay-missing", json!({"since": SINCE, "reason": "gone"}), "reason"),
        ("bulk-replay", json!({"since": SINCE, "status": 1}), "status"),
        ("bulk-replay", json!({"since": SINCE, "statusCodeClass": 250}), "statusCodeClass"),
        ("bulk-replay", json!({"since": SINCE, "eventTypes": ["ä"]}), "eventTypes"),
    ] {
        let answer = scene.api.post(&scene.path(path), body.clone()).await;
        answer.expect_error(422, "validation_failed");
        assert_eq!(answer.json()["detail"][0]["loc"], json!(["body", field]), "{body}");
    }
    let nowhere = "/app/acme/endpoint/nowhere/recover";
    scene.api.post(nowhere, json!({"since": SINCE})).await.expect_error(404, "not_found");
}
