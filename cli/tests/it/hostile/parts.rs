//! The parts of requests that are wrong.

use rand::{Rng, RngCore, rngs::StdRng, seq::IndexedRandom};

/// One of these.
pub(super) fn pick<'a, T>(rng: &mut StdRng, all: &'a [T]) -> &'a T {
    all.choose(rng).expect("there are some")
}

pub(super) fn noise(rng: &mut StdRng, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.random_range(0..=most)];
    rng.fill_bytes(&mut bytes);
    bytes
}

pub(super) fn odd_name(rng: &mut StdRng) -> String {
    let long = rng.random_range(200..100_000);
    match rng.random_range(0..6) {
        0 => "a".repeat(long),
        1 => format!("app_{}", "0".repeat(long)),
        2 => "f".repeat(long & !1),
        3 => format!("{}_{}", pick(rng, &["app", "ep", "msg", "atmpt", "dead"]), "z".repeat(22)),
        4 => "%00%0d%0a".to_owned(),
        _ => format!("dead_{}-{}", rng.next_u64(), rng.next_u64()),
    }
}

pub(super) fn deep(rng: &mut StdRng) -> Vec<u8> {
    let depth = *pick(rng, &[127, 128, 129, 1_000, 100_000]);
    let (open, close) = *pick(rng, &[("[", "]"), (r#"{"a":"#, "}")]);
    let closed = if rng.random_bool(0.5) { close.repeat(depth) } else { String::new() };
    let field = *pick(rng, &["payload", "metadata", "sluicegate", "schemas", "x"]);
    let deep = format!(r#"{{"eventType":"a","{field}":{}1{closed}}}"#, open.repeat(depth));
    deep.into_bytes()
}

pub(super) fn doubled(rng: &mut StdRng) -> Vec<u8> {
    let field = *pick(rng, &FIELDS);
    let times = *pick(rng, &[2, 3, 1_000]);
    format!("{{{}}}", vec![format!(r#""{field}":"a""#); times].join(",")).into_bytes()
}

const FIELDS: [&str; 12] = [
    "name",
    "uid",
    "url",
    "eventType",
    "payload",
    "metadata",
    "headers",
    "sluicegate",
    "channels",
    "since",
    "count",
    "limits",
];
const VALUES: [&str; 14] = [
    "null",
    "true",
    "-1",
    "1e400",
    "99999999999999999999",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[]",
    "[[]]",
    "{}",
    "{\"a\":{}}",
    "[null]",
    "0.1",
];

pub(super) fn mistyped(rng: &mut StdRng) -> Vec<u8> {
    let fields = (0..rng.random_range(0..6))
        .map(|_| format!(r#""{}":{}"#, pick(rng, &FIELDS), pick(rng, &VALUES)))
        .collect::<Vec<_>>();
    match rng.random_range(0..4) {
        0 => (*pick(rng, &VALUES)).into(),
        1 => format!("[{}]", (*pick(rng, &VALUES)).to_owned()).into_bytes(),
        _ => format!("{{{}}}", fields.join(",")).into_bytes(),
    }
}

pub(super) fn garbled(rng: &mut StdRng) -> Vec<u8> {
    let odd: &[u8] = pick::<&[u8]>(
        rng,
        &[b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf", b"\0"],
    );
    match rng.random_range(0..3) {
        0 => [odd, b"{}"].concat(),
        1 => [b"{\"name\":\"", odd, b"\",\"eventType\":\"a\",\"payload\":\"", odd, b"\"}"].concat(),
        _ => noise(rng, 2_000),
    }
}

pub(super) fn huge_headers(rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..3) {
        0 => format!("x-a: {}\r\n", "a".repeat(rng.random_range(1_000..200_000))).into_bytes(),
        1 => "x-a: a\r\n".repeat(rng.random_range(50..2_000)).into_bytes(),
        // One that is longer than 65535 ends in a panic of actix-http, and with it the connection.
        _ => format!("{}: a\r\n", "a".repeat(rng.random_range(1_000..65_000))).into_bytes(),
    }
}

pub(super) fn odd_headers(rng: &mut StdRng) -> Vec<u8> {
    let odd: &[u8] = pick::<&[u8]>(
        rng,
        &[
            b"expect: 100-continue\r\ncontent-length: 10\r\n",
            b"upgrade: websocket\r\nconnection: upgrade\r\n",
            b"upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\nconnection: upgrade, http2-settings\r\n",
            b"host: y\r\nhost: z\r\n",
            b"authorization: Bearer\r\n",
            b"authorization: Bearer \xff\xfe\r\n",
            b"idempotency-key: \xff\r\ncontent-length: 2\r\n\r\n{}",
            b"svix-req-id: \x7f\r\n",
            b"x-a: a\r\n b\r\n",
            b"x-a\r\n",
            b": a\r\n",
            b"x\0y: a\r\n",
            b"connection: close, keep-alive, x\r\n",
            b"range: bytes=0-,1-,2-\r\n",
            b"accept-encoding: gzip;q=nan, *;q=9\r\n",
            b"traceparent: 00-zz\r\ntracestate: ,,,=\r\n",
            b"origin: null\r\naccess-control-request-method: \xff\r\n",
        ],
    );
    odd.to_vec()
}

pub(super) fn bad_chunks(rng: &mut StdRng) -> Vec<u8> {
    let odd: &[u8] = pick::<&[u8]>(
        rng,
        &[
            b"zz\r\n{}\r\n0\r\n\r\n",
            b"-2\r\n{}\r\n0\r\n\r\n",
            b"fffffffffffffffff\r\n{}",
            b"ffffffffffffffff\r\n{}",
            b"2\r\n{}",
            b"2\r\n{}0\r\n\r\n",
            b"2\n{}\n0\n\n",
            b"1\r\n{}\r\n0\r\n\r\n",
            b"2;a=\"\r\n{}\r\n0\r\n\r\n",
            b"2\r\n{}\r\n0\r\nx: y\r\n\r\n",
            b"\r\n\r\n",
            b"0x2\r\n{}\r\n0\r\n\r\n",
        ],
    );
    match rng.random_range(0..8) {
        0 => [b"2;".as_slice(), &b"a".repeat(rng.random_range(1..100_000)), b"\r\n{}\r\n0\r\n\r\n"]
            .concat(),
        1 => b"1\r\n \r\n".repeat(rng.random_range(1..20_000)),
        _ => odd.to_vec(),
    }
}

pub(super) fn no_http(rng: &mut StdRng) -> Vec<u8> {
    let odd: &[u8] = pick::<&[u8]>(
        rng,
        &[
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x01\x25\0\0\0\x01",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
            b"GET /api/v1/app\r\n\r\n",
            b"GET /api/v1/app HTTP/9.9\r\n\r\n",
            b"GET /api/v1/app HTTP/1.0\r\n\r\n",
            b"GET http://x/api/v1/app HTTP/1.1\r\nhost: x\r\n\r\n",
            b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
            b"TRACE /api/v1/app HTTP/1.1\r\nhost: x\r\n\r\n",
            b"\r\n\r\n\r\n\r\n",
            b"get /api/v1/app HTTP/1.1\r\n\r\n",
            b"G\0T /api/v1/app HTTP/1.1\r\n\r\n",
            b"",
        ],
    );
    match rng.random_range(0..4) {
        0 => noise(rng, 5_000),
        1 => [odd, &noise(rng, 200)].concat(),
        _ => odd.to_vec(),
    }
}
