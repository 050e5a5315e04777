//! Thousands of requests that nobody should send, over bare sockets: the server may refuse them or close,
//! and that is all that may happen.

mod parts;
mod requests;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    api::Api,
    process::{Engine, Form, Site},
};
use requests::{Attack, Attacker, Ending};

const ATTACKS: usize = 2_000;
/// With `SLUICEGATE_LONG=1`.
const MANY_ATTACKS: usize = 10_000;
const AT_ONCE: usize = 32;
/// Connections that begin a request and never end it, held during all others.
const HELD: usize = 200;
/// How long one connection is listened to at most.
const PATIENT: Duration = Duration::from_secs(10);
const ROOM: u64 = 50 << 20;
/// `SLUICEGATE_SEED` takes others.
const SEED: u64 = 20;

#[actix_rt::test]
async fn nothing_that_comes_over_a_socket_harms_it() {
    let seed = std::env::var("SLUICEGATE_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let long = std::env::var_os("SLUICEGATE_LONG").is_some();
    let attacks = if long { MANY_ATTACKS } else { ATTACKS };
    let site = Site::new(Engine::Embedded);
    // Waiting for the disk is not what this is about.
    let process = site.deploy_with(Form::Whole, &[("SLUICEGATE_DURABILITY", "process")]);
    process.ready().await;
    let process = process.gateway;
    let api = Api::of(&process);
    let endpoint = api.subscribe("http://127.0.0.1:9/").await;
    let message = api.publish("1").await;
    // Nobody attacks this one.
    api.post("app", r#"{"name": "Bystander", "uid": "bystander"}"#).await;
    let document = api.get("openapi.json").await;
    let names = vec![
        ("{app}", "demo".to_owned()),
        ("{endpoint}", endpoint),
        ("{message}", message),
        ("{name}", "a".to_owned()),
    ];
    let attacker = Attacker::new(&document, names);
    let address: SocketAddr = process.told("API ")[7..].split('/').next().unwrap().parse().unwrap();

    let mut held = Vec::new();
    for _ in 0..HELD {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"POST /api/v1/app HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
        held.push(stream);
    }
    let before = process.resident();
    let attacker = Arc::new(attacker);
    let mut answers = stream::iter(0..attacks as u64)
        .map(|nth| {
            let attacker = Arc::clone(&attacker);
            async move {
                let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003) + nth);
                let attack = attacker.attack(&mut rng);
                let answer = send(address, &attack, &mut rng).await;
                (nth, attack, answer)
            }
        })
        .buffer_unordered(AT_ONCE);
    let (mut most, mut statuses) = (before, BTreeMap::<String, usize>::new());
    while let Some((nth, attack, answer)) = answers.next().await {
        let told = statuses_of(&answer);
        for status in &told {
            let what = format!("{status} {}", attack.kind);
            assert!(!status.starts_with('5'), "{}: {}", attack.shown(), lossy(&answer));
            *statuses.entry(what).or_default() += 1;
        }
        if attack.is_smuggled {
            let refused = told.iter().all(|status| status.starts_with('4'));
            assert!(told.len() <= 1 && refused, "{}: {}", attack.shown(), lossy(&answer));
        }
        if nth % 100 == 0 {
            most = most.max(process.resident());
        }
    }
    drop(answers);
    // What was held may have been closed by now.
    for stream in &mut held {
        _ = stream.write_all(b"x").await;
    }
    most = most.max(process.resident());
    api.post("app/bystander/msg", r#"{"eventType": "a", "payload": {}}"#).await;
    assert!(!process.log().contains("panicked"), "{}", process.log());
    let grown = most.saturating_sub(before);
    eprintln!("seed {seed}: {} MiB, then {} MiB more; {statuses:#?}", before >> 20, grown >> 20);
    assert!(grown <= ROOM, "{before} bytes, and {grown} more");
    process.stop();
}

/// All that comes back until the server closes.
async fn send(address: SocketAddr, attack: &Attack, rng: &mut StdRng) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut rest = &attack.bytes[..];
    if attack.ending == Ending::Dripping {
        for _ in 0..rng.random_range(1..20) {
            let (piece, behind) = rest.split_at(rest.len().min(rng.random_range(1..40)));
            _ = stream.write_all(piece).await;
            _ = stream.flush().await;
            rest = behind;
            tokio::task::yield_now().await;
        }
    }
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    // The server may close before it has read everything, so writing may fail.
    let write = async {
        _ = writer.write_all(rest).await;
        if attack.ending != Ending::Abrupt {
            _ = writer.shutdown().await;
        }
    };
    let read = async {
        if attack.ending != Ending::Abrupt {
            _ = reader.read_to_end(&mut answer).await;
        }
    };
    // A server may hold a connection for a while; who waits no longer goes away.
    _ = timeout(PATIENT, async { tokio::join!(write, read) }).await;
    answer
}

/// The statuses of the answers on one connection.
fn statuses_of(answer: &[u8]) -> Vec<String> {
    let text = lossy(answer);
    let starts = text.match_indices("HTTP/1.1 ").map(|(at, start)| at + start.len());
    starts.filter_map(|at| text.get(at..at + 3)).map(str::to_owned).collect()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Attack {
    fn shown(&self) -> String {
        let bytes = &self.bytes[..self.bytes.len().min(2000)];
        format!("{} {:?} {}", self.kind, self.ending, bytes.escape_ascii())
    }
}

/// The routes of a document: method and path.
fn routes(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
    });
    // It would leave nothing to be attacked.
    all.filter(|(method, path)| method != "DELETE" || !path.ends_with("/app/{app}")).collect()
}
