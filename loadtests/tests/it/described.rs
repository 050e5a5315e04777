//! Loads that are described in files.

use std::{fs, path::Path, sync::Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use loadtests::{
    description::Description,
    run::{SinkPlace, Target, draw, run},
};
use serde_json::{Value, json};

const TINY: &str = r#"
summary = "A few messages to two endpoints"
payload_bytes = [64, 200]
verify_signatures = true
drain = "2s"
endpoints = { per_application = 2 }
expect = { refused = 0, ambiguous = 0, end_to_end_p99 = "1m" }

[[phases]]
name = "few"
concurrency = 1
messages = 20

[[phases]]
name = "rising"
ramp = { from = 20, to = 30, step = "1s", p99 = "1m", backlog = "1m" }
"#;

#[test]
fn every_scenario_is_coherent_at_any_scale() {
    let mut files = 0;
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")).unwrap() {
        let path = file.unwrap().path();
        let description = Description::read(&path).unwrap();
        for factor in [0.01, 0.1, 3.0] {
            let scaled = toml::to_string(&description.scaled(factor)).unwrap();
            let read = Description::parse(&scaled);
            let read = read.unwrap_or_else(|error| panic!("{path:?} × {factor}: {error:#}"));
            assert_eq!(read, description.scaled(factor), "{path:?}");
        }
        files += 1;
    }
    assert!(files >= 15, "{files} files");
}

#[test]
fn errors_say_what_to_do() {
    let phase = "[[phases]]\nname = \"a\"\n";
    for (text, said) in [
        ("", "there is no `[[phases]]`"),
        ("rates = 1\n", "unknown field `rates`"),
        ("applications = 0\n", "`applications` is 0: write at least 1"),
        ("payload_bytes = [10]\n", "sizes of at least 64"),
        (phase, "phase `a`: must have one of `rate`, `concurrency`, `ramp`"),
        ("[[phases]]\nname = \"a\"\nconcurrency = 1\n", "says nothing of its end"),
        ("[[phases]]\nname = \"a\"\nrate = 5\n", "a phase with a `rate` has a `duration`"),
        (
            "endpoints.behaviours = [{ name = \"x\", path = \"/nowhere\" }]\n",
            "the sink knows no path `/nowhere`",
        ),
        (
            "endpoints.behaviours = [{ name = \"x\", path = \"/ok\", share = 0.5 }]\n",
            "are 0.5 together: make them 1",
        ),
        ("[[actions]]\nat = \"1s\"\nlasts = \"1s\"\n", "exactly one of `kill`"),
        (
            "[[actions]]\nat = \"2s\"\nlasts = \"1s\"\npause = true\n\
             [[actions]]\nat = \"2500ms\"\nlasts = \"1s\"\npause = true\n",
            "begins before the one before it has ended",
        ),
        ("[[actions]]\nat = \"1s\"\nlasts = \"1s\"\noutage = 200\n", "a status from 300 to 599"),
        ("expect.knee = 5\n", "`expect.knee` needs a phase with a `ramp`"),
        ("expect.of = \"nobody\"\n", "`nobody`, which is no behaviour"),
    ] {
        let phases = if text.contains("phases") { "" } else { "phases = []\n" };
        let text = format!("summary = \"\"\n{phases}{text}");
        let error = Description::parse(&text).unwrap_err();
        assert!(format!("{error:#}").contains(said), "{text}: {error:#}");
    }
}

#[test]
fn shares_hold_for_every_run_of_endpoints() {
    let text = TINY.replace(
        "endpoints = { per_application = 2 }",
        "applications = 10\nendpoints = { per_application = 10, behaviours = [\
         { name = \"a\", path = \"/ok\", share = 0.9 }, { name = \"b\", path = \"/hang\", share = 0.1 }] }",
    );
    let each = Description::parse(&text).unwrap().behaviour_of_each();
    for application in each.chunks(10) {
        assert_eq!(application.iter().filter(|behaviour| **behaviour == 1).count(), 1);
    }
}

/// What a played server does wrong to the message with this number, if any.
#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    Loses(usize),
    Repeats(usize),
    Alters(usize),
    Forges(usize),
    Swaps(usize),
}

struct Played {
    flaw: Flaw,
    endpoints: Mutex<Vec<(String, String)>>,
    messages: Mutex<usize>,
    held: Mutex<Option<(String, String)>>,
}

/// The part of Svix's API that a load uses. It delivers before it answers.
async fn api(request: HttpRequest, body: String, played: web::Data<Played>) -> HttpResponse {
    let input: Value = serde_json::from_str(&body).unwrap();
    let path = request.path();
    if path.ends_with("/endpoint") {
        let text = |name: &str| input[name].as_str().unwrap().to_owned();
        played.endpoints.lock().unwrap().push((text("url"), text("secret")));
    }
    if !path.ends_with("/msg") {
        return HttpResponse::Created().json(json!({ "id": "app_1" }));
    }
    let number = {
        let mut messages = played.messages.lock().unwrap();
        *messages += 1;
        *messages
    };
    let id = format!("msg_{number}");
    let (_, payload) = body.split_once("\"payload\":").unwrap();
    let payload = payload[..payload.len() - 1].to_owned();
    let mut out = vec![(id.clone(), payload)];
    match played.flaw {
        Flaw::Repeats(n) if n == number => out.push(out[0].clone()),
        Flaw::Alters(n) if n == number => out[0].1.push(' '),
        Flaw::Swaps(n) if n == number => *played.held.lock().unwrap() = out.pop(),
        Flaw::Swaps(n) if n + 1 == number => out.extend(played.held.lock().unwrap().take()),
        _ => {}
    }
    let endpoints = played.endpoints.lock().unwrap().clone();
    for (place, (url, secret)) in endpoints.iter().enumerate() {
        if played.flaw == Flaw::Loses(number) && place == 1 {
            continue;
        }
        for (id, payload) in &out {
            deliver(url, secret, id, payload, played.flaw == Flaw::Forges(number)).await;
        }
    }
    HttpResponse::Accepted().json(json!({ "id": id }))
}

async fn deliver(url: &str, secret: &str, id: &str, payload: &str, forged: bool) {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    let signed = if forged { "{}" } else { payload };
    let webhook = standardwebhooks::Webhook::new(secret).unwrap();
    let signature = webhook.sign(id, now, signed.as_bytes()).unwrap();
    // Under the names that Svix uses.
    let request = reqwest::Client::new().post(url).body(payload.to_owned());
    let request = request.header("svix-id", id).header("svix-timestamp", now);
    request.header("svix-signature", signature).send().await.unwrap();
}

/// What a run against a played server found: the report, as JSON, and the plot.
async fn against(flaw: Flaw) -> (Value, String) {
    let played = web::Data::new(Played {
        flaw,
        endpoints: Mutex::default(),
        messages: Mutex::default(),
        held: Mutex::default(),
    });
    let server =
        HttpServer::new(move || App::new().app_data(played.clone()).default_service(web::to(api)));
    let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    let description = Description::parse(TINY).unwrap();
    let target = Target::Url { url, token: "token".into() };
    let place = SinkPlace { listen: "127.0.0.1:0".parse().unwrap(), url: None };
    let report = run("tiny", &description, &target, &place).await.unwrap();
    handle.stop(false).await;
    let svg = draw("tiny", &report.figures).unwrap();
    (serde_json::to_value(&report).unwrap(), svg)
}

fn broken(report: &Value) -> Vec<&str> {
    let bounds = report["bounds"].as_array().unwrap().iter();
    bounds.filter(|one| one["holds"] == false).map(|one| one["what"].as_str().unwrap()).collect()
}

#[actix_rt::test]
async fn a_server_that_keeps_its_promises_is_measured_and_drawn() {
    let (report, svg) = against(Flaw::None).await;
    assert_eq!(broken(&report), [""; 0], "{report:#}");
    let figures = &report["figures"];
    let few = &figures["phases"][0];
    for (what, count) in [("sent", 20), ("acked", 20), ("due", 40), ("delivered", 40)] {
        assert_eq!(few[what], count, "{what}");
    }
    assert_eq!(few["end_to_end"]["count"], 40);
    assert_eq!(figures["knee"], 30.0);
    assert_eq!(figures["phases"].as_array().unwrap().len(), 3);
    let series = figures["series"].as_array().unwrap();
    let sum = |what: &str| series.iter().map(|one| one[what].as_u64().unwrap()).sum::<u64>();
    let acked = figures["accounts"]["acked"].as_u64().unwrap();
    assert!(acked > 60, "{acked}");
    assert_eq!((sum("acked"), sum("delivered")), (acked, 2 * acked));
    for name in [
        "accepted messages",
        "deliveries",
        "backlog",
        "end to end p99",
        "ack p50",
        "messages per second, offered",
        "milliseconds",
    ] {
        assert!(svg.contains(name), "{name}");
    }
}

#[actix_rt::test]
async fn each_broken_promise_is_told_apart_and_placed() {
    for (flaw, bound, path, count) in [
        (Flaw::Loses(3), "acknowledged deliveries that never came", "/ok?1", "lost"),
        (Flaw::Repeats(3), "deliveries accepted more than once", "/ok?0", "duplicates"),
        (Flaw::Alters(20), "requests with a body that nobody sent", "/ok?0", "altered"),
        (Flaw::Forges(3), "requests without a valid signature", "/ok?1", "badly_signed"),
    ] {
        let (report, _) = against(flaw).await;
        assert!(broken(&report).contains(&bound), "{bound}: {:?}", broken(&report));
        let counts = &report["figures"]["accounts"]["endpoints"][path];
        assert_eq!(counts[count], 1, "{bound}: {counts}");
    }
    let (report, _) = against(Flaw::Swaps(3)).await;
    assert_eq!(broken(&report), [""; 0]);
    assert_eq!(report["figures"]["accounts"]["all"]["out_of_order"], 2);
}

#[test]
fn another_server_is_not_asked_for_what_it_cannot() {
    let text = format!("{TINY}[[actions]]\nat = \"0s\"\nlasts = \"1s\"\nkill = \"gateway\"\n");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_loadtests"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("killing.toml");
    fs::write(&file, text).unwrap();
    let output = { output }
        .arg("run")
        .arg(&file)
        .args(["--server", "http://127.0.0.1:9", "--token", "t", "--out"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("kills a part of the server: leave out --server"), "{said}");
}
