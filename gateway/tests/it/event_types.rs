//! Event types.

use serde_json::json;

use crate::harness::fresh;

#[tokio::test]
async fn life_of_an_event_type() {
    let (api, _stored) = fresh().await;
    let schemas = json!({"1": {"type": "object"}});
    let body =
        json!({"name": "a.b", "description": "d", "schemas": schemas, "featureFlags": ["f"]});
    let created = api.post("/event-type", body.clone()).await.expect(201);
    assert_eq!(created["featureFlags"], json!(["f"]));
    assert_eq!((&created["archived"], &created["deprecated"]), (&json!(false), &json!(false)));
    api.post("/event-type", body.clone()).await.expect_error(409, "conflict");
    assert_eq!(api.get("/event-type/a.b").await.expect(200), created);

    let listed = api.get("/event-type").await.expect(200);
    assert_eq!(listed["data"][0]["schemas"], json!(null));
    let listed = api.get("/event-type?with_content=true").await.expect(200);
    assert_eq!(listed["data"][0]["schemas"], schemas);

    let patched = api.patch("/event-type/a.b", json!({"deprecated": true})).await.expect(200);
    assert_eq!((&patched["deprecated"], &patched["description"]), (&json!(true), &json!("d")));
    let put = api.put("/event-type/a.b", json!({"description": "e"})).await.expect(200);
    assert_eq!((&put["deprecated"], &put["schemas"]), (&json!(false), &json!(null)));
    api.put("/event-type/new", json!({"description": "n"})).await.expect(201);

    api.delete("/event-type/a.b").await.expect(204);
    assert_eq!(api.get("/event-type/a.b").await.expect(200)["archived"], true);
    let names = |page: serde_json::Value| page["data"].as_array().unwrap().len();
    assert_eq!(names(api.get("/event-type").await.expect(200)), 1);
    assert_eq!(names(api.get("/event-type?include_archived=true").await.expect(200)), 2);
    api.post("/event-type", body).await.expect(201);

    api.delete("/event-type/a.b?expunge=true").await.expect(204);
    api.get("/event-type/a.b").await.expect_error(404, "not_found");
    api.delete("/event-type/a.b").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn names_are_checked() {
    let (api, _stored) = fresh().await;
    for body in [
        json!({"name": "a b", "description": ""}),
        json!({"description": ""}),
        json!({"name": "a"}),
    ] {
        api.post("/event-type", body).await.expect_error(422, "validation_failed");
    }
}

#[tokio::test]
async fn an_environment_is_exported_and_imported() {
    let (from, _stored) = fresh().await;
    for name in ["a", "b"] {
        let schemas = json!({"1": {"type": "object"}});
        let body = json!({"name": name, "description": name, "schemas": schemas});
        from.post("/event-type", body).await.expect(201);
    }
    from.delete("/event-type/b").await.expect(204);
    let exported = from.post_raw("/environment/export", "").await.expect(200);
    assert_eq!((&exported["connectors"], &exported["settings"]), (&json!([]), &json!(null)));

    let (to, _stored) = fresh().await;
    to.post("/event-type", json!({"name": "a", "description": "old"})).await.expect(201);
    to.post("/event-type", json!({"name": "c", "description": "stays"})).await.expect(201);
    to.post("/environment/import", exported.clone()).await.expect(204);
    let all = to.get("/event-type?include_archived=true").await.expect(200);
    let shown = |it: &serde_json::Value| json!([it["name"], it["description"], it["archived"]]);
    let shown: Vec<_> = all["data"].as_array().unwrap().iter().map(shown).collect();
    assert_eq!(
        shown,
        [json!(["a", "a", false]), json!(["b", "b", true]), json!(["c", "stays", false])]
    );

    for wrong in [
        json!({"eventTypes": [{"name": "new", "description": ""}, {"description": "nameless"}]}),
        json!({"connectors": [{"name": "c"}]}),
        json!({"settings": {"color": "red"}}),
    ] {
        to.post("/environment/import", wrong).await.expect_error(422, "validation_failed");
    }
    to.get("/event-type/new").await.expect_error(404, "not_found");
}
