//! No tenant reads or changes what is another's: every route, every kind of caller that is bound to
//! one application, every way to name what belongs to the other.
//!
//! `routes.txt` is the list of all routes; a unit test holds it against the routing itself. A route
//! with a new parameter fails here until [`Tenant::value`] has something to put in its place.

use std::{collections::BTreeMap, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use shared::{
    domain::{DeadReason, Queue},
    store::Verdict,
};

use crate::{
    harness::{Answer, Api, Stored, fresh, send},
    history::Settler,
};

const ROUTES: &str = include_str!("routes.txt");
const PREFIX: &str = "/api/v1";

/// Routes of no application that every caller may use, and why.
const OPEN: [(&str, &str); 15] = [
    ("GET /api/v1/health", "for everybody"),
    ("HEAD /api/v1/health", "for everybody"),
    ("GET /api/v1/health/ping", "for everybody"),
    ("HEAD /api/v1/health/ping", "for everybody"),
    ("GET /api/v1/event-type", "shared by all applications"),
    ("GET /api/v1/event-type/{name}", "shared by all applications"),
    ("POST /api/v1/auth/one-time-token", "the code names the application"),
    ("POST /api/v1/auth/logout", "ends the very token that is shown"),
    ("GET /api/v1/openapi.json", "a fixed file"),
    ("GET /docs", "a fixed file"),
    ("GET /docs/rapidoc.js", "a fixed file"),
    ("GET /portal", "a fixed file"),
    ("GET /portal/portal.js", "a fixed file"),
    ("GET /portal/portal.css", "a fixed file"),
    // Makes or replaces an endpoint of the caller's own: uids are per application.
    ("PUT /api/v1/app/{app}/endpoint/{endpoint}", "by uid, in the own application"),
];

/// A tenant with one of everything.
struct Tenant {
    /// Each parameter of a path, with all that it can be named by: its id first, then uids.
    names: BTreeMap<&'static str, Vec<String>>,
}

impl Tenant {
    async fn new(api: &Api, stored: &Stored, uid: &'static str) -> Self {
        let app = api.application(uid).await;
        let endpoint =
            json!({"url": format!("https://{uid}.example.com/"), "uid": format!("{uid}-e")});
        let endpoint = api.post(&format!("/app/{uid}/endpoint"), endpoint).await.expect(201);
        let endpoint = endpoint["id"].as_str().unwrap().to_owned();
        let headers = json!({"headers": {"x-tenant": format!("{uid}-canary")}});
        api.put(&format!("/app/{uid}/endpoint/{endpoint}/headers"), headers).await.expect(204);

        let queue = Queue::live(app.parse().unwrap(), endpoint.parse().unwrap());
        let settler = Settler::of(&stored.store, queue).await;
        let mut message = String::new();
        let mut attempt = String::new();
        for (event, verdict) in [
            ("1", Verdict::Dead(DeadReason::Exhausted)),
            ("2", Verdict::Retry { delay: Duration::from_secs(600), steps: 1 }),
            ("3", Verdict::Delivered),
        ] {
            let event_id = format!("{uid}-m{event}");
            let body = json!({"eventType": "a.b", "eventId": event_id,
                "payload": {"canary": format!("{uid}-canary")}});
            let made = api.post(&format!("/app/{uid}/msg"), body).await.expect(202);
            message = made["id"].as_str().unwrap().to_owned();
            attempt = settler.settle(verdict).await.id.to_string();
        }
        let path = format!("/app/{uid}/endpoint/{endpoint}");
        let letters = api.get(&format!("{path}/dead-letter")).await.expect(200);
        let letter = letters["data"][0]["id"].as_str().unwrap().to_owned();
        let since = json!({"since": "2026-01-01T00:00:00Z"});
        let task = api.post(&format!("{path}/bulk-replay"), since).await.expect(202);
        let task = task["id"].as_str().unwrap().to_owned();
        let key = json!({"name": "k", "scope": "read", "appId": app});
        let key = api.post("/sluicegate/api-key", key).await.expect(201);
        api.put(&format!("/sluicegate/limit/{uid}"), json!({"count": 1, "per": "1s"})).await;
        let names = BTreeMap::from([
            ("app", vec![app, uid.to_owned()]),
            ("endpoint", vec![endpoint, format!("{uid}-e")]),
            ("message", vec![message, format!("{uid}-m3")]),
            ("attempt", vec![attempt]),
            ("letter", vec![letter]),
            ("task", vec![task]),
            ("key", vec![key["id"].as_str().unwrap().to_owned()]),
            ("name", vec![uid.to_owned()]),
        ]);
        Self { names }
    }

    fn value(&self, parameter: &str, way: usize) -> &str {
        let names = self.names.get(parameter);
        let names = names.unwrap_or_else(|| panic!("{parameter} is new: give the tenants one"));
        &names[way.min(names.len() - 1)]
    }

    /// All that can be read of it, but what changes by itself.
    async fn seen(&self, api: &Api) -> Vec<String> {
        let app = &self.names["app"][0];
        let mut seen = Vec::new();
        for route in ROUTES.lines() {
            let Some(path) = route.strip_prefix("GET /api/v1/app/{app}") else { continue };
            let path = self.fill(&format!("/app/{app}{path}"), 0);
            let mut answer = api.get(&path).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            if path.ends_with("/state") {
                answer.text.clear();
            }
            seen.push(format!("{path}: {}", answer.text));
        }
        assert!(seen.len() > 10);
        seen
    }

    /// The path with this tenant's names in place of the parameters.
    fn fill(&self, path: &str, way: usize) -> String {
        let parts = path.split('/').map(|part| {
            match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(parameter) => self.value(parameter, way).to_owned(),
                None => part.to_owned(),
            }
        });
        parts.collect::<Vec<_>>().join("/")
    }
}

/// A body that every route could take.
fn body() -> Value {
    json!({
        "name": "stolen", "url": "https://thief.example.com/", "eventType": "a.b", "payload": {},
        "since": "2026-01-01T00:00:00Z", "headers": {"x-stolen": "yes"},
    })
}

async fn ask(api: &Api, token: &str, method: &Method, path: &str) -> Answer {
    // What a purge wants to be told.
    let query = if *method == Method::DELETE { "?before=2999-01-01T00:00:00Z" } else { "" };
    let request = api.request_as(token, method.clone(), &format!("{path}{query}"));
    send(match *method {
        Method::GET | Method::HEAD => request,
        _ => request.json(&body()),
    })
    .await
}

/// Tokens that are good for the application only.
async fn bound(api: &Api, app: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for scope in ["admin", "publish", "read"] {
        let key = json!({"name": scope, "scope": scope, "appId": app});
        let key = api.post("/sluicegate/api-key", key).await.expect(201);
        tokens.push(key["key"].as_str().unwrap().to_owned());
    }
    let path = format!("/auth/app-portal-access/{app}");
    let portal = api.post(&path, json!({})).await.expect(200);
    tokens.push(portal["token"].as_str().unwrap().to_owned());
    tokens
}

#[actix_web::test]
async fn no_route_leads_to_another_tenant() {
    let (api, stored) = fresh().await;
    let (own, other) =
        (Tenant::new(&api, &stored, "own").await, Tenant::new(&api, &stored, "other").await);
    let tokens = bound(&api, "own").await;
    let before = other.seen(&api).await;
    let globals = ["/app", "/sluicegate/api-key", "/sluicegate/limit", "/event-type"];
    let mut known = Vec::new();
    for path in globals {
        known.push(api.get(path).await.expect(200)["data"].as_array().unwrap().len());
    }
    let mut asked = 0;
    for route in ROUTES.lines() {
        let (method, template) = route.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let open = OPEN.iter().any(|(open, _)| *open == route);
        let Some(template) = template.strip_prefix(PREFIX) else {
            assert!(open, "{route}: outside of the API, and nobody said that it is open");
            continue;
        };
        let has_inner = template.starts_with("/app/{app}/") && template[10..].contains('{');
        let mut paths: Vec<String> = (0..2).map(|way| other.fill(template, way)).collect();
        if has_inner {
            for (app, way) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let path = template.replace("{app}", own.value("app", app));
                paths.push(other.fill(&path, way));
            }
        }
        if open && !has_inner {
            continue;
        }
        for path in paths {
            let by_uid = open && path.contains("other-e") && !path.contains("/app/other/");
            if by_uid {
                continue;
            }
            for token in &tokens {
                let answer = ask(&api, token, &method, &path).await;
                assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text);
                assert!(!answer.text.contains("canary"), "{method} {path}: {}", answer.text);
                asked += 1;
            }
        }
    }
    assert!(asked > 1000, "{asked}");
    let after = other.seen(&api).await;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    for (path, known) in globals.into_iter().zip(known) {
        let now = api.get(path).await.expect(200)["data"].as_array().unwrap().len();
        assert_eq!(now, known, "{path}");
    }
}

#[actix_web::test]
async fn what_may_be_used_by_uid_stays_in_the_own_application() {
    let (api, stored) = fresh().await;
    Tenant::new(&api, &stored, "own").await;
    let other = Tenant::new(&api, &stored, "other").await;
    let tokens = bound(&api, "own").await;
    let before = other.seen(&api).await;
    ask(&api, &tokens[0], &Method::PUT, "/app/own/endpoint/other-e").await.expect(201);
    assert_eq!(other.seen(&api).await, before);
}

#[actix_web::test]
async fn filters_and_iterators_of_another_tenant_show_nothing_of_it() {
    let (api, stored) = fresh().await;
    let own = Tenant::new(&api, &stored, "own").await;
    let other = Tenant::new(&api, &stored, "other").await;
    let tokens = bound(&api, "own").await;
    let mut asked = 0;
    for route in ROUTES.lines() {
        let Some(path) = route.strip_prefix("GET /api/v1/app/{app}") else { continue };
        let of_other = format!("{}?limit=1", other.fill(&format!("/app/{{app}}{path}"), 0));
        let page = api.get(&of_other).await.expect(200);
        let Some(iterator) = page["iterator"].as_str() else { continue };
        let of_own = own.fill(&format!("/app/{{app}}{path}"), 0);
        let endpoint = other.value("endpoint", 0);
        for query in [
            format!("iterator={iterator}"),
            format!("iterator={}", iterator.replacen("n_", "p_", 1)),
            format!("endpoint_id={endpoint}"),
        ] {
            let answer = ask(&api, &tokens[0], &Method::GET, &format!("{of_own}?{query}")).await;
            // The iterators of an empty page are those that were sent.
            let shown = serde_json::from_str::<Value>(&answer.text).unwrap()["data"].to_string();
            for name in other.names.values().flatten().chain([&"other-canary".to_owned()]) {
                assert!(!shown.contains(name.as_str()), "{of_own}?{query}: {shown}");
            }
            asked += 1;
        }
    }
    assert!(asked >= 15, "{asked}");
}
