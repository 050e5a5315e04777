//! `sluicegate top`: against dispatchers that are played, in a pipe and on a terminal.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};

use crate::process::{Engine, PATIENCE, Process, Site, bare, run};

/// A dispatcher that answers every request with this, and hands on what it was asked.
fn played(status: u16, body: Value) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (send, asked) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let Some(Ok(first)) = lines.next() else { continue };
            for line in lines {
                if line.is_ok_and(|line| line.is_empty()) {
                    break;
                }
            }
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} Some\r\ncontent-length: {}\r\n", body.len());
            let kind = "content-type: application/json\r\nconnection: close\r\n\r\n";
            // Who asked may have gone.
            let _ = stream.write_all(format!("{head}{kind}{body}").as_bytes());
            if send.send(first).is_err() {
                return;
            }
        }
    });
    (url, asked)
}

fn page(node: &str, rows: &[(&str, &str, u64, Option<f64>, f64)]) -> Value {
    let rows: Vec<_> = rows
        .iter()
        .map(|(endpoint, state, backlog, age, rate)| {
            json!({
                "appId": "app_2bWkGXLYVXdVQzGEuRgNDR", "endpointId": endpoint, "lane": 17,
                "state": state, "pinned": false, "backlog": backlog, "oldestDueAgeSeconds": age,
                "inFlight": 3, "limiterWaitSeconds": 0.0, "nextAttemptSeconds": 41.2,
                "perSecond": {
                    "delivered": rate, "refused": 0.0, "busy": 0.0, "down": 0.2, "unknown": 0.0
                },
            })
        })
        .collect();
    json!({
        "node": node, "total": rows.len(), "lanes": 32, "next": null, "destinations": rows,
        "totals": {
            "backlog": 500, "inFlight": 7,
            "perSecond": {
                "delivered": 812.5, "refused": 0.0, "busy": 0.0, "down": 3.1, "unknown": 0.0
            },
        },
    })
}

fn ranks(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.split_whitespace().last())
        .filter(|it| it.starts_with("ep_"))
        .collect()
}

#[test]
fn all_dispatchers_make_one_table() {
    let site = Site::new(Engine::Embedded);
    let late = ("ep_late", "open", 5, Some(2_412.5), 0.0);
    let (one, asked) = played(200, page("a", &[late, ("ep_fast", "serving", 2, None, 90.0)]));
    let (other, _open) = played(200, page("b", &[("ep_deep", "throttled", 400, Some(3.0), 4.0)]));
    let once = |more: &[&str]| {
        let both = ["top", "--url", &one, "--url", &other];
        run(&mut bare(site.directory.path(), &[&both, more].concat()))
    };
    let (code, text, stderr) = once(&["--once"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(
        asked.recv_timeout(PATIENCE).unwrap(),
        "GET /destinations?sort=backlog&limit=50 HTTP/1.1"
    );
    assert_eq!(ranks(&text), ["ep_deep", "ep_late", "ep_fast"], "{text}");
    assert!(text.starts_with("2 of 2 dispatchers, 64 lanes   3 destinations by backlog"), "{text}");
    assert!(text.contains("delivered 1625.0/s   failed 6.2/s"), "{text}");
    let late: Vec<_> =
        text.lines().find(|line| line.contains("late")).unwrap().split_whitespace().collect();
    assert_eq!(late[..8], ["open", "40m", "5", "3", "0.0", "0.2", "-", "41s"], "{text}");

    let (_, text, _) = once(&["--once", "--sort", "age", "--limit", "2"]);
    assert_eq!(
        asked.recv_timeout(PATIENCE).unwrap(),
        "GET /destinations?sort=age&limit=2 HTTP/1.1"
    );
    assert_eq!(ranks(&text), ["ep_late", "ep_deep"]);
    let (_, text, _) = once(&["--json", "--sort", "rate"]);
    let board: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(board["destinations"][0]["endpointId"], "ep_fast", "{board:#}");
    assert_eq!((&board["total"], &board["totals"]["backlog"]), (&json!(3), &json!(1000)));
    assert_eq!(board["dispatchers"][1]["node"], "b");
}

#[test]
fn a_dispatcher_that_does_not_answer_is_told_and_hides_no_other() {
    let site = Site::new(Engine::Embedded);
    let (one, _) = played(200, page("a", &[("ep_here", "serving", 1, None, 1.0)]));
    let (gateway, _) = played(404, json!({}));
    let (strange, _) = played(200, json!({"hello": "world"}));
    let silent = "http://user:canary-password@127.0.0.1:1";
    let urls = ["--url", &one, "--url", &gateway, "--url", &strange, "--url", silent];
    let (code, text, stderr) =
        run(&mut bare(site.directory.path(), &[&["top", "--once"][..], &urls].concat()));
    assert_eq!(code, Some(1), "{text}");
    assert!(stderr.contains("3 of the dispatchers"), "{stderr}");
    assert_eq!(ranks(&text), ["ep_here"]);
    for wanted in ["1 of 4", "it delivers nothing", "another version", "refused"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("canary") && !stderr.contains("canary"), "{text}{stderr}");
    for wrong in [["--every", "1ms"], ["--limit", "501"], ["--url", "mailto:a@b"]] {
        let (code, ..) = run(&mut bare(site.directory.path(), &[&["top"][..], &wrong].concat()));
        assert!(matches!(code, Some(2 | 78)), "{wrong:?}: {code:?}");
    }
}

#[test]
fn in_a_pipe_it_prints_again_and_again() {
    let site = Site::new(Engine::Embedded);
    let (url, _asked) = played(200, page("a", &[("ep_here", "serving", 1, None, 1.0)]));
    let arguments = ["top", "--url", &url, "--every", "100ms"];
    let process = Process::start_until(&mut bare(site.directory.path(), &arguments), "serving");
    for _ in 0..2 {
        while !process.lines.recv_timeout(PATIENCE).unwrap().ends_with("ep_here") {}
    }
}

#[test]
fn on_a_terminal_keys_are_heard_and_the_screen_is_given_back() {
    let (url, asked) = played(200, page("a", &[("ep_here", "serving", 1, None, 1.0)]));
    let program = env!("CARGO_BIN_EXE_sluicegate");
    let command = format!("stty rows 24 cols 132; {program} top --url {url} --every 100ms");
    // It gives the command a terminal.
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    let wait_for = |sort: &str| {
        while !asked.recv_timeout(PATIENCE).unwrap().contains(sort) {}
    };
    wait_for("sort=backlog");
    keys.write_all(b"r").unwrap();
    // The second question comes when the first was answered and drawn.
    wait_for("sort=rate");
    wait_for("sort=rate");
    keys.write_all(b"q").unwrap();
    let output = terminal.wait_with_output().unwrap();
    let drawn = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{drawn}");
    // What has not changed is not drawn again, so that sentences are in pieces.
    assert!(drawn.contains("destinations") && drawn.contains("ep_here"), "{drawn}");
    let (entered, left) = (drawn.find("\x1b[?1049h"), drawn.rfind("\x1b[?1049l"));
    assert!(entered.is_some() && entered < left, "{drawn}");
}
