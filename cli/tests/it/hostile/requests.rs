//! Requests that nobody should send, each made from a seed.

use rand::{Rng, RngCore, rngs::StdRng};
use serde_json::Value;

use super::{
    parts::{
        bad_chunks, deep, doubled, garbled, huge_headers, mistyped, no_http, noise, odd_headers,
        odd_name, pick,
    },
    routes,
};
use crate::process::TOKEN;

/// What is done once all is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client says that it has no more to say, and listens.
    HalfClosed,
    /// It goes away without listening.
    Abrupt,
    /// As half closed; the first bytes come in small pieces.
    Dripping,
}

/// One connection.
pub(super) struct Attack {
    pub(super) kind: &'static str,
    pub(super) bytes: Vec<u8>,
    pub(super) ending: Ending,
    /// Two servers could disagree on where its first request ends: there must be one refusal at most.
    pub(super) is_smuggled: bool,
}

/// What attacks are made of.
pub(super) struct Attacker {
    routes: Vec<(String, String)>,
    /// What there is, by the parameter that names it.
    names: Vec<(&'static str, String)>,
}

type Maker = fn(&Attacker, &mut StdRng) -> Vec<u8>;
/// Makes the part of a request that is wrong.
type Part = fn(&mut StdRng) -> Vec<u8>;

const KINDS: [(&str, Maker); 16] = [
    ("deep json", |it, rng| it.with_body(rng, deep)),
    ("duplicated keys", |it, rng| it.with_body(rng, doubled)),
    ("wrong types", |it, rng| it.with_body(rng, mistyped)),
    ("huge headers", |it, rng| it.with_headers(rng, huge_headers)),
    ("odd headers", |it, rng| it.with_headers(rng, odd_headers)),
    ("broken utf-8", |it, rng| it.with_body(rng, garbled)),
    ("bad chunks", |it, rng| it.chunked(rng, bad_chunks)),
    ("smuggling", Attacker::smuggled),
    ("cut off", Attacker::cut_off),
    ("pipelined", Attacker::pipelined),
    ("huge body", Attacker::huge_body),
    ("content encoding", Attacker::encoded),
    ("odd path", Attacker::odd_path),
    ("giant query", Attacker::giant_query),
    ("no http", |_, rng| no_http(rng)),
    ("mutated", Attacker::mutated),
];

impl Attacker {
    /// Attacks the routes of a document.
    pub(super) fn new(document: &Value, names: Vec<(&'static str, String)>) -> Self {
        Self { routes: routes(document), names }
    }

    pub(super) fn attack(&self, rng: &mut StdRng) -> Attack {
        let (kind, make) = *pick(rng, &KINDS);
        let ending = match rng.random_range(0..10) {
            0 => Ending::Abrupt,
            1 => Ending::Dripping,
            _ => Ending::HalfClosed,
        };
        Attack { kind, bytes: make(self, rng), ending, is_smuggled: kind == "smuggling" }
    }

    /// A method and a path of the API, with names in it that are there or not.
    fn route(&self, rng: &mut StdRng) -> (String, String) {
        let (method, path) = pick(rng, &self.routes).clone();
        (method, self.named(rng, &path))
    }

    /// As [`Attacker::route`], of those that take a body.
    fn writing(&self, rng: &mut StdRng) -> (String, String) {
        loop {
            let (method, path) = pick(rng, &self.routes).clone();
            if matches!(method.as_str(), "POST" | "PUT" | "PATCH") {
                return (method, self.named(rng, &path));
            }
        }
    }

    fn named(&self, rng: &mut StdRng, path: &str) -> String {
        let named = path.split('/').map(|part| match part.starts_with('{') {
            false => part.to_owned(),
            true if rng.random_bool(0.8) => self.name(rng, part),
            true => odd_name(rng),
        });
        named.collect::<Vec<_>>().join("/")
    }

    /// What there is of this kind.
    fn name(&self, rng: &mut StdRng, parameter: &str) -> String {
        let fitting = self.names.iter().find(|(kind, _)| *kind == parameter);
        fitting.map_or_else(|| odd_name(rng), |(_, name)| name.clone())
    }

    fn with_headers(&self, rng: &mut StdRng, make: Part) -> Vec<u8> {
        let (method, path) = self.route(rng);
        [head(&method, &path).as_bytes(), &make(rng), b"\r\n"].concat()
    }

    fn with_body(&self, rng: &mut StdRng, make: Part) -> Vec<u8> {
        let (method, path) = self.writing(rng);
        with_length(&method, &path, &make(rng))
    }

    fn chunked(&self, rng: &mut StdRng, make: Part) -> Vec<u8> {
        let (method, path) = self.writing(rng);
        let head = head(&method, &path);
        [head.as_bytes(), b"transfer-encoding: chunked\r\n\r\n", &make(rng)].concat()
    }

    fn smuggled(&self, rng: &mut StdRng) -> Vec<u8> {
        let head = head("POST", "/api/v1/app");
        let hidden = "GET /api/v1/app HTTP/1.1\r\nhost: x\r\n\r\n";
        let lengths = *pick(
            rng,
            &[
                "content-length: 5\r\ntransfer-encoding: chunked\r\n",
                "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
                "content-length: 5\r\ncontent-length: 6\r\n",
                "content-length: 5, 6\r\n",
                "content-length: +5\r\n",
                "content-length: 0x5\r\n",
                "content-length: -5\r\n",
                "content-length: 5\r\nTransfer-Encoding : chunked\r\n",
                "transfer-encoding: xchunked\r\n",
                "transfer-encoding: chunked, identity\r\n",
                "transfer-encoding: identity, chunked\r\ncontent-length: 5\r\n",
                "content-length: 18446744073709551616\r\n",
            ],
        );
        format!("{head}{lengths}\r\n0\r\n\r\n{hidden}").into_bytes()
    }

    /// A valid request of which the end does not come.
    fn cut_off(&self, rng: &mut StdRng) -> Vec<u8> {
        let mut bytes = self.valid(rng);
        bytes.truncate(rng.random_range(0..bytes.len()));
        bytes
    }

    fn pipelined(&self, rng: &mut StdRng) -> Vec<u8> {
        let count = rng.random_range(2..40);
        (0..count).flat_map(|_| self.valid(rng)).collect()
    }

    fn huge_body(&self, rng: &mut StdRng) -> Vec<u8> {
        let (method, path) = self.writing(rng);
        let size = rng.random_range(1 << 20..3 << 20);
        match rng.random_range(0..3) {
            // Announced, and never sent.
            0 => {
                let announced =
                    format!("content-length: {}\r\n\r\n{{", u64::from(rng.next_u32()) << 8);
                [head(&method, &path), announced].concat().into_bytes()
            }
            1 => self.chunked(rng, |rng| {
                let size = rng.random_range(1 << 20..3 << 20);
                [format!("{size:x}\r\n").as_bytes(), &vec![b' '; size]].concat()
            }),
            _ => with_length(&method, &path, &vec![b'['; size]),
        }
    }

    fn encoded(&self, rng: &mut StdRng) -> Vec<u8> {
        let coding = *pick(rng, &["gzip", "br", "deflate", "zstd", "gzip, gzip", "", "\u{ff}"]);
        let media =
            *pick(rng, &["application/json", "text/plain", "application/x-ndjson", ";", "\t"]);
        let body = noise(rng, 300);
        let (method, path) = self.writing(rng);
        let more = format!(
            "content-encoding: {coding}\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head(&method, &path).as_bytes(), more.as_bytes(), &body].concat()
    }

    fn odd_path(&self, rng: &mut StdRng) -> Vec<u8> {
        let (method, mut path) = self.route(rng);
        let odd: &[u8] = pick::<&[u8]>(
            rng,
            &[
                b"%00", b"\0", b"%", b"%zz", b"%ff%fe", b"\xff", b"/../..", b"//", b"%2f", b"\\",
                b"#", b" ",
            ],
        );
        let at = rng.random_range(0..=path.len());
        let behind = path.split_off(at);
        let line = [method.as_bytes(), b" ", path.as_bytes(), odd, behind.as_bytes()].concat();
        let rest = format!(" HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
        [&line, rest.as_bytes()].concat()
    }

    fn giant_query(&self, rng: &mut StdRng) -> Vec<u8> {
        let (method, path) = self.route(rng);
        let name =
            *pick(rng, &["limit", "iterator", "before", "event_types", "status", "x", "order"]);
        let value = match rng.random_range(0..4) {
            0 => odd_name(rng),
            1 => ["n_", "p_"][rng.random_range(0..2)].to_owned() + &odd_name(rng),
            2 => pick(
                rng,
                &["-1", "0", "99999999999999999999", "%ff", "1e9", "null", "n_-", "n_0-0.0"],
            )
            .to_string(),
            _ => "a,".repeat(rng.random_range(1..60_000)),
        };
        let times = *pick(rng, &[1, 1, 2, 50]);
        let query = vec![format!("{name}={value}"); times].join("&");
        (head(&method, &format!("{path}?{query}")) + "\r\n").into_bytes()
    }

    fn mutated(&self, rng: &mut StdRng) -> Vec<u8> {
        let mut bytes = self.valid(rng);
        for _ in 0..rng.random_range(1..8) {
            let at = rng.random_range(0..bytes.len());
            match rng.random_range(0..3) {
                0 => bytes[at] = rng.random(),
                1 => bytes.insert(at, rng.random()),
                _ => _ = bytes.remove(at),
            }
        }
        bytes
    }

    fn valid(&self, rng: &mut StdRng) -> Vec<u8> {
        let (method, path) = self.route(rng);
        match method.as_str() {
            "GET" | "HEAD" | "DELETE" => (head(&method, &path) + "\r\n").into_bytes(),
            _ => with_length(&method, &path, br#"{"eventType": "a", "payload": {"a": [1, "b"]}}"#),
        }
    }
}

fn head(method: &str, path: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\n"
    )
}

fn with_length(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{}content-length: {}\r\n\r\n", head(method, path), body.len());
    [head.as_bytes(), body].concat()
}
