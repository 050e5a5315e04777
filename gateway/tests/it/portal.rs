//! The portal: links that work once, tokens that see one application, and how they end.

use reqwest::{Client, Method};
use serde_json::{Value, json};
use shared::{
    domain::PortalAccess,
    store::{Document, Expect, Kind},
    time::Millis,
};

use crate::harness::{Answer, Api, Stored, config, fresh, send, stored};

async fn granted(api: &Api, body: Value) -> (String, String) {
    let granted = api.post("/auth/app-portal-access/acme", body).await.expect(200);
    let (url, token) = (granted["url"].as_str().unwrap(), granted["token"].as_str().unwrap());
    (url.split_once('#').unwrap().1.to_owned(), token.to_owned())
}

async fn exchange(api: &Api, code: &str) -> Answer {
    let request = Client::new().post(api.url("/auth/one-time-token"));
    send(request.json(&json!({"oneTimeToken": code}))).await
}

async fn ask(api: &Api, token: &str, method: Method, path: &str) -> Answer {
    let request = api.request_as(token, method, path);
    send(request.json(&json!({"url": "https://example.com/", "eventType": "a", "payload": 1})))
        .await
}

async fn kept(stored: &Stored, app: &str) -> PortalAccess {
    let json = stored.store.document(Kind::Portal, app).await.unwrap().unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// Ends all tokens and links, as time would.
async fn end_all(stored: &Stored, app: &str) {
    let mut access = kept(stored, app).await;
    for token in &mut access.tokens {
        token.expires_at = Millis(1);
    }
    let json = serde_json::to_vec(&access).unwrap().into();
    let document = Document { name: app.to_owned(), json };
    stored.store.put_document(Kind::Portal, &document, &Expect::Any).await.unwrap();
}

#[actix_web::test]
async fn a_link_becomes_a_token_once() {
    let (api, stored) = fresh().await;
    let app = api.application("acme").await;
    api.endpoint("acme").await;
    let (code, token) = granted(&api, json!({})).await;
    let page = exchange(&api, &code).await.expect(200);
    assert_eq!(page["appId"], app);
    let day = |end: Millis| end.since(Millis::now()).as_secs() <= 86_400;
    let short = kept(&stored, &app).await.tokens.into_iter().filter(|it| day(it.expires_at));
    assert_eq!(short.count(), 1, "a page's token is good for a day, the other for a week");
    let of_page = page["token"].as_str().unwrap();
    for token in [&token, of_page] {
        let path = format!("/app/{app}/endpoint");
        ask(&api, token, Method::GET, &path).await.expect(200);
        ask(&api, token, Method::GET, "/app").await.expect_error(404, "not_found");
    }
    exchange(&api, &code).await.expect_error(401, "authentication_failed");
    let (unused, _) = granted(&api, json!({})).await;
    for code in ["", "sgo_", &token, &unused.replace("sgo_", "sgp_"), &unused[..unused.len() - 1]] {
        exchange(&api, code).await.expect_error(401, "authentication_failed");
    }
    ask(&api, &unused, Method::GET, "/app/acme").await.expect_error(401, "authentication_failed");
    // Two at once: one of them has it.
    let both = [exchange(&api, &unused), exchange(&api, &unused)];
    let both = futures_util::future::join_all(both).await;
    assert_eq!(both.iter().filter(|answer| answer.status == 200).count(), 1, "{both:?}");

    let json = stored.store.document(Kind::Portal, &app).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&json);
    for secret in [&token, &code, of_page] {
        assert!(!text.contains(&secret[secret.len() - 32..]), "{text}");
    }
    api.delete("/app/acme").await.expect(204);
    assert_eq!(stored.store.document(Kind::Portal, &app).await.unwrap(), None);
}

#[actix_web::test]
async fn a_token_may_what_it_was_given() {
    let (api, _stored) = fresh().await;
    api.application("acme").await;
    let endpoint = api.endpoint("acme").await;
    let secret = format!("/app/acme/endpoint/{endpoint}/secret");
    for (body, created, seen) in [
        (json!({}), 201, 200),
        (json!({"readOnly": true}), 404, 404),
        (json!({"readOnly": true, "capabilities": ["ManageEndpoint"]}), 404, 404),
        (json!({"capabilities": ["ViewBase", "ViewEndpointSecret"]}), 404, 200),
        (json!({"capabilities": ["ManageEndpoint"], "featureFlags": ["a"]}), 201, 200),
    ] {
        let (_, token) = granted(&api, body.clone()).await;
        let ask = async |method, path: &str| ask(&api, &token, method, path).await.status;
        assert_eq!(ask(Method::GET, "/app/acme").await, 200, "{body}");
        assert_eq!(ask(Method::POST, "/app/acme/endpoint").await, created, "{body}");
        assert_eq!(ask(Method::GET, &secret).await, seen, "{body}");
        assert_eq!(ask(Method::POST, "/app/acme/msg").await, 404, "{body}");
        assert_eq!(ask(Method::POST, "/auth/app-portal-access/acme").await, 404, "{body}");
    }
    let path = "/auth/app-portal-access/acme";
    for wrong in [
        json!({"expiry": 3599}),
        json!({"expiry": 604_801}),
        json!({"capabilities": ["Everything"]}),
        json!({"sessionId": "s".repeat(257)}),
    ] {
        api.post(path, wrong).await.expect_error(422, "validation_failed");
    }
    let missing = "/auth/app-portal-access/nobody";
    api.post(missing, json!({})).await.expect_error(404, "not_found");
    let new = json!({"application": {"name": "Nobody", "uid": "nobody"}});
    api.post(missing, new).await.expect(200);
    send(api.request(Method::POST, "/auth/dashboard-access/acme")).await.expect(200);
}

#[actix_web::test]
async fn tokens_end() {
    let (api, stored) = fresh().await;
    let app = api.application("acme").await;
    let (_, token) = granted(&api, json!({"expiry": 3600})).await;
    let asked = async |token: &str| ask(&api, token, Method::GET, "/app/acme").await.status;
    assert_eq!(asked(&token).await, 200);
    let end = kept(&stored, &app).await.tokens[0].expires_at;
    assert!(end.since(Millis::now()).as_secs() <= 3600 && end > Millis::now());

    ask(&api, &token, Method::POST, "/auth/logout").await.expect(204);
    assert_eq!(asked(&token).await, 401);
    ask(&api, &token, Method::POST, "/auth/logout")
        .await
        .expect_error(401, "authentication_failed");
    api.post("/auth/logout", json!({})).await.expect_error(400, "not_of_portal");

    let (mine, first) = granted(&api, json!({"sessionId": "mine"})).await;
    let (_, second) = granted(&api, json!({"sessionId": "other"})).await;
    let path = "/auth/app/acme/expire-all";
    api.post(path, json!({"sessionIds": ["mine"]})).await.expect(204);
    assert_eq!(asked(&first).await, 401);
    assert_eq!(asked(&second).await, 200);
    exchange(&api, &mine).await.expect_error(401, "authentication_failed");
    let (_, third) = granted(&api, json!({})).await;
    api.post(path, json!({"expiry": 600})).await.expect(204);
    assert_eq!(asked(&third).await, 200);
    for token in kept(&stored, &app).await.tokens {
        assert!(token.expires_at.since(Millis::now()).as_secs() <= 600);
    }
    api.post(path, json!({})).await.expect(204);
    assert!(kept(&stored, &app).await.tokens.is_empty());

    let (code, token) = granted(&api, json!({})).await;
    end_all(&stored, &app).await;
    assert_eq!(asked(&token).await, 401);
    exchange(&api, &code).await.expect_error(401, "authentication_failed");
}

#[actix_web::test]
async fn the_page_needs_nothing_from_elsewhere() {
    let (api, _stored) = fresh().await;
    let root = api.url("").replace("/api/v1", "");
    for (path, media) in [
        ("/portal", "text/html"),
        ("/portal/portal.js", "text/javascript"),
        ("/portal/portal.css", "text/css"),
    ] {
        let answer = send(Client::new().get(format!("{root}{path}"))).await;
        assert_eq!(answer.status, 200);
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with(media));
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        for (header, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(answer.headers[header], value, "{path}");
        }
        for foreign in ["http://", "https://", "innerHTML", "onclick=", "style=", "eval("] {
            assert!(!answer.text.contains(foreign), "{path} has {foreign}");
        }
    }
    let granted = api.application("acme").await;
    let granted = api.post(&format!("/auth/app-portal-access/{granted}"), json!({})).await;
    let url = granted.expect(200)["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&format!("{root}/portal#sgo_")), "{url}");
}

#[actix_web::test]
async fn links_begin_where_browsers_reach_the_api() {
    let stored = stored();
    let public_url = "https://hooks.example.com/".to_owned();
    let api = Api::start_with(&stored.store, gateway::Config { public_url, ..config() }).await;
    api.application("acme").await;
    let granted = api.post("/auth/app-portal-access/acme", json!({})).await.expect(200);
    let url = granted["url"].as_str().unwrap();
    assert!(url.starts_with("https://hooks.example.com/portal#sgo_"), "{url}");
}
