use std::time::Duration;

use loadtests::{journal::BodyHash, sink::Sink};
use reqwest::{Client, Response};

const PATIENCE: Duration = Duration::from_secs(10);

async fn post(sink: &Sink, path: &str, id: &str, body: &'static str) -> Response {
    post_with(&Client::new(), sink, path, id, body).await
}

async fn post_with(
    client: &Client,
    sink: &Sink,
    path: &str,
    id: &str,
    body: &'static str,
) -> Response {
    client.post(sink.url(path)).header("webhook-id", id).body(body).send().await.unwrap()
}

async fn statuses<const N: usize>(sink: &Sink, path: &str, id: &str) -> [u16; N] {
    let client = Client::new();
    let mut statuses = [0; N];
    for status in &mut statuses {
        *status = post_with(&client, sink, path, id, "{}").await.status().as_u16();
    }
    statuses
}

#[actix_rt::test]
async fn a_path_says_how_it_is_answered() {
    let sink = Sink::start_local().unwrap();
    assert_eq!(statuses(&sink, "/ok", "a").await, [200]);
    assert_eq!(statuses(&sink, "/status/503", "a").await, [503]);
    assert_eq!(statuses(&sink, "/gone", "a").await, [410]);
    assert_eq!(statuses(&sink, "/fail/2", "a").await, [503, 503, 200, 200]);
    assert_eq!(statuses(&sink, "/fail/2", "b").await, [503, 503, 200]);
    assert_eq!(statuses(&sink, "/fail/1?other", "a").await, [503, 200]);
    for unknown in ["/", "/status/x", "/flaky/0", "/ok/x", "/slow/1/2", "/fail"] {
        assert_eq!(statuses(&sink, unknown, "a").await, [404], "{unknown}");
    }
}

#[actix_rt::test]
async fn one_in_so_many_messages_fails_once() {
    let sink = Sink::start_local().unwrap();
    let client = Client::new();
    let mut failed = 0;
    for n in 0..200 {
        let id = format!("msg_{n}");
        let first = post_with(&client, &sink, "/flaky/10", &id, "{}").await;
        let second = post_with(&client, &sink, "/flaky/10", &id, "{}").await;
        assert_eq!(second.status(), 200);
        failed += usize::from(first.status() == 503);
    }
    assert!((5..60).contains(&failed), "{failed} of 200");
}

#[actix_rt::test]
async fn a_retry_after_is_said_once_for_each_message() {
    let sink = Sink::start_local().unwrap();
    let first = post(&sink, "/retry-after/3", "a", "{}").await;
    assert_eq!(first.status(), 429);
    assert_eq!(first.headers()["retry-after"], "3");
    assert_eq!(post(&sink, "/retry-after/3", "a", "{}").await.status(), 200);
}

#[actix_rt::test]
async fn slow_answers_and_hangs_are_in_flight() {
    let sink = Sink::start_local().unwrap();
    let started = std::time::Instant::now();
    assert_eq!(statuses(&sink, "/slow/50", "a").await, [200]);
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert_eq!(sink.in_flight(), 0);

    let hang = Client::new().post(sink.url("/hang")).header("webhook-id", "b").send();
    let hang = actix_rt::spawn(hang);
    sink.wait_until(PATIENCE, |journal| journal.of("b").count() == 1).await.unwrap();
    assert_eq!(sink.in_flight(), 1);
    hang.abort();
}

#[actix_rt::test]
async fn an_outage_covers_every_path_until_it_ends() {
    let sink = Sink::start_local().unwrap();
    sink.set_outage(Some(actix_web::http::StatusCode::BAD_GATEWAY));
    assert_eq!(statuses(&sink, "/ok", "a").await, [502]);
    assert_eq!(statuses(&sink, "/hang", "a").await, [502]);
    sink.set_outage(None);
    assert_eq!(statuses(&sink, "/ok", "a").await, [200]);
}

#[actix_rt::test]
async fn everything_is_written_down() {
    let sink = Sink::start_local().unwrap();
    post(&sink, "/ok?a", "m1", "one").await;
    post(&sink, "/ok?a", "m1", "one").await;
    post(&sink, "/ok?b", "m1", "one").await;
    post(&sink, "/status/500", "m2", "two").await;

    let (summary, ids) = sink.ask(|journal| (journal.summary(), journal.ids()));
    assert_eq!((summary.requests, summary.delivered, summary.duplicates), (4, 2, 1));
    assert_eq!(summary.paths["/ok?a"], 2);
    assert_eq!(summary.statuses[&500], 1);
    assert_eq!(ids.iter().map(|id| &**id).collect::<Vec<_>>(), ["m1", "m2"]);

    let told: loadtests::journal::Summary =
        reqwest::get(sink.url("/_sink/summary")).await.unwrap().json().await.unwrap();
    assert_eq!(told, summary);
    let lines = reqwest::get(sink.url("/_sink/arrivals")).await.unwrap().text().await.unwrap();
    let last: loadtests::sink::ArrivalLine =
        serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((last.webhook_id.as_str(), last.sha256), ("m2", BodyHash::of(b"two")));

    assert_eq!(sink.take().arrivals().len(), 4);
    assert_eq!(sink.ask(|journal| journal.arrivals().len()), 0);
}

#[actix_rt::test]
async fn waiting_ends_with_the_arrival_or_says_what_was_there() {
    let sink = Sink::start_local().unwrap();
    let (waited, _) =
        futures_util::future::join(sink.wait_for(1, PATIENCE), post(&sink, "/ok", "a", "{}")).await;
    waited.unwrap();
    let error = sink.wait_for(2, Duration::from_millis(20)).await.unwrap_err();
    assert!(error.to_string().contains("delivered: 1"), "{error}");
}
