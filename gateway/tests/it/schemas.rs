//! Payloads that must fit the schema of their event type.

use serde_json::{Value, json};

use crate::harness::{Api, fresh};

async fn put(api: &Api, name: &str, schemas: Value, validate: bool) -> crate::harness::Answer {
    let settings = json!({"validate": validate});
    let body = json!({"description": "d", "schemas": schemas, "sluicegate": settings});
    api.put(&format!("/event-type/{name}"), body).await
}

async fn publish(api: &Api, event_type: &str, payload: Value) -> crate::harness::Answer {
    api.post("/app/acme/msg", json!({"eventType": event_type, "payload": payload})).await
}

fn invoice() -> Value {
    json!({
        "type": "object", "required": ["id"],
        "properties": {
            "id": {"type": "string", "pattern": "^inv_"},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        },
        "$defs": {"line": {"properties": {"a/b": {"type": "integer"}}}},
    })
}

#[tokio::test]
async fn a_payload_that_does_not_fit_is_refused_where_it_is_wrong() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let created = put(&api, "invoice", json!({"1": {}, "2": invoice()}), true).await.expect(201);
    assert_eq!(created["sluicegate"], json!({"validate": true}));
    publish(&api, "invoice", json!({"id": "inv_1", "lines": [{"a/b": 1}]})).await.expect(202);
    publish(&api, "other", json!({"id": 1})).await.expect(202);
    for (payload, place) in [
        (json!({}), json!(["body", "payload"])),
        (json!({"id": "secret-1"}), json!(["body", "payload", "id"])),
        (
            json!({"id": "inv_1", "lines": [{}, {"a/b": "x"}]}),
            json!(["body", "payload", "lines", "1", "a/b"]),
        ),
    ] {
        let refused = publish(&api, "invoice", payload.clone()).await;
        refused.expect_error(422, "validation_failed");
        let fault = &refused.json()["detail"][0];
        assert_eq!((&fault["loc"], &fault["type"]), (&place, &json!("json_schema")), "{payload}");
        assert!(!refused.text.contains("secret-1"), "{}", refused.text);
    }
    let batch = json!([
        {"eventType": "invoice", "payload": {"id": "inv_2"}},
        {"eventType": "invoice", "payload": {"id": 2}},
    ]);
    let answer = api.post("/app/acme/msg/batch", batch).await.expect(200);
    assert_eq!(
        (&answer["data"][0]["status"], &answer["data"][1]["status"]),
        (&json!(202), &json!(422))
    );

    // A change holds at once where it is made.
    put(&api, "invoice", json!({"3": {"type": "object"}}), true).await.expect(200);
    publish(&api, "invoice", json!({})).await.expect(202);
    put(&api, "invoice", json!({"3": {"type": "string"}}), true).await.expect(200);
    publish(&api, "invoice", json!({})).await.expect_error(422, "validation_failed");
    let off = json!({"sluicegate": {"validate": false}});
    let off = api.patch("/event-type/invoice", off).await.expect(200);
    assert_eq!(off["sluicegate"], Value::Null);
    publish(&api, "invoice", json!({})).await.expect(202);
}

#[tokio::test]
async fn schemas_are_checked_when_they_are_written() {
    let (api, _stored) = fresh().await;
    let itself = json!({"properties": {"next": {"$ref": "#"}}});
    for (schemas, validate, place) in [
        (json!([]), false, "schemas"),
        (json!({"1": 1}), false, "schemas/1"),
        (json!({"1": {"type": "strin"}}), false, "schemas/1"),
        (json!({"1": {"$ref": "http://example.com/s"}}), false, "schemas/1"),
        (json!({"1": {"$schema": "http://example.com/meta"}}), false, "schemas/1"),
        (json!({"1": {}, "2": {"pattern": "(?=a)"}}), true, "schemas/2"),
        (json!({"1": itself}), true, "schemas/1"),
        (Value::Null, true, "sluicegate"),
        (json!({}), true, "sluicegate"),
    ] {
        let refused = put(&api, "a", schemas.clone(), validate).await;
        refused.expect_error(422, "validation_failed");
        let loc = refused.json()["detail"][0]["loc"].clone();
        let loc: Vec<String> = serde_json::from_value(loc).unwrap();
        assert_eq!(loc[1..].join("/"), place, "{schemas}: {}", refused.text);
    }
    put(&api, "a", json!({"1": itself}), false).await.expect(201);
    let on = json!({"sluicegate": {"validate": true}});
    api.patch("/event-type/a", on).await.expect_error(422, "validation_failed");
    let unknown = json!({"sluicegate": {"valid": true}});
    api.patch("/event-type/a", unknown).await.expect_error(422, "validation_failed");
}
