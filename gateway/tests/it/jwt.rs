//! JWTs: what is let through, and what an issuer that changes its keys, goes down, or is abused does.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use gateway::{Issuer, SignatureAlgorithm};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use reqwest::Method;
use serde_json::{Value, json};
use shared::time::Millis;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

use crate::harness::{Answer, Api, Stored, config, send, stored};

/// A key with its id.
struct Signer {
    id: String,
    key: EncodingKey,
}

impl Signer {
    fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let pair = EcdsaKeyPair::generate_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &aws_lc_rs::rand::SystemRandom::new(),
        );
        let id = format!("key-{}", MADE.fetch_add(1, Ordering::Relaxed));
        Self { id, key: EncodingKey::from_ec_der(pair.unwrap().as_ref()) }
    }

    fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        serde_json::to_value(jwk).unwrap()
    }

    fn header(&self) -> Header {
        Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::ES256) }
    }

    fn sign(&self, claims: &Value) -> String {
        encode(&self.header(), claims, &self.key).unwrap()
    }
}

/// A gateway that believes an issuer.
struct Bench {
    server: MockServer,
    signer: Signer,
    api: Api,
    stored: Stored,
}

impl Bench {
    async fn start(change: impl FnOnce(&mut Issuer)) -> Self {
        let (server, signer, stored) = (MockServer::start().await, Signer::new(), stored());
        serve(&server, &[signer.public()]).await;
        let text = json!({
            "issuer": server.uri(),
            "jwks_url": format!("{}/keys", server.uri()),
            "audiences": ["sluicegate", "other"],
            "algorithms": ["ES256"],
            "application_claim": "tenant",
        });
        let mut issuer: Issuer = serde_json::from_value(text).unwrap();
        change(&mut issuer);
        let config = gateway::Config { issuers: vec![issuer], ..config() };
        let api = Api::start_with(&stored.store, config).await;
        Self { server, signer, api, stored }
    }

    /// Claims that are good, with these in place of theirs; null takes one away.
    fn claims(&self, with: Value) -> Value {
        let mut claims = json!({
            "iss": self.server.uri(),
            "aud": "sluicegate",
            "sub": "somebody",
            "exp": now() + 300,
            "scope": "sluicegate:admin",
            "tenant": "*",
        });
        for (name, value) in with.as_object().unwrap() {
            match value {
                Value::Null => claims.as_object_mut().unwrap().remove(name),
                value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
            };
        }
        claims
    }

    async fn ask(&self, token: &str, method: Method, path: &str) -> Answer {
        send(self.api.request_as(token, method, path)).await
    }

    async fn shows(&self, with: Value) -> Answer {
        self.ask(&self.signer.sign(&self.claims(with)), Method::GET, "/app").await
    }

    async fn fetches(&self) -> usize {
        self.server.received_requests().await.unwrap().len()
    }
}

fn now() -> u64 {
    Millis::now().0 / 1000
}

async fn serve(server: &MockServer, keys: &[Value]) {
    let answer = ResponseTemplate::new(200).set_body_json(json!({"keys": keys}));
    Mock::given(path("/keys")).respond_with(answer).mount(server).await;
}

#[actix_web::test]
async fn a_token_is_good_for_what_its_claims_say() {
    let bench = Bench::start(|_| {}).await;
    let own = bench.api.application("own").await;
    bench.api.application("other").await;
    for (with, method, path, status) in [
        (json!({}), Method::GET, "/app", 200),
        (json!({"aud": ["x", "other"]}), Method::GET, "/app", 200),
        (json!({"scope": "sluicegate:read"}), Method::GET, "/app/own", 200),
        (json!({"scope": "sluicegate:read"}), Method::DELETE, "/app/own", 403),
        (json!({"scope": "sluicegate:publish sluicegate:read"}), Method::GET, "/app/own", 200),
        (json!({"tenant": "own"}), Method::GET, "/app/own", 200),
        (json!({"tenant": own}), Method::GET, "/app/own/endpoint", 200),
        (json!({"tenant": "own"}), Method::GET, "/app/other", 404),
        (json!({"tenant": "own"}), Method::GET, "/app", 404),
        (json!({"tenant": "nobody"}), Method::GET, "/app/own", 401),
        (json!({"tenant": null}), Method::GET, "/app/own", 401),
        (json!({"scope": "email"}), Method::GET, "/app/own", 401),
        (json!({"scope": null}), Method::GET, "/app/own", 401),
    ] {
        let token = bench.signer.sign(&bench.claims(with.clone()));
        let answer = bench.ask(&token, method, path).await;
        assert_eq!(answer.status, status, "{with} {path}: {}", answer.text);
    }
    // Keys and the settings' token go on as before.
    bench.api.get("/app").await.expect(200);
}

#[actix_web::test]
async fn a_claim_that_does_not_hold_is_refused() {
    let bench = Bench::start(|_| {}).await;
    for with in [
        json!({"iss": "https://somebody.else"}),
        json!({"iss": null}),
        json!({"aud": "somebody else"}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"exp": now() - 60}),
        json!({"exp": null}),
        json!({"nbf": now() + 60}),
    ] {
        let answer = bench.shows(with.clone()).await;
        assert_eq!(answer.status, 401, "{with}: {}", answer.text);
    }
    // Within the leeway clocks may differ.
    bench.shows(json!({"exp": now() - 5, "nbf": now() + 5})).await.expect(200);
}

#[actix_web::test]
async fn a_signature_that_does_not_prove_who_signed_is_refused() {
    let bench = Bench::start(|_| {}).await;
    let claims = bench.claims(json!({}));
    let good = bench.signer.sign(&claims);
    let (message, _) = good.rsplit_once('.').unwrap();
    let (_, payload) = message.split_once('.').unwrap();
    let header = |json: Value| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.encode(json.to_string())
    };
    let kid = &bench.signer.id;
    // What an attacker knows of the key, as the secret of an HMAC.
    let public = bench.signer.public();
    let hmac = |secret: &[u8]| {
        let header = Header { kid: Some(kid.clone()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    let other = Signer::new();
    let stolen = Header { kid: Some(kid.clone()), ..other.header() };
    let own = Header { jwk: serde_json::from_value(other.public()).ok(), ..stolen.clone() };
    let critical = Header { crit: Some(vec!["exp".into()]), ..bench.signer.header() };
    let nameless = Header { kid: None, ..bench.signer.header() };
    let signed = |header: &Header, signer: &Signer| encode(header, &claims, &signer.key).unwrap();
    for (what, token) in [
        ("no signature", format!("{message}.")),
        ("none", format!("{}.{payload}.", header(json!({"alg": "none", "kid": kid})))),
        ("HMAC of x", hmac(public["x"].as_str().unwrap().as_bytes())),
        ("HMAC of the key", hmac(public.to_string().as_bytes())),
        ("HMAC of nothing", hmac(b"")),
        ("another's key", signed(&stolen, &other)),
        ("a key in the header", signed(&own, &other)),
        ("an unknown key", other.sign(&claims)),
        ("critical extension", signed(&critical, &bench.signer)),
        ("no key named", signed(&nameless, &bench.signer)),
        ("two dots", "..".to_owned()),
        ("long", format!("{message}.{}", "a".repeat(9000))),
    ] {
        let answer = bench.ask(&token, Method::GET, "/app").await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
    }
    bench.ask(&good, Method::GET, "/app").await.expect(200);
}

#[actix_web::test]
async fn an_algorithm_that_settings_or_key_do_not_name_is_refused() {
    let bench = Bench::start(|it| it.algorithms = vec![SignatureAlgorithm::RS256]).await;
    bench.shows(json!({})).await.expect_error(401, "authentication_failed");

    let bench = Bench::start(|_| {}).await;
    bench.server.reset().await;
    let mut key = bench.signer.public();
    key["alg"] = json!("ES384");
    serve(&bench.server, &[key]).await;
    let api = Api::start_with(&bench.stored.store, {
        let text = json!({"issuer": bench.server.uri(), "audiences": ["sluicegate"],
            "jwks_url": format!("{}/keys", bench.server.uri()), "algorithms": ["ES256", "ES384"]});
        gateway::Config { issuers: vec![serde_json::from_value(text).unwrap()], ..config() }
    });
    let bench = Bench { api: api.await, ..bench };
    bench.shows(json!({})).await.expect_error(401, "authentication_failed");
}

#[actix_web::test]
async fn keys_may_change() {
    let bench = Bench::start(|it| it.refresh_at_most = Duration::from_millis(1)).await;
    bench.shows(json!({})).await.expect(200);
    let next = Signer::new();
    bench.server.reset().await;
    serve(&bench.server, &[json!({"kty": "new"}), next.public()]).await;
    let token = next.sign(&bench.claims(json!({})));
    bench.ask(&token, Method::GET, "/app").await.expect(200);
    // The one before is not good any more, once what was remembered of it is forgotten.
    bench.shows(json!({"sub": "new"})).await.expect_error(401, "authentication_failed");
}

#[actix_web::test]
async fn made_up_keys_do_not_flood_the_issuer() {
    let bench = Bench::start(|it| it.refresh_at_most = Duration::from_secs(300)).await;
    bench.shows(json!({})).await.expect(200);
    let before = bench.fetches().await;
    let claims = bench.claims(json!({}));
    let flood = (0..100).map(|_| {
        let token = Signer::new().sign(&claims);
        let bench = &bench;
        async move { bench.ask(&token, Method::GET, "/app").await }
    });
    for answer in futures_util::future::join_all(flood).await {
        assert!(matches!(answer.status.as_u16(), 401 | 429), "{answer:?}");
    }
    assert_eq!((before, bench.fetches().await), (1, 1));
    bench.shows(json!({"sub": "other"})).await.expect(200);
}

#[actix_web::test]
async fn an_issuer_that_is_down_costs_nothing_until_its_keys_are_too_old() {
    let bench = Bench::start(|it| it.refresh_at_most = Duration::from_millis(1)).await;
    bench.shows(json!({})).await.expect(200);
    bench.server.reset().await;
    bench.ask(&Signer::new().sign(&bench.claims(json!({}))), Method::GET, "/app").await;
    assert_eq!(bench.fetches().await, 1, "it was asked, and had no answer");
    bench.shows(json!({"sub": "other"})).await.expect(200);

    let never = Bench::start(|it| it.jwks_url = "http://127.0.0.1:1/".into()).await;
    let answer = never.shows(json!({})).await;
    answer.expect_error(503, "issuer_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    never.api.get("/app").await.expect(200);

    let old = Bench::start(|it| {
        it.refresh_at_most = Duration::from_millis(1);
        it.stale_for = Duration::from_millis(300);
    });
    let old = old.await;
    old.shows(json!({})).await.expect(200);
    old.server.reset().await;
    while old.shows(json!({})).await.status != 503 {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn keys_are_found_by_discovery_of_that_very_issuer() {
    for (issuer, status) in [(None, 200), (Some("https://somebody.else"), 503)] {
        let bench = Bench::start(|it| {
            it.jwks_url.clear();
            it.refresh_at_most = Duration::from_millis(1);
        });
        let bench = bench.await;
        let document = json!({
            "issuer": issuer.map_or(bench.server.uri(), str::to_owned),
            "jwks_uri": format!("{}/keys", bench.server.uri()),
        });
        Mock::given(path("/.well-known/openid-configuration"))
            .respond_with(ResponseTemplate::new(200).set_body_json(document))
            .mount(&bench.server)
            .await;
        bench.shows(json!({})).await.expect(status);
    }
}

#[actix_web::test]
async fn an_answer_that_is_too_large_is_not_taken() {
    let bench = Bench::start(|it| it.refresh_at_most = Duration::from_millis(1)).await;
    bench.server.reset().await;
    let next = Signer::new();
    let filler = json!({"kty": "x".repeat(300 * 1024)});
    serve(&bench.server, &[next.public(), filler]).await;
    let token = next.sign(&bench.claims(json!({})));
    let answer = bench.ask(&token, Method::GET, "/app").await;
    assert!(matches!(answer.status.as_u16(), 401 | 503), "{answer:?}");
}
