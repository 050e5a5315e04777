//! `sluicegate doctor`: what it says before, beside and after a process.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt};

use serde_json::Value;
use shared::sealing::SealingKey;

use crate::{
    api::Api,
    process::{Engine, KEY, Process, Site, TOKEN, run},
};

/// What doctor found, as JSON, and its exit code; it must not have shown any of these.
fn examined(site: &Site, settings: &[(&str, &str)], hidden: &[&str]) -> (Option<i32>, Value) {
    let examined = |arguments: &[&str]| {
        let mut command = site.command(arguments);
        run(command.env("SLUICEGATE_API_TOKEN", TOKEN).envs(settings.iter().copied()))
    };
    let (code, stdout, stderr) = examined(&["doctor", "--json"]);
    let (_, text, _) = examined(&["doctor"]);
    assert!(text.contains(" failed\n"), "{text}");
    for hidden in hidden.iter().chain(&[TOKEN, KEY]) {
        assert!(![&stdout, &stderr, &text].iter().any(|text| text.contains(hidden)), "{hidden}");
    }
    let found = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}{stderr}"));
    (code, found)
}

/// The verdicts and texts of one check.
fn told(found: &Value, check: &str) -> Vec<String> {
    let of = |finding: &&Value| finding["check"] == check;
    let told = |finding: &Value| {
        let text = |name: &str| finding[name].as_str().unwrap().to_owned();
        format!("{} {} {}", text("verdict"), text("found"), text("todo"))
    };
    found["checks"].as_array().unwrap().iter().filter(of).map(told).collect()
}

/// That one check ended like this, with these words somewhere.
#[track_caller]
fn assert_told(found: &Value, check: &str, verdict: &str, words: &str) {
    let told = told(found, check);
    let is_so = |line: &String| line.starts_with(verdict) && line.contains(words);
    assert!(told.iter().any(is_so), "{check}, {verdict}, {words}: {told:?}\n{found:#}");
}

async fn make_endpoint(process: &Process) {
    Api::of(process).subscribe("http://127.0.0.1:9/").await;
}

#[actix_rt::test]
async fn the_embedded_store_before_beside_and_after_a_process() {
    let site = Site::new(Engine::Embedded);
    let data = site.directory.path().join("sluicegate-data");
    let (code, found) = examined(&site, &[], &[]);
    assert_eq!(code, Some(0), "{found:#}");
    assert_told(&found, "store", "ok", "made at start");
    assert_told(&found, "store.sync", "ok", "on disk");
    assert_told(&found, "deliveries", "ok", "public");
    assert!(!data.exists(), "it makes nothing");

    let process = site.start(&[]);
    process.ready().await;
    make_endpoint(&process).await;
    let listen = process.told("API").replace("http://", "").replace("/api/v1", "");
    let admin = process.admin("").replace("http://", "");
    let addresses = [("SLUICEGATE_LISTEN", &*listen), ("SLUICEGATE_ADMIN_LISTEN", &admin)];
    let (code, found) = examined(&site, &addresses, &[]);
    assert_eq!(code, Some(0), "{found:#}");
    assert_told(&found, "store", "ok", "open in a running process");
    assert_told(&found, "listen", "ok", "already");
    assert_told(&found, "admin_listen", "ok", "already");
    assert_eq!(told(&found, "store.access").len(), 1);
    process.stop();

    let key = fs::read_to_string(data.join("secrets-keys")).unwrap();
    let (code, found) = examined(&site, &addresses, &[key.trim()]);
    assert_eq!(code, Some(0), "{found:#}");
    assert_told(&found, "listen", "ok", "is free");
    assert_told(&found, "secrets.stored", "ok", "all 1 endpoints");
    assert_told(&found, "clock.store", "ok", "past");

    fs::set_permissions(data.join("store"), fs::Permissions::from_mode(0o755)).unwrap();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = stranger.local_addr().unwrap().to_string();
    let (code, found) = examined(&site, &[("SLUICEGATE_ADMIN_LISTEN", &taken)], &[]);
    assert_eq!(code, Some(1), "{found:#}");
    assert_told(&found, "store.access", "warning", "chmod 700");
    assert_told(&found, "admin_listen", "failed", "another program");
    assert_eq!(found["verdict"], "failed");
}

#[actix_rt::test]
async fn a_key_that_was_lost_is_missed_and_never_replaced_in_silence() {
    let site = Site::new(Engine::Embedded);
    let path = site.directory.path().join("sluicegate-data/secrets-keys");
    let process = site.start(&[]);
    process.ready().await;
    let key = fs::read_to_string(&path).unwrap();
    process.stop();
    fs::remove_file(&path).unwrap();
    let process = site.start(&[]);
    process.ready().await;
    let other = fs::read_to_string(&path).unwrap();
    assert_ne!(key, other, "nothing was sealed: a new one does no harm");
    make_endpoint(&process).await;
    process.stop();

    fs::remove_file(&path).unwrap();
    // On an address that is taken, so that it ends even if it does not miss the key.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let (code, stdout, stderr) = run(&mut site.command(&["--listen", &listen]));
    assert_eq!((code, &*stdout), (Some(78), ""), "{stderr}");
    let id = SealingKey::parse(&other).unwrap().id().to_owned();
    for wanted in ["backup", "secrets-keys", "generate-key", &id] {
        assert!(stderr.contains(wanted), "{wanted}: {stderr}");
    }
    assert!(!path.exists());
    let (code, found) = examined(&site, &[], &[&key, &other]);
    assert_eq!(code, Some(1));
    assert_told(&found, "secrets.stored", "failed", "backup");

    fs::write(&path, &key).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let (code, found) = examined(&site, &[], &[&key, &other]);
    assert_eq!(code, Some(1));
    assert_told(&found, "secrets.stored", "failed", &id);
    site.start(&[]).stop();
    fs::write(&path, &other).unwrap();
    assert_eq!(examined(&site, &[], &[&key, &other]).0, Some(0));
}

#[actix_rt::test]
async fn redis_is_judged_by_the_level_and_left_as_it_is() {
    let mut site = Site::new(Engine::Redis);
    let url = site.redis().url();
    let client = redis::Client::open(url.clone()).unwrap();
    let mut redis = client.get_connection().unwrap();
    let mut ask = |words: &[&str]| -> redis::Value {
        redis::cmd(words[0]).arg(&words[1..]).query(&mut redis).unwrap()
    };
    let (code, found) = examined(&site, &[], &[]);
    assert_eq!(code, Some(0), "{found:#}");
    assert_told(&found, "store.format", "ok", "new");
    assert_told(&found, "store.version", "ok", "redis ");
    assert_told(&found, "clock.store", "ok", "clock");
    assert_told(&found, "durability", "ok", "appendfsync always");
    assert_told(&found, "store.memory", "warning", "maxmemory");
    assert_eq!(ask(&["DBSIZE"]), redis::Value::Int(0), "it writes nothing");

    let process = site.start(&[]);
    process.ready().await;
    make_endpoint(&process).await;
    let (code, found) = examined(&site, &[("SLUICEGATE_ALLOW_CIDR", "0.0.0.0/0")], &[]);
    assert_eq!(code, Some(0), "{found:#}");
    assert_told(&found, "secrets.stored", "ok", "all 1 endpoints");
    assert_told(&found, "deliveries", "warning", "where the store is");

    for (setting, wrong, right) in [
        ("appendfsync", "everysec", "always"),
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
        ("no-appendfsync-on-rewrite", "yes", "no"),
    ] {
        ask(&["CONFIG", "SET", setting, wrong]);
        let (code, found) = examined(&site, &[], &[]);
        assert_eq!(code, Some(1), "{found:#}");
        assert_told(&found, "durability", "failed", &format!("CONFIG SET {setting} {right}"));
        ask(&["CONFIG", "SET", setting, right]);
    }
    ask(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_told(&examined(&site, &[], &[]).1, "store.memory", "failed", "raise maxmemory");
    ask(&["CONFIG", "SET", "maxmemory", "0"]);
    let replicated = [("SLUICEGATE_DURABILITY", "replicated")];
    let (code, found) = examined(&site, &replicated, &[]);
    assert_eq!(code, Some(1), "{found:#}");
    assert_told(&found, "durability", "failed", "min-replicas-to-write");
    assert_told(&found, "store.writes", "failed", "replica");

    let key = SealingKey::generate();
    let (code, found) = examined(&site, &[("SLUICEGATE_SECRETS__KEYS", &key)], &[&key]);
    assert_eq!(code, Some(1), "{found:#}");
    assert_told(&found, "secrets.stored", "failed", "1 of 1 endpoints");
    process.stop();

    ask(&["CONFIG", "SET", "requirepass", "canary-password"]);
    let with = url.replace("redis://", "redis://:canary-passwort@");
    let (code, found) = examined(&site, &[("SLUICEGATE_STORE", &with)], &["canary-pass"]);
    assert_eq!(code, Some(1), "{found:#}");
    assert_told(&found, "store", "failed", "password");
    site.redis().kill().unwrap();
    let (code, found) = examined(&site, &[], &[]);
    assert_eq!(code, Some(1), "{found:#}");
    assert_told(&found, "store", "failed", "Connection refused");
}

#[test]
fn settings_that_cannot_work_are_all_told() {
    let site = Site::new(Engine::Embedded);
    let settings =
        [("SLUICEGATE_DURABILITY", "replicated"), ("SLUICEGATE_LIFETIMES__HISTORY", "1h")];
    let (code, found) = examined(&site, &settings, &[]);
    assert_eq!(code, Some(1), "{found:#}");
    assert_eq!(told(&found, "configuration").len(), 2, "{found:#}");
    let (_, text, _) = run(site.command(&["doctor"]).envs(settings));
    assert!(text.contains("failed   configuration durability = \"replicated\""), "{text}");
    assert!(text.ends_with("1 ok, 0 warnings, 2 failed\n"), "{text}");
}
