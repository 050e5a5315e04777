//! A receiver for trying things out: verifies what arrives, prints it, answers.

use std::{io::Write, net::SocketAddr, sync::Arc};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::{StatusCode, header::HeaderMap},
    web::{self, Bytes, Data, PayloadConfig},
};
use anyhow::Context;
use serde_json::value::RawValue;
use shared::{
    domain::Secret,
    signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, verify},
    time::Millis,
};

use crate::{
    arguments::ListenFlags,
    exit::{Failure, Result},
};

const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// How much of a body is printed, in bytes.
const SHOWN: usize = 4096;

struct Receiver {
    secret: Option<Secret>,
    status: StatusCode,
}

/// Receives until it is interrupted.
pub(crate) async fn listen(flags: &ListenFlags) -> Result<()> {
    let secret = flags
        .secret
        .as_deref()
        .map(Secret::parse)
        .transpose()
        .map_err(|error| Failure::config(format!("--secret: {error}")))?;
    let status = StatusCode::from_u16(flags.status).context("--status")?;
    let verifies = secret.is_some();
    let receiver = Arc::new(Receiver { secret, status });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::from(receiver.clone()))
            .app_data(PayloadConfig::new(BODY_LIMIT))
            .default_service(web::to(receive))
    })
    .workers(1)
    .bind(flags.listen)
    .with_context(|| format!("cannot listen on {}", flags.listen))?;
    let address = server.addrs().first().copied().unwrap_or(flags.listen);
    print(&greeting(address, verifies));
    server.run().await.context("the receiver died")?;
    Ok(())
}

fn greeting(address: SocketAddr, verifies: bool) -> String {
    let signatures = if verifies {
        "signatures are checked"
    } else {
        "signatures are not checked: give the endpoint's secret with --secret"
    };
    format!("receiving on http://{address}/, {signatures}")
}

async fn receive(receiver: Data<Receiver>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let headers = request.headers();
    let verdict = judge(receiver.secret.as_ref(), headers, &body, Millis::now().0 / 1000);
    print(&format!(
        "{} {} {}  id={}  {verdict}\n{}\n",
        Millis::now().rfc3339(),
        request.method(),
        request.uri(),
        header(headers, ID_HEADER).unwrap_or("-"),
        shown(&body)
    ));
    HttpResponse::build(receiver.status).finish()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn judge(secret: Option<&Secret>, headers: &HeaderMap, body: &[u8], now: u64) -> String {
    let signed = (
        header(headers, ID_HEADER),
        header(headers, TIMESTAMP_HEADER),
        header(headers, SIGNATURE_HEADER),
    );
    let (Some(id), Some(timestamp), Some(signatures)) = signed else {
        return "UNSIGNED".to_owned();
    };
    match secret.map(|secret| verify(secret, (id, timestamp, signatures), body, now)) {
        None => "signature not checked".to_owned(),
        Some(Ok(())) => "signature ok".to_owned(),
        Some(Err(why)) => format!("BAD SIGNATURE: {why}"),
    }
}

/// The body for people: JSON indented, its numbers and the order of its keys untouched; cut off
/// where it gets long.
fn shown(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<&RawValue>(body) {
        Ok(json) => indented(json.get()),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    // What arrives must not be able to drive the terminal.
    let mut text: String =
        text.chars().filter(|letter| !letter.is_control() || *letter == '\n').collect();
    let full = text.len();
    if full > SHOWN {
        text.truncate(text.floor_char_boundary(SHOWN));
        text.push_str(&format!("… ({full} bytes)"));
    }
    text
}

/// Valid JSON with white space of our own. Works on the text, because a parsed value would have
/// rounded its numbers and dropped repeated keys.
fn indented(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    let new_line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    for letter in json.chars() {
        if in_string {
            text.push(letter);
            in_string = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
            continue;
        }
        match letter {
            '"' => {
                in_string = true;
                text.push(letter);
            }
            '{' | '[' => {
                depth += 1;
                text.push(letter);
                new_line(&mut text, depth);
            }
            '}' | ']' => {
                depth -= 1;
                new_line(&mut text, depth);
                text.push(letter);
            }
            ',' => {
                text.push(letter);
                new_line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            _ if letter.is_ascii_whitespace() => {}
            _ => text.push(letter),
        }
    }
    text
}

/// A reader that went away (`sluicegate listen | head`) is no reason to stop receiving.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};
    use shared::signature::sign;

    use super::*;

    const BODY: &[u8] = br#"{"b":1.10,"b":"x\"{,}","a":[1,2]}"#;

    fn headers(signature: &str) -> HeaderMap {
        let values =
            [(ID_HEADER, "msg_1"), (TIMESTAMP_HEADER, "1000"), (SIGNATURE_HEADER, signature)];
        let parse =
            |(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        values.map(parse).into_iter().collect()
    }

    #[test]
    fn tells_good_from_bad_and_unsigned() {
        let secret = Secret::generate();
        let good = headers(&sign([&secret], "msg_1", 1000, BODY));
        assert_eq!(judge(Some(&secret), &good, BODY, 1000), "signature ok");
        assert!(judge(Some(&secret), &good, b"{}", 1000).starts_with("BAD SIGNATURE"));
        assert_eq!(judge(Some(&secret), &HeaderMap::new(), BODY, 1000), "UNSIGNED");
        assert_eq!(judge(None, &good, BODY, 1000), "signature not checked");
    }

    #[test]
    fn bodies_are_indented_but_not_changed() {
        let wanted = "{\n  \"b\": 1.10,\n  \"b\": \"x\\\"{,}\",\n  \"a\": [\n    1,\n    2\n  ]\n}";
        assert_eq!(shown(BODY), wanted);
        assert_eq!(shown(b"not json \x1b[2J"), "not json [2J");
        assert!(shown(&[b'x'; SHOWN + 1]).ends_with("… (4097 bytes)"));
    }
}
