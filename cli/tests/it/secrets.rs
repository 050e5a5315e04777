//! Secrets at rest: nobody finds them in what the store keeps, and keys can be changed under load.

use std::{fs, path::Path};

use shared::sealing::SealingKey;

use crate::{
    api::{Api, SECRET},
    process::{Engine, KEY, Process, Site, TOKEN, run},
    receiver::Receiver,
};

/// The forms in which a secret may lie around: its text, what it encodes, and a header's value.
fn canaries() -> [Vec<u8>; 3] {
    let secret = shared::domain::Secret::parse(SECRET).unwrap();
    let text = SECRET.trim_start_matches("whsec_").as_bytes().to_vec();
    [text, secret.key().to_vec(), b"canary-header".to_vec()]
}

fn holds(bytes: &[u8]) -> bool {
    canaries().iter().any(|canary| bytes.windows(canary.len()).any(|window| window == canary))
}

/// All files below a directory, with their contents.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.display().to_string(), fs::read(&path).unwrap())),
        }
    }
    found
}

/// What Redis writes down of all its keys.
fn dump(url: &str) -> Vec<(String, Vec<u8>)> {
    let mut client = redis::Client::open(url).unwrap().get_connection().unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut client).unwrap();
    let value = |key: &String| {
        // As text, because a dump may be compressed: all fields of all kinds of keys.
        let kind: String = redis::cmd("TYPE").arg(key).query(&mut client).unwrap();
        let command: &[&str] = match kind.as_str() {
            "string" => &["GET"],
            "hash" => &["HGETALL"],
            "list" => &["LRANGE", "0", "-1"],
            "zset" => &["ZRANGE", "0", "-1"],
            "set" => &["SMEMBERS"],
            "stream" => &["XRANGE", "-", "+"],
            kind => panic!("{key} is a {kind}"),
        };
        let mut ask = redis::cmd(command[0]);
        ask.arg(key).arg(&command[1..]);
        let value: redis::Value = ask.query(&mut client).unwrap();
        let mut bytes = Vec::new();
        flatten(value, &mut bytes);
        bytes
    };
    let values: Vec<_> = keys.iter().map(value).collect();
    keys.into_iter().zip(values).collect()
}

fn flatten(value: redis::Value, bytes: &mut Vec<u8>) {
    match value {
        redis::Value::BulkString(text) => bytes.extend(text),
        redis::Value::Array(values) => values.into_iter().for_each(|one| flatten(one, bytes)),
        _ => {}
    }
    bytes.push(b'\n');
}

async fn subscribe(api: &Api, url: &str) {
    api.post("app", r#"{"name": "Demo", "uid": "demo"}"#).await;
    let headers = r#"{"x-token": "canary-header"}"#;
    let endpoint =
        format!(r#"{{"url": "{url}", "uid": "main", "secret": "{SECRET}", "headers": {headers}}}"#);
    api.post("app/demo/endpoint", &endpoint).await;
}

#[actix_rt::test]
async fn the_embedded_store_makes_a_key_and_no_file_holds_a_secret() {
    let site = Site::new(Engine::Embedded);
    let process = site.start(&[]);
    process.ready().await;
    assert!(process.told("secrets").contains("sluicegate-data/secrets-keys"));
    let (api, mut receiver) = (Api::of(&process), Receiver::start());
    subscribe(&api, &receiver.url()).await;
    api.publish("1").await;
    let arrival = receiver.next().await;
    arrival.verify(SECRET);
    let log = process.log();
    process.stop();
    let directory = site.directory.path();
    for (file, bytes) in files(directory) {
        assert!(!holds(&bytes), "{file}");
    }
    assert!(!holds(log.as_bytes()));

    // It is used again; and the test finds what is there.
    let process = site.start(&[]);
    process.ready().await;
    Api::of(&process).publish("2").await;
    receiver.next().await.verify(SECRET);
    process.stop();
    let mut plain = site.command(&[]);
    plain.env("SLUICEGATE_SECRETS__AT_REST", "plain").env("SLUICEGATE_API_TOKEN", TOKEN);
    plain.env("SLUICEGATE_DATA_DIR", "plain").env("SLUICEGATE_ALLOW_CIDR", "127.0.0.0/8");
    let process = Process::start(&mut plain);
    assert!(process.told("secrets").starts_with("plain"));
    subscribe(&Api::of(&process), &receiver.url()).await;
    process.stop();
    assert!(files(&directory.join("plain")).iter().any(|(_, bytes)| holds(bytes)));
}

#[actix_rt::test]
async fn redis_holds_no_secret_and_its_key_is_changed_while_everything_runs() {
    let mut site = Site::new(Engine::Redis);
    let url = site.redis().url();
    let new = SealingKey::generate();
    let both = [("SLUICEGATE_SECRETS__KEYS", format!("{new},{KEY}"))];
    let start = |arguments: &[&str], keys: &str| {
        let mut command = site.command(arguments);
        command.env("SLUICEGATE_API_TOKEN", TOKEN).env("SLUICEGATE_ALLOW_CIDR", "127.0.0.0/8");
        Process::start(command.env("SLUICEGATE_SECRETS__KEYS", keys))
    };
    let mut receiver = Receiver::start();
    let old = start(&["gateway"], KEY);
    subscribe(&Api::of(&old), &receiver.url()).await;
    old.stop();
    let (gateway, dispatcher) =
        (start(&["gateway"], &both[0].1), start(&["dispatcher"], &both[0].1));
    dispatcher.ready().await;
    let api = Api::of(&gateway);
    api.publish("1").await;
    receiver.next().await.verify(SECRET);

    let server = gateway.told("API ").replace("/api/v1", "");
    let mut rewrap = site.command(&["secrets", "rewrap", "--server", &server]);
    rewrap.env("SLUICEGATE_API_TOKEN", TOKEN);
    assert!(run(&mut rewrap).1.starts_with("1 endpoints looked at, 1 rewrapped, 0 unreadable"));
    assert!(run(&mut rewrap).1.starts_with("1 endpoints looked at, 0 rewrapped, 0 unreadable"));
    api.publish("2").await;
    receiver.next().await.verify(SECRET);
    let kept = dump(&url);
    assert!(kept.len() > 3, "{kept:?}");
    for (key, bytes) in kept {
        assert!(!holds(&bytes), "{key}");
    }
    dispatcher.stop();
    gateway.stop();

    let (gateway, dispatcher) = (start(&["gateway"], &new), start(&["dispatcher"], &new));
    dispatcher.ready().await;
    Api::of(&gateway).publish("3").await;
    receiver.next().await.verify(SECRET);
    dispatcher.stop();
    gateway.stop();
    let mut lost = site.command(&["secrets", "rewrap", "--server", "http://127.0.0.1:1"]);
    let (code, _, stderr) = run(lost.env("SLUICEGATE_API_TOKEN", TOKEN));
    assert!(code == Some(1) && stderr.contains("no answer from the server"), "{stderr}");
}

#[test]
fn a_key_is_made_and_redis_without_one_is_refused() {
    let site = Site::new(Engine::Embedded);
    let (code, key, _) = run(&mut site.command(&["secrets", "generate-key"]));
    assert!(code == Some(0) && SealingKey::parse(&key).is_ok(), "{key}");
    let mut redis = site.command(&["dispatcher", "--store", "redis://127.0.0.1:1"]);
    let (code, _, stderr) = run(&mut redis);
    assert!(code == Some(78) && stderr.contains("generate-key"), "{stderr}");
}
