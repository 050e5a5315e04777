//! `sluicegate apply` and `export`: a file makes a running server what it says, and does nothing twice.

use std::{fmt::Write, fs, path::Path, process::Command, time::Duration};

use reqwest::{Method, StatusCode};
use rstest::rstest;

use crate::{
    api::{Api, SECRET},
    process::{Engine, Form, Process, Site, TOKEN, run},
    receiver::Receiver,
};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/declaration.yaml");

/// `sluicegate apply` or `export` with these arguments and secrets, for a running process.
fn command(site: &Site, process: &Process, arguments: &[&str]) -> Command {
    let mut command = site.command(arguments);
    let server = process.told("API ").replace("/api/v1", "");
    command.args(["--server", &server]).env("SLUICEGATE_API_TOKEN", TOKEN);
    command.env("ACME_ORDERS_SECRET", SECRET).env("ACME_ORDERS_TOKEN", "Bearer canary-header");
    command
}

/// An API key.
fn api_key(site: &Site) -> String {
    run(&mut site.command(&["secrets", "generate-api-key"])).1.trim().to_owned()
}

/// Runs it and expects that it ends like this.
#[track_caller]
fn expect(command: &mut Command, code: i32) -> (String, String) {
    let (found, stdout, stderr) = run(command);
    assert_eq!(found, Some(code), "{stdout}\n{stderr}");
    assert!(!format!("{stdout}{stderr}").contains("canary"), "a secret is shown: {stdout}{stderr}");
    (stdout, stderr)
}

fn write(site: &Site, name: &str, text: &str) -> String {
    let path = site.directory.path().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[rstest]
#[case::embedded(Engine::Embedded, Form::Whole)]
#[case::redis(Engine::Redis, Form::Halves)]
#[actix_rt::test]
async fn the_example_is_applied_once_changed_exported_and_pruned(
    #[case] engine: Engine,
    #[case] form: Form,
) {
    let site = Site::new(engine);
    let deployment = site.deploy(form);
    deployment.ready().await;
    let (process, key) = (&deployment.gateway, api_key(&site));
    let apply = |file: &str, more: &[&str]| {
        let mut apply = command(&site, process, &["apply", "-f", file]);
        apply.args(more).env("CHECKOUT_KEY", &key);
        apply
    };
    let api = Api::of(process);
    let by_hand = r#"{"url": "https://example.com/by-hand", "uid": "by-hand"}"#;

    let (dry, _) = expect(&mut apply(EXAMPLE, &["--dry-run"]), 0);
    assert!(dry.contains("+ endpoint orders of acme") && dry.contains("8 to change"), "{dry}");
    let (status, _) = api.call(Method::GET, "app/acme", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "a dry run changes nothing");
    let (first, _) = expect(&mut apply(EXAMPLE, &[]), 0);
    assert!(first.contains("8 of 8 changes applied"), "{first}");
    let (second, _) = expect(&mut apply(EXAMPLE, &["--prune"]), 0);
    assert!(second.starts_with("nothing to change"), "{second}");
    assert_eq!(api.get("app/acme/endpoint/orders/secret").await["key"], SECRET);
    let checkout = Api::with_token(process, &key);
    let event = r#"{"eventType": "order.created", "payload": {"id": "1"}}"#;
    assert_eq!(checkout.call(Method::POST, "app/acme/msg", Some(event)).await.0, 202);

    // What was changed elsewhere is changed back; what is not declared is left alone.
    api.post("app/acme/endpoint", by_hand).await;
    api.post("app/acme/endpoint/orders/pause", "").await;
    api.post("app/acme/endpoint/orders/secret/rotate", "").await;
    api.call(Method::PATCH, "app/acme/endpoint/boards", Some(r#"{"disabled": true}"#)).await;
    api.call(Method::PATCH, "app/acme", Some(r#"{"name": "Other"}"#)).await;
    let (back, _) = expect(&mut apply(EXAMPLE, &["--prune"]), 0);
    assert!(back.contains(r#"name: "Other" → "Acme Inc.""#), "{back}");
    assert!(back.contains("~ endpoint orders of acme\n    secret: (not shown)"), "{back}");
    assert!(back.contains("2 of 2 changes applied"), "{back}");
    assert_eq!(api.get("app/acme/endpoint/orders/secret").await["key"], SECRET);
    assert_eq!(api.get("app/acme/endpoint/orders").await["sluicegate"]["paused"], true);
    assert_eq!(api.get("app/acme/endpoint/boards").await["disabled"], true);

    let (exported, _) = expect(&mut command(&site, process, &["export"]), 0);
    assert!(!exported.contains(SECRET) && exported.contains("by-hand"), "{exported}");
    let exported = write(&site, "exported.yaml", &exported);
    assert!(expect(&mut apply(&exported, &[]), 0).0.starts_with("nothing to change"));

    // Only what this declaration made goes with it.
    let less = write(
        &site,
        "less.yaml",
        "name: shop\napplications:\n- {uid: acme, name: Acme Inc., throttleRate: 500, metadata: {plan: gold}, sluicegate: {quotaBytes: 100000000}}\n",
    );
    let (kept, _) = expect(&mut apply(&less, &[]), 0);
    assert!(kept.starts_with("nothing to change"), "{kept}");
    let (gone, _) = expect(&mut apply(&less, &["--prune"]), 0);
    assert!(gone.contains("- endpoint orders of acme") && gone.contains("7 of 7"), "{gone}");
    assert_eq!(api.get("app/acme/endpoint").await["data"].as_array().unwrap().len(), 1);
    assert_eq!(api.get("sluicegate/api-key").await["data"], serde_json::json!([]));
    assert!(expect(&mut apply(&less, &["--prune"]), 0).0.starts_with("nothing to change"));
    deployment.stop();
}

#[actix_rt::test]
async fn a_thousand_endpoints_are_applied_once() {
    let site = Site::new(Engine::Embedded);
    let process = site.start(&[]);
    process.ready().await;
    let mut file = String::from("applications:\n");
    for app in 0..10 {
        writeln!(file, "- uid: app-{app}\n  name: Application {app}\n  endpoints:").unwrap();
        for endpoint in 0..100 {
            writeln!(file, "  - uid: e-{endpoint}\n    url: https://example.com/{app}/{endpoint}")
                .unwrap();
            writeln!(file, "    secret: {{fromEnv: ACME_ORDERS_SECRET}}").unwrap();
        }
    }
    let file = write(&site, "many.yaml", &file);
    let apply = || expect(&mut command(&site, &process, &["apply", "-f", &file]), 0).0;
    let first = apply();
    assert!(first.contains("1010 of 1010 changes applied"), "{first}");
    let second = apply();
    assert!(second.starts_with("nothing to change\n"), "{second}");
    // Five lists, one more for each application, and 50 secrets are compared with one request.
    assert!(second.contains("with 35 requests"), "{second}");
    process.stop();
}

#[actix_rt::test]
async fn what_is_wrong_with_a_file_is_said_with_its_line() {
    let site = Site::new(Engine::Embedded);
    let process = site.start(&[]);
    process.ready().await;
    let apply = |text: &str| {
        let file = write(&site, "wrong.yaml", text);
        command(&site, &process, &["apply", "-f", &file])
    };
    let endpoint = "applications:\n- uid: a\n  name: A\n  endpoints:\n  - uid: e\n    url: https://a.example/\n";
    for (text, line, what) in [
        ("name: a\nlimit: []\n".to_owned(), 2, "limit"),
        (format!("{endpoint}    sceret: x\n"), 7, "sceret"),
        (format!("{endpoint}    sluicegate: {{concurency: 1}}\n"), 7, "concurency"),
        (format!("{endpoint}    secret: {{fromEnv: NOT_SET}}\n"), 5, "NOT_SET is not set"),
        (format!("{endpoint}    secret: {{fromFile: nowhere}}\n"), 5, "nowhere cannot be read"),
        (format!("{endpoint}  - uid: e\n    url: https://b.example/\n"), 7, "stands on line 5"),
        ("limits:\n- {name: ../../app/a, count: 1, per: 1s}\n".to_owned(), 2, "expected 1 to 256"),
        ("applications:\n- name: A\n".to_owned(), 2, "expected `uid`"),
        ("limits:\n  - name: [\n".to_owned(), 2, ""),
    ] {
        let (_, stderr) = expect(&mut apply(&text), 78);
        assert!(stderr.contains(&format!("wrong.yaml:{line}: ")), "{text}: {stderr}");
        assert!(stderr.contains(what), "{text}: {stderr}");
    }
    // What the server refuses holds up nothing else.
    let partly = format!(
        "{endpoint}  - uid: bad\n    url: ftp://plain.example/\n  - uid: good\n    url: https://b.example/\n"
    );
    let (stdout, stderr) = expect(&mut apply(&partly), 1);
    assert!(stdout.contains("3 of 4 changes applied"), "{stdout}");
    assert!(
        stderr.contains("wrong.yaml:7: endpoint bad of a: 422") && stderr.contains("url: "),
        "{stderr}"
    );
    assert!(stderr.contains("1 could not be applied"), "{stderr}");
    let api = Api::of(&process);
    assert_eq!(api.get("app/a/endpoint").await["data"].as_array().unwrap().len(), 2);
    let missing = "apiKeys:\n- {id: '0123456789', name: n, scope: read}\n";
    let (_, stderr) = expect(&mut apply(missing), 1);
    assert!(stderr.contains("wrong.yaml:2: there is no API key 0123456789"), "{stderr}");
    process.stop();
}

#[actix_rt::test]
async fn a_mounted_file_is_applied_at_start() {
    let site = Site::new(Engine::Redis);
    let mut receiver = Receiver::start();
    let url = receiver.url();
    let text = |name: &str| {
        format!(
            "applications:\n- uid: demo\n  name: {name}\n  endpoints:\n  - {{uid: e, url: '{url}', secret: {{fromFile: secret}}}}\n"
        )
    };
    let file = write(&site, "mounted.yaml", &text("Demo"));
    write(&site, "secret", SECRET);
    let settings = [("SLUICEGATE_APPLY_AT_START", file.as_str())];
    let first = site.deploy_with(Form::Halves, &settings);
    let second = site.deploy_with(Form::Halves, &settings);
    for deployment in [&first, &second] {
        deployment.ready().await;
        applied(&deployment.gateway).await;
    }
    let api = Api::of(&first.gateway);
    assert_eq!(api.get("app").await["data"].as_array().unwrap().len(), 1);
    assert_eq!(api.get("app/demo/endpoint").await["data"].as_array().unwrap().len(), 1);
    api.publish("1").await;
    receiver.next().await.verify(SECRET);
    first.stop();
    write(&site, "mounted.yaml", &text("Renamed"));
    let third = site.deploy_with(Form::Halves, &settings);
    applied(&third.gateway).await;
    assert_eq!(Api::of(&second.gateway).get("app/demo").await["name"], "Renamed");
    second.stop();
    third.stop();

    write(&site, "mounted.yaml", "aplications: []\n");
    let mut refused = site.command(&["gateway"]);
    refused.env("SLUICEGATE_API_TOKEN", TOKEN).envs(settings);
    let (code, _, stderr) = run(&mut refused);
    assert!(code == Some(78) && stderr.contains("mounted.yaml:1: "), "{stderr}");
    assert!(Path::new(&file).exists());
}

/// Waits until a process has applied its file.
async fn applied(process: &Process) {
    while !process.log().contains("declaration.applied") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
