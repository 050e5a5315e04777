//! What is secret stands in no log line, however loud, no metric, and no error.

use std::process::Command;

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    api::{Api, SECRET},
    collector::Collector,
    process::{Engine, Form, Site, TOKEN, get},
    receiver::Receiver,
};

const LOUD: &str = "info,sluicegate=trace,gateway=trace,dispatcher=trace,shared=trace";
/// Stands in everything secret that the test makes up itself.
const CANARY: &str = "c4n4ry";
/// Stands in payloads.
const PAYLOAD: &str = "p4yl04d";

async fn fails(api: &Api, method: Method, path: &str, body: &Value, errors: &mut Vec<String>) {
    let (status, answer) = api.call(method, path, Some(&body.to_string())).await;
    assert!(status.is_client_error(), "{path} {body}: {status} {answer}");
    errors.push(format!("{path}: {answer}"));
}

#[rstest]
#[case::embedded(Engine::Embedded, Form::Whole, "text", false)]
#[case::embedded_with_payloads(Engine::Embedded, Form::Whole, "json", true)]
#[case::redis_in_halves(Engine::Redis, Form::Halves, "json", false)]
#[case::redis_in_halves_with_payloads(Engine::Redis, Form::Halves, "text", true)]
#[actix_rt::test]
async fn secrets_show_nowhere(
    #[case] engine: Engine,
    #[case] form: Form,
    #[case] format: &str,
    #[case] payloads: bool,
) {
    let (site, mut collector) = (Site::new(engine), Collector::start());
    let endpoint = collector.url();
    let settings = [
        ("SLUICEGATE_LOG__LEVEL", LOUD),
        ("SLUICEGATE_LOG__FORMAT", format),
        ("SLUICEGATE_LOG__SUCCESSES", "1"),
        ("SLUICEGATE_LOG__PAYLOAD_BYTES", if payloads { "65536" } else { "0" }),
        // Whatever may appear of a producer's request.
        (
            "SLUICEGATE_LOG__HEADERS",
            "user-agent,content-type,accept,host,content-length,x-request-id",
        ),
        ("SLUICEGATE_TRACES__ENDPOINT", &endpoint),
        ("SLUICEGATE_TRACES__HEADERS", "x-key=k=1,authorization=Bearer c4n4ry"),
        ("SLUICEGATE_TRACES__SAMPLE_RATIO", "1.0"),
    ];
    let process = site.deploy_with(form, &settings);
    process.ready().await;
    let (api, mut receiver) = (Api::of(&process.gateway), Receiver::failing(2));
    let mut errors = Vec::new();
    let mut secrets = vec![CANARY.to_owned(), TOKEN.to_owned(), SECRET[6..].to_owned()];

    // Deliveries that fail, then arrive; and one that reaches nobody.
    let endpoint = api.subscribe(&format!("{}{CANARY}/?token={CANARY}", receiver.url())).await;
    api.endpoint(&format!("http://127.0.0.1:1/{CANARY}?token={CANARY}")).await;
    let path = format!("app/demo/endpoint/{endpoint}");
    let headers = json!({"headers": {"authorization": CANARY, "x-plain": CANARY}}).to_string();
    let (status, _) = api.call(Method::PUT, &format!("{path}/headers"), Some(&headers)).await;
    assert!(status.is_success());
    let headers = json!({"headers": {"x-hidden": CANARY}});
    let wishes = json!({"eventType": "a", "payload": {"card": PAYLOAD}, "sluicegate": headers});
    let wishes = api.post("app/demo/msg", &wishes.to_string()).await;
    assert!(wishes["id"].is_string(), "{wishes}");
    for _ in 0..3 {
        assert_eq!(receiver.next().await.header("x-hidden"), CANARY);
    }
    let rotated = json!({"key": format!("whsec_{}", &SECRET[6..].to_lowercase())});
    api.post(&format!("{path}/secret/rotate"), &rotated.to_string()).await;
    secrets.push(SECRET[6..].to_lowercase());

    // Keys, tokens and links, right and wrong.
    let key = api.post("sluicegate/api-key", r#"{"name": "k", "scope": "read"}"#).await;
    let portal = api.post("auth/app-portal-access/demo", "{}").await;
    let code = portal["url"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    for text in [key["key"].as_str().unwrap(), portal["token"].as_str().unwrap(), &code] {
        secrets.push(text[text.len() - 32..].to_owned());
        let shown = Api::with_token(&process.gateway, text);
        let (_, answer) = shown.call(Method::GET, "app/demo/secret", None).await;
        errors.push(answer.to_string());
    }
    for wrong in [format!("{CANARY}.{CANARY}.{CANARY}"), format!("sgk_{CANARY}"), CANARY.into()] {
        let shown = Api::with_token(&process.gateway, &wrong);
        fails(&shown, Method::GET, "app", &json!({}), &mut errors).await;
    }

    // Requests that are wrong just where the secret is.
    let app = |rest: &str| format!("app/demo/{rest}");
    for (path, body) in [
        (app("endpoint"), json!({"url": format!("https://user:{CANARY}@example.com/")})),
        (app("endpoint"), json!({"url": format!("ftp://example.com/{CANARY}")})),
        (app("endpoint"), json!({"url": "https://example.com/", "secret": CANARY})),
        (app("endpoint"), json!({"url": "https://example.com/", "headers": {"te": CANARY}})),
        (format!("{path}/secret/rotate"), json!({"key": format!("whsec_{CANARY}!")})),
        (app("msg"), json!({"eventType": "a", "payload": {"a": PAYLOAD}, "eventId": "a b"})),
        (app("msg"), json!({"payload": PAYLOAD})),
        (app("msg"), json!({"eventType": {"a": PAYLOAD}, "payload": {}})),
        ("auth/one-time-token".into(), json!({"oneTimeToken": CANARY})),
    ] {
        fails(&api, Method::POST, &path, &body, &mut errors).await;
    }
    let batch = json!([{"eventType": "a b", "payload": PAYLOAD}]).to_string();
    errors.push(api.post(&app("msg/batch"), &batch).await.to_string());
    // This one is told what it sent; nobody else is.
    let quoted = json!({"eventType": "a", "payload": {}, "channels": PAYLOAD});
    fails(&api, Method::POST, &app("msg"), &quoted, &mut Vec::new()).await;
    let broken = format!("{{\"payload\": \"{PAYLOAD}");
    let (_, answer) = api.call(Method::POST, &app("msg"), Some(&broken)).await;
    errors.push(answer.to_string());

    let mut told = errors;
    for process in process.all() {
        told.push(get(&process.admin("/metrics")).await.1);
        told.extend(process.log().lines().map(str::to_owned));
    }
    // What it still exports is there then.
    process.stop();
    told.extend(collector.rest().iter().map(|span| format!("{span:?}")));
    assert!(told.iter().any(|line| line.starts_with("Exported")));
    assert!(told.iter().any(|line| line.contains("TRACE") || line.contains("DEBUG")), "{told:#?}");
    for kind in ["delivery.attempted", "request.refused"] {
        assert!(told.iter().any(|line| line.contains(kind)), "{kind}: {told:#?}");
    }
    let shown: Vec<_> = told.iter().filter(|line| line.contains(PAYLOAD)).collect();
    assert_eq!(shown.is_empty(), !payloads, "{shown:#?}");
    assert!(shown.iter().all(|line| line.contains("delivery.attempted")), "{shown:#?}");
    for line in &told {
        for secret in &secrets {
            assert!(!line.contains(secret.as_str()), "`{secret}` stands in: {line}");
        }
    }
    let mut print = site.command(&["config", "print"]);
    let printed = crate::process::run(as_secret(&mut print));
    assert!(printed.0 == Some(0) && !format!("{printed:?}").contains(TOKEN), "{printed:?}");
}

fn as_secret(command: &mut Command) -> &mut Command {
    command.env("SLUICEGATE_API_TOKEN", TOKEN)
}
