//! The lines about attempts and refused requests.

use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    api::Api,
    process::{Deployment, Engine, Form, PATIENCE, Process, Site, get},
    receiver::Receiver,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

async fn deploy(form: Form, settings: &[(&str, &str)]) -> (Site, Deployment) {
    let engine = match form {
        Form::Whole => Engine::Embedded,
        Form::Halves => Engine::Redis,
    };
    let site = Site::new(engine);
    let json = ("SLUICEGATE_LOG__FORMAT", "json");
    let settings: Vec<_> = settings.iter().copied().chain([json]).collect();
    let deployment = site.deploy_with(form, &settings);
    deployment.ready().await;
    (site, deployment)
}

/// Its lines of one kind.
fn lines(process: &Process, kind: &str) -> Vec<Value> {
    let log = process.log();
    let lines =
        log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    lines.filter(|line| line["message"] == kind).collect()
}

/// Waits until there are so many.
async fn awaited(process: &Process, kind: &str, count: usize) -> Vec<Value> {
    let started = std::time::Instant::now();
    loop {
        let found = lines(process, kind);
        if found.len() >= count {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{found:#?}\n{}", process.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[rstest]
#[case::whole(Form::Whole)]
#[case::halves(Form::Halves)]
#[actix_rt::test]
async fn an_attempt_is_one_wide_line(#[case] form: Form) {
    let (_site, deployment) = deploy(form, &[("SLUICEGATE_LOG__SUCCESSES", "1")]).await;
    let (api, mut receiver) = (Api::of(&deployment.gateway), Receiver::failing(1));
    let endpoint = api.subscribe(&format!("{}path?query", receiver.url())).await;
    let body = r#"{"eventType": "demo.greeted", "payload": {"hello": "world"}}"#;
    let parent = ("traceparent", format!("00-{TRACE}-b7ad6b7169203331-00"));
    let message = api.publish_with("app/demo/msg", body, &[parent]).await;
    for _ in 0..2 {
        receiver.next().await;
    }
    let dispatcher = deployment.all().last().unwrap();
    let found = awaited(dispatcher, "delivery.attempted", 2).await;
    let [failed, delivered] = &found[..] else { panic!("{found:#?}") };
    for (line, attempt, outcome, verdict, status) in
        [(failed, 1, "server_error", "retry", 500), (delivered, 2, "delivered", "delivered", 204)]
    {
        for (field, value) in [
            ("level", json!("INFO")),
            ("endpoint", json!(endpoint)),
            ("message_id", message["id"].clone()),
            ("event_type", json!("demo.greeted")),
            ("attempt", json!(attempt)),
            ("outcome", json!(outcome)),
            ("verdict", json!(verdict)),
            ("status", json!(status)),
            ("host", json!("127.0.0.1")),
            ("bytes", json!(r#"{"hello": "world"}"#.len())),
            ("trace_id", json!(TRACE)),
            ("payload", Value::Null),
            ("response", Value::Null),
        ] {
            assert_eq!(line[field], value, "{field} of {line}");
        }
        assert!(line["app"].as_str().unwrap().starts_with("app_"), "{line}");
        assert!(line["attempt_ms"].is_u64(), "{line}");
        assert!(!line.to_string().contains("query"), "{line}");
    }
    assert!(failed["queueing_ms"].is_u64() && failed["next"].is_string(), "{failed}");
    assert!(delivered["next"].is_null(), "{delivered}");
    assert_eq!(failed["left_out"], 0);
    // A connection was opened for the first attempt only. The second may find it closed.
    assert!(failed["connect_ms"].is_u64(), "{failed}");
    deployment.stop();
}

#[actix_rt::test]
async fn an_endpoint_that_fails_floods_no_log() {
    let settings =
        [("SLUICEGATE_LOG__SUCCESSES", "0"), ("SLUICEGATE_DISPATCHER__RETRY_SCHEDULE", "")];
    let (_site, deployment) = deploy(Form::Whole, &settings).await;
    let (api, mut receiver) = (Api::of(&deployment.gateway), Receiver::refusing(100));
    api.subscribe(&receiver.url()).await;
    // Who says no is up: no breaker opens.
    let body = r#"{"eventType": "a", "payload": 1}"#;
    let batch = format!("[{}]", [body; 110].join(","));
    api.publish_with("app/demo/msg/batch", &batch, &[]).await;
    for _ in 0..110 {
        receiver.next().await;
    }
    let process = &deployment.gateway;
    let left_out = r#"sluicegate_dispatcher_log_lines_left_out_total{kind="attempt"} "#;
    let started = std::time::Instant::now();
    loop {
        let written = lines(process, "delivery.attempted");
        assert!(written.iter().all(|line| line["outcome"] != "delivered"), "{written:#?}");
        let (_, metrics) = get(&process.admin("/metrics")).await;
        let count = metrics.lines().find_map(|line| line.strip_prefix(left_out)).unwrap();
        if written.len() + count.parse::<usize>().unwrap() >= 100 {
            assert!(written.len() <= 20, "{}", written.len());
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{count} {}", written.len());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    deployment.stop();
}

#[actix_rt::test]
async fn a_refused_request_is_one_wide_line_within_a_quota() {
    let settings = [("SLUICEGATE_LOG__HEADERS", "user-agent,x-team")];
    let (_site, deployment) = deploy(Form::Halves, &settings).await;
    let (api, receiver) = (Api::of(&deployment.gateway), Receiver::start());
    api.subscribe(&receiver.url()).await;
    let headers = [
        ("user-agent", "test/1".to_owned()),
        ("x-team", "blue\tteam".to_owned()),
        ("x-request-id", "mine".to_owned()),
        ("x-other", "unseen".to_owned()),
        ("traceparent", format!("00-{TRACE}-b7ad6b7169203331-00")),
    ];
    let wrong = r#"{"eventType": "a b", "payload": "unseen"}"#;
    assert_eq!(api.try_publish("app/demo/msg", wrong, &headers).await.0, 422);
    let good = r#"{"eventType": "a", "payload": "unseen"}"#;
    assert_eq!(api.try_publish("app/nobody/msg", good, &[]).await.0, 404);
    let batch = format!("[{good}, {wrong}, {good}]");
    assert_eq!(api.try_publish("app/demo/msg/batch", &batch, &[]).await.0, 200);
    let stranger = Api::with_token(&deployment.gateway, "nobody-knows-this-token");
    assert_eq!(stranger.try_publish("app/demo/msg", good, &[]).await.0, 401);
    for _ in 0..30 {
        assert_eq!(api.try_publish("app/nobody/msg", good, &[]).await.0, 404);
    }
    api.get("app/demo").await;
    assert_eq!(api.call(reqwest::Method::GET, "app/nobody", None).await.0, 404);

    let found = awaited(&deployment.gateway, "request.refused", 23).await;
    let [invalid, missing, partly, stranger, more @ ..] = &found[..] else { panic!("{found:#?}") };
    for (line, field, value) in [
        (invalid, "request_id", json!("mine")),
        (invalid, "app", json!("demo")),
        (invalid, "caller", json!("root")),
        (invalid, "peer", json!("127.0.0.1")),
        (invalid, "route", json!("/api/v1/app/{app}/msg")),
        (invalid, "status", json!(422)),
        (invalid, "code", json!("validation_failed")),
        (invalid, "fields", json!("body.eventType")),
        (invalid, "bytes", json!(wrong.len().to_string())),
        (invalid, "trace_id", json!(TRACE)),
        (invalid, "headers", json!("user-agent: test/1; x-team: blue\tteam")),
        (missing, "app", json!("nobody")),
        (missing, "code", json!("not_found")),
        (missing, "headers", Value::Null),
        (partly, "status", json!(200)),
        (partly, "accepted", json!(2)),
        (partly, "failed", json!(1)),
        (partly, "code", json!("validation_failed")),
        (stranger, "code", json!("authentication_failed")),
        (stranger, "caller", Value::Null),
    ] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    assert!(invalid["took_ms"].is_f64(), "{invalid}");
    assert_eq!(more.len(), 19, "{more:#?}");
    assert!(more.iter().all(|line| line["code"] == "not_found"));
    let log = deployment.gateway.log();
    for unseen in ["unseen", "nobody-knows-this-token"] {
        assert!(!log.contains(unseen), "{log}");
    }
    deployment.stop();
}
