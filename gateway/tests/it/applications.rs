//! Applications.

use serde_json::json;

use crate::harness::fresh;

#[tokio::test]
async fn life_of_an_application() {
    let (api, _stored) = fresh().await;
    let body = json!({"name": "Acme", "uid": "acme", "rateLimit": 7, "metadata": {"k": "v"}});
    let created = api.post("/app", body).await.expect(201);
    assert_eq!(created["throttleRate"], 7);
    assert_eq!(created["rateLimit"], 7);
    assert_eq!(created["metadata"], json!({"k": "v"}));
    let id = created["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("app_"));

    assert_eq!(api.get(&format!("/app/{id}")).await.expect(200), created);
    assert_eq!(api.get("/app/acme").await.expect(200), created);
    assert_eq!(api.get("/app/acme/").await.expect(200), created);

    let patched = api.patch("/app/acme", json!({"name": "Acme 2", "throttleRate": null})).await;
    let patched = patched.expect(200);
    assert_eq!(patched["name"], "Acme 2");
    assert_eq!(patched["throttleRate"], json!(null));
    assert_eq!(patched["metadata"], json!({"k": "v"}));

    let put = api.put(&format!("/app/{id}"), json!({"name": "Acme 3", "uid": "acme"})).await;
    assert_eq!(put.expect(200)["metadata"], json!({}));

    api.delete("/app/acme").await.expect(204);
    api.get("/app/acme").await.expect_error(404, "not_found");
    api.get(&format!("/app/{id}")).await.expect_error(404, "not_found");
    assert_eq!(api.get("/app").await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn a_uid_is_unique_until_it_is_given_up() {
    let (api, _stored) = fresh().await;
    let first = api.application("acme").await;
    api.post("/app", json!({"name": "x", "uid": "acme"})).await.expect_error(409, "conflict");
    let again = api.post("/app?get_if_exists=true", json!({"name": "x", "uid": "acme"})).await;
    assert_eq!(again.expect(200)["id"], first.as_str());

    let other = api.application("other").await;
    api.patch("/app/other", json!({"uid": "acme"})).await.expect_error(409, "conflict");
    api.patch("/app/acme", json!({"uid": "renamed"})).await.expect(200);
    api.get("/app/acme").await.expect_error(404, "not_found");
    assert_eq!(api.get("/app/renamed").await.expect(200)["id"], first.as_str());
    api.patch("/app/other", json!({"uid": "acme"})).await.expect(200);
    assert_eq!(api.get("/app/acme").await.expect(200)["id"], other.as_str());

    api.delete("/app/acme").await.expect(204);
    assert_ne!(api.application("acme").await, other);
}

#[tokio::test]
async fn put_creates_what_is_missing() {
    let (api, _stored) = fresh().await;
    let created = api.put("/app/acme", json!({"name": "Acme"})).await.expect(201);
    assert_eq!(created["uid"], "acme");
    let replaced = api.put("/app/acme", json!({"name": "Acme 2"})).await.expect(200);
    assert_eq!(replaced["id"], created["id"]);
    assert_eq!(replaced["uid"], "acme");
    let unknown = "/app/app_0000000000000000000000";
    api.put(unknown, json!({"name": "x"})).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn lists_go_in_pages() {
    let (api, _stored) = fresh().await;
    for n in 0..5 {
        api.application(&format!("a{n}")).await;
    }
    let names = |page: &serde_json::Value| -> Vec<String> {
        let data = page["data"].as_array().unwrap();
        data.iter().map(|app| app["uid"].as_str().unwrap().to_owned()).collect()
    };
    let first = api.get("/app?limit=3").await.expect(200);
    assert_eq!(names(&first), ["a0", "a1", "a2"]);
    assert_eq!(first["done"], false);
    let iterator = first["iterator"].as_str().unwrap();
    let second = api.get(&format!("/app?limit=3&iterator={iterator}")).await.expect(200);
    assert_eq!(names(&second), ["a3", "a4"]);
    assert_eq!(second["done"], true);
    let back = second["prevIterator"].as_str().unwrap();
    let first = api.get(&format!("/app?limit=3&iterator={back}")).await.expect(200);
    assert_eq!(names(&first), ["a0", "a1", "a2"]);
    let newest = api.get("/app?order=descending&limit=1").await.expect(200);
    assert_eq!(names(&newest), ["a4"]);
    api.get("/app?limit=0").await.expect_error(422, "validation_failed");
    api.get("/app?limit=x").await.expect_error(422, "validation_failed");
}

#[tokio::test]
async fn faults_are_named_all_at_once() {
    let (api, _stored) = fresh().await;
    let body = json!({"uid": "not a name", "rateLimit": 0});
    let answer = api.post("/app", body).await;
    answer.expect_error(422, "validation_failed");
    let faults = answer.json()["detail"].as_array().unwrap().clone();
    let fields: Vec<_> = faults.iter().map(|fault| fault["loc"][1].as_str().unwrap()).collect();
    assert_eq!(fields, ["name", "uid", "throttleRate"]);
    let looks_like_an_id = json!({"name": "x", "uid": "app_0000000000000000000000"});
    api.post("/app", looks_like_an_id).await.expect_error(422, "validation_failed");
}
