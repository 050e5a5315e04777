//! Event types from an OpenAPI document.

use serde_json::{Value, json};

use crate::harness::{Api, fresh};

const PATH: &str = "/event-type/import/openapi";

const YAML: &str = "
openapi: 3.1.0
webhooks:
  pet.new:
    post:
      description: A new pet
      requestBody:
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Pet'}
      responses:
        200: {description: Taken}
  pet.gone:
    post: {summary: A pet is gone, deprecated: true}
components:
  schemas:
    Pet: {type: object, required: [name], properties: {name: {type: string}}}
";

async fn import(api: &Api, body: Value) -> Value {
    api.post(PATH, body).await.expect(200)["data"].clone()
}

async fn names(api: &Api) -> Vec<String> {
    let listed = api.get("/event-type").await.expect(200);
    let listed = listed["data"].as_array().unwrap().iter();
    listed.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn webhooks_become_event_types() {
    let (api, _stored) = fresh().await;
    api.put("/event-type/old", json!({"description": "o"})).await.expect(201);
    let dry = import(&api, json!({"specRaw": YAML, "dryRun": true})).await;
    assert_eq!(dry["modified"], json!([]));
    let planned = dry["to_modify"].as_array().unwrap();
    let pet = planned.iter().find(|one| one["name"] == "pet.new").unwrap();
    assert_eq!((planned.len(), &pet["description"]), (2, &json!("A new pet")));
    assert_eq!(pet["schemas"]["1"]["$ref"], "#/$defs/Pet");
    assert_eq!(names(&api).await, ["old"], "it was only asked");

    let done = import(&api, json!({"specRaw": YAML})).await;
    assert_eq!(done, json!({"modified": ["pet.gone", "pet.new"], "to_modify": null}));
    assert_eq!(names(&api).await, ["old", "pet.gone", "pet.new"]);
    assert_eq!(api.get("/event-type/pet.gone").await.expect(200)["deprecated"], true);
    assert_eq!(
        import(&api, json!({"specRaw": YAML})).await["modified"],
        json!([]),
        "nothing is new"
    );

    api.delete("/event-type/pet.new").await.expect(204);
    let again = import(&api, json!({"specRaw": YAML, "replaceAll": true})).await;
    assert_eq!(again["modified"], json!(["pet.new", "old"]));
    assert_eq!(names(&api).await, ["pet.gone", "pet.new"]);

    // What validates goes on validating, by the new schema.
    api.application("acme").await;
    api.patch("/event-type/pet.new", json!({"sluicegate": {"validate": true}})).await.expect(200);
    let message = json!({"eventType": "pet.new", "payload": {}});
    api.post("/app/acme/msg", message.clone()).await.expect_error(422, "validation_failed");
    let spec = json!({"x-webhooks": {"pet.new": {"post": {"requestBody": {"content": {
        "application/json": {"schema": {"type": "object"}}}}}}}});
    assert_eq!(import(&api, json!({"spec": spec})).await["modified"], json!(["pet.new"]));
    api.post("/app/acme/msg", message).await.expect(202);
}

#[tokio::test]
async fn documents_that_cannot_be_imported_change_nothing() {
    let (api, _stored) = fresh().await;
    let bomb = (0..12).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        format!("{text}a{}: &a{} [{}]\n", n + 1, n + 1, vec![format!("*a{n}"); 9].join(", "))
    });
    for body in [
        json!({}),
        json!({"spec": {"webhooks": {}}, "specRaw": "webhooks: {}"}),
        json!({"specRaw": "a: [b"}),
        json!({"specRaw": bomb}),
        json!({"specRaw": "[".repeat(10_000)}),
    ] {
        api.post(PATH, body).await.expect_error(400, "bad_request");
    }
    let schema = |schema: Value| json!({"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}});
    for (webhooks, place) in [
        (json!({"a": {"post": {}}, "b c": {"post": {}}}), "spec/webhooks/b c"),
        (json!({"a": {"post": {}}, "b": schema(json!({"$ref": "other.yaml"}))}), "spec/webhooks/b"),
        (json!({"a": {"post": {}}, "b": schema(json!({"type": 1}))}), "spec/b/schemas/1"),
    ] {
        let refused = api.post(PATH, json!({"spec": {"webhooks": webhooks}})).await;
        refused.expect_error(422, "validation_failed");
        let loc: Vec<String> =
            serde_json::from_value(refused.json()["detail"][0]["loc"].clone()).unwrap();
        assert_eq!(loc[1..].join("/"), place, "{}", refused.text);
    }
    assert_eq!(names(&api).await, [] as [String; 0]);
}
