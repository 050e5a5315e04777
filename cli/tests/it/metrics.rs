//! What processes export, against what docs/metrics.md says.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::Value;

use crate::{
    api::Api,
    process::{Engine, Form, PATIENCE, Process, Site, get},
    receiver::Receiver,
};

/// Name to type and labels.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;
/// Name and label to values.
type Values = BTreeMap<(String, String), BTreeSet<String>>;

fn documented() -> Families {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut families = Families::new();
    for row in page.lines().filter(|row| row.starts_with("| `sluice") || row.starts_with("| `proc"))
    {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let labels: BTreeSet<_> = quoted(&outside_of_parentheses(cells[3])).collect();
        for name in quoted(cells[1]) {
            let twice = families.insert(name.clone(), (cells[2].to_owned(), labels.clone()));
            assert_eq!(twice, None, "{name} stands there twice");
        }
    }
    assert!(families.len() > 80, "the page is read");
    families
}

/// Labels whose values the page lists, and whether all of them are there from the start.
fn listed() -> Vec<((String, String), BTreeSet<String>, bool)> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut listed = Vec::new();
    for row in page.lines().filter(|row| row.starts_with("| `sluice")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        for (before, after) in cells[3].match_indices("` (").map(|(at, _)| cells[3].split_at(at)) {
            let label = before.rsplit('`').next().unwrap();
            let values = after[3..].split(')').next().unwrap();
            // Those of another place are not listed here.
            if values.contains('…') || values.contains("as `") || !values.starts_with('`') {
                continue;
            }
            let from_the_start = !cells[3].contains("as they come");
            for name in quoted(cells[1]) {
                listed.push(((name, label.to_owned()), quoted(values).collect(), from_the_start));
            }
        }
    }
    assert!(listed.len() > 20, "the page is read");
    listed
}

fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

fn outside_of_parentheses(text: &str) -> String {
    let mut depth = 0;
    text.chars()
        .filter(|c| {
            depth += i32::from(*c == '(');
            let outside = depth == 0;
            depth -= i32::from(*c == ')');
            outside
        })
        .collect()
}

/// Adds what a page in Prometheus' text format has.
fn read(page: &str, families: &mut Families, values: &mut Values) {
    let mut family = String::new();
    for line in page.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap();
            family = name.to_owned();
            families.entry(family.clone()).or_default().0 = kind.to_owned();
        } else if let Some((_, labels)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let labels = labels.rsplit_once('}').unwrap().0.trim_end_matches('"');
            for (label, value) in labels.split("\",").filter_map(|label| label.split_once("=\"")) {
                if label != "le" {
                    families.get_mut(&family).unwrap().1.insert(label.to_owned());
                    let of = (family.clone(), label.to_owned());
                    values.entry(of).or_default().insert(value.to_owned());
                }
            }
        }
    }
}

async fn scrape(process: &Process) -> String {
    let (status, page) = get(&process.admin("/metrics")).await;
    assert_eq!(status, 200, "{page}");
    page
}

/// The value of the first sample that starts like this.
fn sample(page: &str, start: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.starts_with(start))?;
    line.rsplit(' ').next()?.parse().ok()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Something of everything that is counted only once it happens.
async fn traffic(process: &Process, receiver: &mut Receiver) {
    let api = Api::of(process);
    api.subscribe(&receiver.url()).await;
    api.publish("1").await;
    receiver.next().await;
    let message = Some(r#"{"eventType": "a.b", "payload": 1}"#);
    assert_eq!(api.call(Method::POST, "app/nobody/msg", message).await.0, 404);
    assert_eq!(Api::with_token(process, "wrong").call(Method::GET, "app", None).await.0, 401);
}

#[actix_rt::test]
async fn what_is_exported_is_documented_and_the_other_way_round() {
    let wanted = documented();
    let mut receiver = Receiver::start();
    let sites = [(Engine::Embedded, Form::Whole), (Engine::Redis, Form::Halves)]
        .map(|(engine, form)| (Site::new(engine), form));
    let deployments = sites.each_ref().map(|(site, form)| site.deploy(*form));
    for deployment in &deployments {
        deployment.ready().await;
        traffic(&deployment.gateway, &mut receiver).await;
    }
    let (mut found, mut values) = (Families::new(), Values::new());
    until("all is exported that is documented", async || {
        found.clear();
        for process in deployments.iter().flat_map(|deployment| deployment.all()) {
            read(&scrape(process).await, &mut found, &mut values);
        }
        let missing: Vec<_> = wanted.keys().filter(|name| !found.contains_key(*name)).collect();
        if !missing.is_empty() {
            eprintln!("not exported yet: {missing:?}");
        }
        missing.is_empty()
    })
    .await;
    assert_eq!(found, wanted);
    for (of, wanted, from_the_start) in listed() {
        let found = values.get(&of).cloned().unwrap_or_default();
        assert!(found.is_subset(&wanted), "{of:?}: {found:?} are not all of {wanted:?}");
        // What can only be one at a time, or is of certain processes.
        let one = ["durability", "role", "store", "part"].contains(&of.1.as_str())
            || of.0 == "sluicegate_endpoint_state"
            || (of.0.starts_with("sluicegate_endpoint_") && of.1 == "tier");
        assert!(found == wanted || one || !from_the_start, "{of:?}: {found:?}, not {wanted:?}");
    }
    deployments.into_iter().for_each(|deployment| deployment.stop());
}

#[actix_rt::test]
async fn the_worst_destination_is_seen_in_the_scrape_and_in_the_list() {
    let site = Site::new(Engine::Embedded);
    let timeout = ("SLUICEGATE_DISPATCHER__REQUEST_TIMEOUT", "20s");
    let process = site.deploy_with(Form::Whole, &[timeout]).gateway;
    process.ready().await;
    let (api, receiver) = (Api::of(&process), Receiver::hesitating());
    let endpoint = api.subscribe(&receiver.url()).await;
    for _ in 0..100 {
        api.publish("1").await;
    }
    let app = api.get("app/demo").await["id"].as_str().unwrap().to_owned();
    let of = |name: &str| {
        format!(
            "sluicegate_endpoint_{name}{{application=\"{app}\",endpoint=\"{endpoint}\",tier=\"standard\"}}"
        )
    };
    until("its backlog shows", async || {
        let page = scrape(&process).await;
        let [backlog, in_flight, age] =
            ["backlog_deliveries", "attempts_in_flight", "oldest_due_age_seconds"]
                .map(|name| sample(&page, &of(name)).unwrap_or_default());
        backlog + in_flight == 100.0 && in_flight > 0.0 && age > 0.0
    })
    .await;
    let listed = async |query: &str| {
        let (status, page) = get(&process.admin(&format!("/destinations{query}"))).await;
        (status, serde_json::from_str::<Value>(&page).unwrap_or(Value::String(page)))
    };
    for query in ["", "?sort=backlog&limit=1", "?sort=rate"] {
        let (status, page) = listed(query).await;
        assert_eq!(status, 200, "{page}");
        let first = &page["destinations"][0];
        assert_eq!(
            (&first["endpointId"], &first["appId"]),
            (&endpoint.clone().into(), &app.clone().into())
        );
        let waits = first["backlog"].as_u64().unwrap() + first["inFlight"].as_u64().unwrap();
        assert_eq!(waits, 100, "{page}");
        assert_eq!(
            (&page["total"], &page["lanes"], &page["next"]),
            (&1.into(), &64.into(), &Value::Null)
        );
    }
    assert_eq!(listed("?offset=1").await.1["destinations"], Value::Array(vec![]));
    for wrong in ["?limit=0", "?limit=501", "?sort=name", "?page=2"] {
        assert_eq!(listed(wrong).await.0, 400, "{wrong}");
    }
}

#[actix_rt::test]
async fn a_gateway_has_no_destinations() {
    let site = Site::new(Engine::Redis);
    let gateway = site.start(&["gateway"]);
    gateway.ready().await;
    assert_eq!(get(&gateway.admin("/destinations")).await.0, 404);
    let page = scrape(&gateway).await;
    assert!(!page.contains("sluicegate_dispatcher_") && !page.contains("sluicegate_endpoint_"));
    assert_eq!(sample(&page, "sluicegate_ready"), Some(1.0));
    gateway.stop();
}

#[actix_rt::test]
async fn a_pinned_endpoint_is_shown_also_without_work() {
    let site = Site::new(Engine::Embedded);
    let pinned = "app_2bWkGXLYVXdVQzGEuRgNDR/ep_2bWkGXM1T0XlQZJgqHNqyK";
    let setting = ("SLUICEGATE_METRICS__PINNED_ENDPOINTS", pinned);
    let process = site.deploy_with(Form::Whole, &[setting]).gateway;
    process.ready().await;
    let (app, endpoint) = pinned.split_once('/').unwrap();
    let name = format!(
        "sluicegate_endpoint_backlog_deliveries{{application=\"{app}\",endpoint=\"{endpoint}\",tier=\"pinned\"}}"
    );
    until("it shows", async || sample(&scrape(&process).await, &name) == Some(0.0)).await;
}
