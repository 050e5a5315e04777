//! What the parts of the scenario share: the SDK, the receiver, and how to ask.
//!
//! Inputs are written and answers compared as JSON, because the two versions of the SDK disagree about the
//! types of maps, lists and times. What the SDK sends and accepts are its own types all the same.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use svix::{
    api::{Svix, SvixOptions},
    error::{Error, Result},
};

use crate::receiver::{PATIENCE, Receiver};

/// An input, as its JSON says.
#[track_caller]
pub fn input<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).expect("an input of the SDK")
}

/// An answer that must be a success, as JSON.
#[track_caller]
pub fn answer<T: Serialize>(result: Result<T>) -> Value {
    serde_json::to_value(done(result)).expect("an answer of the SDK")
}

/// What must be a success.
#[track_caller]
pub fn done<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error:?}"))
}

/// The status that a call is refused with.
#[track_caller]
pub fn status_of<T: Debug>(result: Result<T>) -> u16 {
    match result {
        Err(Error::Http(content)) => content.status.as_u16(),
        other => panic!("expected to be refused: {other:?}"),
    }
}

pub fn ok(step: &str) {
    println!("ok      {step}");
}

/// The entries of a list.
pub fn data(list: &Value) -> &Vec<Value> {
    list["data"].as_array().expect("a list")
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

pub fn ids(list: &Value) -> Vec<String> {
    data(list).iter().map(|entry| text(&entry["id"])).collect()
}

/// Those fields of an object, null where it has none.
pub fn fields(object: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| object[name].clone()).collect()
}

/// Asks the API until the answer holds: what is delivered is listed a moment later.
pub async fn eventually(ask: impl AsyncFn() -> Value, holds: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let answer = ask().await;
        if holds(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "still {answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Goes through a list of at least three in pages of two, forward and back. `ask` takes an iterator,
/// `expected` is what the list begins with.
pub async fn assert_pages(ask: impl AsyncFn(Option<String>) -> Value, expected: &[String]) {
    let first = ask(None).await;
    assert_eq!((ids(&first), &first["done"]), (expected[..2].to_vec(), &json!(false)));
    let second = ask(Some(text(&first["iterator"]))).await;
    assert_eq!(ids(&second)[0], expected[2]);
    let back = ask(Some(text(&second["prevIterator"]))).await;
    assert_eq!(ids(&back), expected[..2]);
}

/// A time so many hours from now, as RFC 3339.
pub fn hours_from_now(hours: i64) -> String {
    let time = chrono::Utc::now() + chrono::TimeDelta::hours(hours);
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

pub struct Customer {
    pub server_url: String,
    pub svix: Svix,
    pub receiver: Receiver,
    /// Tells this run from others.
    pub run: String,
    pub event_type: String,
    offered: BTreeSet<(String, String)>,
}

impl Customer {
    /// `operations` is the list of what the server offers.
    pub fn new(server_url: String, token: String, operations: &str) -> Self {
        let lines = operations.lines().map(|line| line.split_whitespace());
        let offered = lines.filter_map(|mut words| {
            let method = words.next().filter(|method| !method.starts_with(['#', '-']))?;
            Some((method.to_owned(), words.next()?.to_owned()))
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
        let run = format!("{}-{}", now.as_nanos(), std::process::id());
        let svix = client(&server_url, token);
        let event_type = format!("order.created.{run}");
        Self {
            server_url,
            svix,
            receiver: Receiver::start(),
            run,
            event_type,
            offered: offered.collect(),
        }
    }

    pub fn offers(&self, method: &str, path: &str) -> bool {
        self.offered.contains(&(method.to_owned(), format!("/api/v1{path}")))
    }
}

pub fn client(server_url: &str, token: String) -> Svix {
    let server_url = Some(server_url.to_owned());
    Svix::new(token, Some(SvixOptions { server_url, ..SvixOptions::default() }))
}
