use shared::{sealing::KeyRing, trace::Tracer};

use super::*;

/// A key of secrets.
const KEY: (&str, &str) =
    ("SLUICEGATE_SECRETS__KEYS", "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWtleSE=");

fn load(flags: &Flags, environment: &[(&str, &str)], role: Role) -> Result<Config> {
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Config::from_layers(&layer::all(flags, &environment)?, role)
}

fn wrong(environment: &[(&str, &str)], role: Role) -> Vec<String> {
    match load(&Flags::default(), environment, role) {
        Err(Failure::Config(wrong)) => wrong,
        other => panic!("expected a configuration that cannot work, found {other:?}"),
    }
}

#[test]
fn the_defaults_work_and_are_safe() {
    let settings = load(&Flags::default(), &[], Role::AllInOne).unwrap().settings;
    assert!(settings.listen.ip().is_loopback() && settings.admin_listen.ip().is_loopback());
    assert!(settings.allow_cidr.is_empty());
    assert_eq!(settings.store, StoreChoice::Embedded);
    assert_eq!(settings.durability.name(), "disk");
    assert_eq!(settings.lifetimes(), shared::store::Lifetimes::default());
    assert_eq!(settings.dispatcher(KeyRing::default(), Tracer::default()).retry_schedule.len(), 9);
    assert!(settings.dispatcher(KeyRing::default(), Tracer::default()).workers >= 1);
}

#[test]
fn stronger_layers_win() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("settings.toml");
    let text = "listen = '127.0.0.1:1'\nadmin_listen = '127.0.0.1:2'\ndata_dir = 'f'\n\
                [dispatcher]\nmax_window = 9";
    std::fs::write(&file, text).unwrap();
    let flags = Flags {
        config: Some(file),
        listen: Some("127.0.0.1:5".into()),
        allow_cidr: vec!["10.0.0.0/8".into()],
        ..Flags::default()
    };
    let environment = [
        ("SLUICEGATE_LISTEN", "127.0.0.1:3"),
        ("SLUICEGATE_ADMIN_LISTEN", "127.0.0.1:4"),
        ("SLUICEGATE_DISPATCHER__RETRY_SCHEDULE", "1s, 2m"),
        ("SLUICEGATE_GATEWAY__BODY_LIMIT", "2048"),
        ("HOME", "/root"),
    ];
    let config = load(&flags, &environment, Role::AllInOne).unwrap();
    let settings = &config.settings;
    assert_eq!(settings.listen.port(), 5);
    assert_eq!(settings.admin_listen.port(), 4);
    assert_eq!(settings.data_dir.to_str(), Some("f"));
    assert_eq!(settings.dispatcher(KeyRing::default(), Tracer::default()).max_window, 9);
    assert_eq!(
        settings.dispatcher(KeyRing::default(), Tracer::default()).retry_schedule.map_seconds(),
        [1, 120]
    );
    assert_eq!(
        settings.gateway("".to_owned().into(), KeyRing::default(), Tracer::default()).body_limit,
        2048
    );

    let printed = config.print().unwrap();
    let origin = |start: &str| {
        let line = printed.lines().find(|line| line.starts_with(start)).unwrap();
        line.split_once('#').unwrap().1.trim().to_owned()
    };
    assert_eq!(origin("listen"), "flag");
    assert_eq!(origin("admin_listen"), "environment");
    assert!(origin("data_dir").starts_with("file "));
    assert_eq!(origin("durability"), "default");
    printed.parse::<toml::Table>().unwrap();
}

trait Seconds {
    fn map_seconds(&self) -> Vec<u64>;
}

impl Seconds for Vec<std::time::Duration> {
    fn map_seconds(&self) -> Vec<u64> {
        self.iter().map(std::time::Duration::as_secs).collect()
    }
}

#[test]
fn every_unknown_name_is_named() {
    let found = wrong(
        &[
            ("SLUICEGATE_LISTEM", "x"),
            ("SLUICEGATE_GATEWAY__WORKER", "1"),
            ("SLUICEGATE_GATEWAY", "1"),
            ("SLUICEGATE_GATEWAY__WORKERS", "many"),
        ],
        Role::AllInOne,
    );
    assert_eq!(
        found,
        [
            "unknown environment variable SLUICEGATE_LISTEM",
            "unknown environment variable SLUICEGATE_GATEWAY__WORKER",
            "unknown environment variable SLUICEGATE_GATEWAY",
            "environment variable SLUICEGATE_GATEWAY__WORKERS must be a whole number",
        ]
    );
}

#[test]
fn a_file_that_does_not_fit_is_refused_without_showing_its_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings.toml");
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let flags = Flags { config: Some(path.clone()), ..Flags::default() };
        match load(&flags, &[], Role::AllInOne) {
            Err(Failure::Config(wrong)) => wrong.join("\n"),
            other => panic!("accepted: {other:?}"),
        }
    };
    let two = refused("apitoken = 1\n[gateway]\nworkerz = 1");
    assert!(two.contains("unknown setting apitoken in file "), "{two}");
    assert!(two.contains("unknown setting gateway.workerz in file "), "{two}");
    assert!(refused("[listen]").contains("listen must be a text in quotes"));
    for secret in ["api_token = 31415926535897932", "store = 'https://u:31415926535897932@h'"] {
        let found = refused(secret);
        assert!(!found.contains("31415926535897932"), "{found}");
    }
    let broken = refused("\napi_token = 'canary-secret");
    assert!(broken.contains("line 2") && !broken.contains("canary"), "{broken}");
    assert!(refused("shutdown_grace = 'soon'").contains("shutdown_grace"));
    let missing = Flags { config: Some("/nowhere/at/all".into()), ..Flags::default() };
    assert!(matches!(load(&missing, &[], Role::AllInOne), Err(Failure::Config(_))));
}

#[test]
fn each_contradiction_is_found() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("SLUICEGATE_DURABILITY", "replicated")], "durability"),
        (&[("SLUICEGATE_API_TOKEN", "short")], "api_token"),
        (&[("SLUICEGATE_API_TOKEN_FILE", "/nowhere/at/all")], "/nowhere/at/all"),
        (&[("SLUICEGATE_ADMIN_LISTEN", "127.0.0.1:8080")], "admin_listen"),
        (&[("SLUICEGATE_LOG__LEVEL", "a=b=c")], "log.level"),
        (&[("SLUICEGATE_GATEWAY__BODY_LIMIT", "1023")], "body_limit"),
        (&[("SLUICEGATE_GATEWAY__BODY_LIMIT", "8388609")], "body_limit"),
        (&[("SLUICEGATE_GATEWAY__BODY_DEADLINE", "0s")], "body_deadline"),
        (&[("SLUICEGATE_GATEWAY__CORS_ORIGINS", "https://a.com/")], "cors_origins"),
        (&[("SLUICEGATE_GATEWAY__PUBLIC_URL", "hooks.example.com")], "public_url"),
        (&[("SLUICEGATE_DISPATCHER__MAX_BODY_BYTES", "4194303")], "max_body_bytes"),
        (&[("SLUICEGATE_DISPATCHER__MAX_WINDOW", "0")], "max_window"),
        (&[("SLUICEGATE_DISPATCHER__MAX_IN_FLIGHT", "63")], "max_in_flight"),
        (&[("SLUICEGATE_DISPATCHER__REQUEST_TIMEOUT", "0s")], "request_timeout"),
        (&[("SLUICEGATE_SHUTDOWN_GRACE", "19s")], "shutdown_grace"),
        (&[("SLUICEGATE_DISPATCHER__LEASE_RENEWAL", "4s")], "lease_renewal"),
        (
            &[
                ("SLUICEGATE_DISPATCHER__LEASE_TTL", "400ms"),
                ("SLUICEGATE_DISPATCHER__LEASE_RENEWAL", "100ms"),
            ],
            "lease_ttl",
        ),
        (&[("SLUICEGATE_LIFETIMES__MESSAGE", "75h 36m")], "lifetimes.message"),
        (&[("SLUICEGATE_LIFETIMES__RETENTION", "9m")], "lifetimes.retention"),
        (&[("SLUICEGATE_LIFETIMES__HISTORY", "23h")], "lifetimes.history"),
    ];
    for (environment, setting) in cases {
        let found = wrong(environment, Role::AllInOne);
        assert_eq!(found.len(), 1, "{environment:?}: {found:?}");
        assert!(found[0].contains(setting), "{environment:?}: {found:?}");
    }
    let both = [("SLUICEGATE_DURABILITY", "replicated"), ("SLUICEGATE_LIFETIMES__HISTORY", "23h")];
    assert_eq!(wrong(&both, Role::AllInOne).len(), 2, "all of them are told at once");
}

#[test]
fn issuers_stand_in_a_file_and_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings.toml");
    let loaded = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let flags = Flags { config: Some(path.clone()), ..Flags::default() };
        load(&flags, &[], Role::AllInOne)
    };
    let issuer = "[[gateway.issuers]]\nissuer = 'https://i'\naudiences = ['a']\n";
    let more = "scopes = { boss = 'admin' }\nleeway = '1m'\nalgorithms = ['ES256', 'EdDSA']";
    let config = loaded(&format!("{issuer}{more}")).unwrap();
    let [found] = &config
        .settings
        .gateway("".to_owned().into(), KeyRing::default(), Tracer::default())
        .issuers[..]
    else {
        panic!()
    };
    assert_eq!((found.scopes.len(), found.leeway.as_secs()), (1, 60));
    assert!(config.print().unwrap().contains("https://i"));
    for (text, named) in [
        (format!("{issuer}algorithms = ['HS256']"), "HS256"),
        (format!("{issuer}audience = 'a'"), "audience"),
        (format!("{issuer}leeway = '1h'"), "leeway"),
        (format!("{issuer}{issuer}"), "twice"),
        ("[[gateway.issuers]]\nissuer = 'https://i'".to_owned(), "audiences"),
    ] {
        let Err(Failure::Config(wrong)) = loaded(&text) else { panic!("accepted: {text}") };
        assert!(wrong.join("\n").contains(named), "{text}: {wrong:?}");
    }
    let variable = wrong(&[("SLUICEGATE_GATEWAY__ISSUERS", "https://i")], Role::AllInOne);
    assert!(variable[0].contains("gateway.issuers"), "{variable:?}");
}

#[test]
fn what_cannot_be_read_is_named_with_its_origin() {
    let found = |name, value| wrong(&[(name, value)], Role::AllInOne).join("\n");
    assert_eq!(
        found("SLUICEGATE_DURABILITY", "most"),
        "durability (environment): `most` is none of process, disk, replicated"
    );
    let cidr = found("SLUICEGATE_ALLOW_CIDR", "10.0.0.0/8,here");
    assert!(cidr.starts_with("allow_cidr.1 (environment): "), "{cidr}");
}

#[test]
fn halves_need_redis_and_the_gateway_a_token() {
    assert!(wrong(&[], Role::Dispatcher)[0].contains("one process only"));
    let redis = ("SLUICEGATE_STORE", "redis://127.0.0.1");
    let found = wrong(&[redis, KEY], Role::Gateway);
    assert!(found[0].contains("SLUICEGATE_API_TOKEN"), "{found:?}");
    load(&Flags::default(), &[redis, KEY], Role::Dispatcher).unwrap();
    let token = ("SLUICEGATE_API_TOKEN", "00000000000000000000");
    load(&Flags::default(), &[redis, KEY, token], Role::Gateway).unwrap();
}

#[test]
fn redis_needs_a_key_or_the_word_plain() {
    let redis = ("SLUICEGATE_STORE", "redis://127.0.0.1");
    for role in [Role::AllInOne, Role::Dispatcher] {
        let found = wrong(&[redis], role);
        assert!(found[0].contains("generate-key") && found[0].contains("plain"), "{found:?}");
    }
    let plain = ("SLUICEGATE_SECRETS__AT_REST", "plain");
    load(&Flags::default(), &[redis, plain], Role::Dispatcher).unwrap();
    assert!(wrong(&[redis, plain, KEY], Role::Dispatcher)[0].contains("remove one"));
    let file = ("SLUICEGATE_SECRETS__KEYS_FILE", "/nowhere/at/all");
    assert!(wrong(&[redis, file], Role::Dispatcher)[0].contains("/nowhere/at/all"));
    assert!(wrong(&[file, KEY], Role::AllInOne)[0].contains("remove one"));
    let short = wrong(&[("SLUICEGATE_SECRETS__KEYS", "canary")], Role::AllInOne);
    assert!(short[0].contains("key 1") && !short[0].contains("canary"), "{short:?}");
}

#[test]
fn secrets_do_not_show() {
    let environment = [
        ("SLUICEGATE_API_TOKEN", "canary-token-0123456789"),
        ("SLUICEGATE_STORE", "redis://user:canary-password@127.0.0.1:6379/2"),
        KEY,
    ];
    let config = load(&Flags::default(), &environment, Role::AllInOne).unwrap();
    let (printed, debug) = (config.print().unwrap(), format!("{:?}", config.settings));
    assert!(
        !printed.contains("canary") && !printed.contains(KEY.1) && !debug.contains("canary"),
        "{printed}\n{debug}"
    );
    assert!(!debug.contains(KEY.1));
    assert!(printed.contains("redis://user:***@127.0.0.1:6379/2"), "{printed}");
}

#[test]
fn traces_and_logs_are_refused_where_they_cannot_work() {
    for (variable, value, word) in [
        ("TRACES__ENDPOINT", "127.0.0.1:4318", "traces.endpoint"),
        ("TRACES__ENDPOINT", "http://user:canary@localhost", "traces.headers"),
        ("TRACES__ENDPOINT", "http://localhost:4318/v1/traces", "base URL"),
        ("TRACES__SAMPLE_RATIO", "1.5", "0.0 to 1.0"),
        ("TRACES__SAMPLE_RATIO", "NaN", "0.0 to 1.0"),
        ("TRACES__QUEUE", "0", "traces.queue"),
        ("TRACES__HEADERS", "canary", "name=value"),
        ("TRACES__HEADERS", "a b=canary", "name=value"),
        ("TRACES__ATTRIBUTES", "=x", "name=value"),
        ("TRACES__ACCEPT", "perhaps", "true or false"),
        ("LOG__HEADERS", "user-agent,Authorization", "log.headers"),
        ("LOG__HEADERS", "a b", "log.headers"),
        ("LOG__PAYLOAD_BYTES", "65537", "log.payload_bytes"),
    ] {
        let found = wrong(&[(&format!("SLUICEGATE_{variable}"), value)], Role::AllInOne);
        assert!(found[0].contains(word) && !found[0].contains("canary"), "{variable}: {found:?}");
    }
    let environment = [
        ("SLUICEGATE_TRACES__ENDPOINT", "http://127.0.0.1:4318/otlp/"),
        ("SLUICEGATE_TRACES__SAMPLE_RATIO", "1"),
        ("SLUICEGATE_TRACES__HEADERS", "authorization=Bearer canary=="),
    ];
    let config = load(&Flags::default(), &environment, Role::AllInOne).unwrap();
    let traces = &config.settings.traces;
    assert_eq!(traces.url().unwrap().as_str(), "http://127.0.0.1:4318/otlp/v1/traces");
    assert_eq!(traces.headers()["authorization"], "Bearer canary==");
    let shown = format!("{:?}{}{:?}", traces, config.print().unwrap(), traces.headers());
    assert!(!shown.contains("canary"), "{shown}");
}
