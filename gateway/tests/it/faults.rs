//! What a request is told while the store fails, and how messages share calls.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde_json::json;
use shared::store::{ErrorKind, SharedStore};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    harness::{Api, Stored, stored},
    scripted::{Act, PATIENCE, Scripted},
};

async fn scripted(script: impl IntoIterator<Item = Act>) -> (Api, Arc<Scripted>, Stored) {
    let stored = stored();
    let scripted = Scripted::new(stored.store.clone(), script);
    let store: SharedStore = scripted.clone();
    let api = Api::start(&store).await;
    api.application("acme").await;
    (api, scripted, stored)
}

fn message() -> serde_json::Value {
    json!({"eventType": "a", "payload": {}, "eventId": "e1"})
}

#[tokio::test]
async fn an_outage_is_a_503_with_a_time_to_try_again() {
    let kinds = [(ErrorKind::Unavailable, "store_unavailable"), (ErrorKind::Full, "store_full")];
    let (api, _, _stored) = scripted(kinds.map(|(kind, _)| Act::Refuse(kind))).await;
    for (_, code) in kinds {
        let answer = api.post("/app/acme/msg", message()).await;
        answer.expect_error(503, code);
        assert!(answer.headers.contains_key("retry-after"));
    }
    api.post("/app/acme/msg", message()).await.expect(202);
    assert_eq!(api.counted("sluicegate_gateway_messages_refused_total"), 2.0);
    assert_eq!(api.counted("sluicegate_gateway_store_errors_total"), 2.0);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again() {
    let script = [Act::Refuse(ErrorKind::Ambiguous), Act::LoseTheAnswer];
    let (api, store, _stored) = scripted(script).await;
    api.post("/app/acme/msg", message()).await.expect(202);
    assert_eq!(*store.batches.lock().unwrap(), [1, 1, 1]);
    assert_eq!(api.counted("sluicegate_gateway_publish_errors_total"), 2.0);
    assert_eq!(api.counted("sluicegate_gateway_store_errors_total"), 0.0);
    let listed = api.get("/app/acme/msg").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_definite_no_after_a_lost_answer_settles_nothing() {
    let script =
        [Act::LoseTheAnswer, Act::Refuse(ErrorKind::Unavailable), Act::Refuse(ErrorKind::Full)];
    let (api, store, _stored) = scripted(script).await;
    api.post("/app/acme/msg", message()).await.expect(202);
    assert_eq!(store.batches.lock().unwrap().len(), 4);
    let listed = api.get("/app/acme/msg").await.expect(200);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn messages_that_wait_share_a_call() {
    let gate = Arc::new(Semaphore::new(0));
    let (api, store, _stored) = scripted([Act::Wait(gate.clone())]).await;
    let path = "/app/acme/msg";
    let sending =
        join_all((0..40).map(|n| api.post(path, json!({"eventType": "a", "payload": {"n": n}}))));
    let opening = async {
        while store.batches.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        // A call is under way. The gate opens when others have had time to come, however busy the machine.
        tokio::time::sleep(Duration::from_millis(500)).await;
        gate.add_permits(1);
    };
    let (answers, ()) = timeout(PATIENCE, async { tokio::join!(sending, opening) }).await.unwrap();
    for answer in answers {
        answer.expect(202);
    }
    let batches = store.batches.lock().unwrap().clone();
    assert_eq!(batches.iter().sum::<usize>(), 40);
    assert!(batches.iter().all(|messages| *messages <= 64), "{batches:?}");
    assert!(batches.len() < 40, "{batches:?}");
}

#[tokio::test]
async fn a_message_that_the_store_finds_for_another_tenant_is_not_shown() {
    let (api, store, _stored) = scripted([]).await;
    let owner = api.get("/app/acme").await.expect(200)["id"].as_str().unwrap().parse().unwrap();
    api.application("other").await;
    *store.owner_of_all.lock().unwrap() = Some(owner);
    let sent = api.post("/app/acme/msg", message()).await.expect(202);
    let id = sent["id"].as_str().unwrap();
    api.get(&format!("/app/acme/msg/{id}")).await.expect(200);
    api.get(&format!("/app/other/msg/{id}")).await.expect_error(404, "not_found");
}
