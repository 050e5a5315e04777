//! `sluicegate listen`, and the walk-through that is printed at start.

use std::process::Command;

use crate::{
    api::SECRET,
    process::{Engine, PATIENCE, Process, Site, bare},
};

fn listen(site: &Site, more: &[&str]) -> (Process, String) {
    let arguments = [&["listen", "--listen", "127.0.0.1:0"], more].concat();
    let mut command = bare(site.directory.path(), &arguments);
    let process = Process::start_until(&mut command, "receiving on");
    let url = process.told("receiving on").split(',').next().unwrap().to_owned();
    (process, url)
}

fn sees(listener: &Process, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        match listener.lines.recv_timeout(PATIENCE) {
            Ok(line) => seen.push_str(&(line + "\n")),
            Err(_) => panic!("no `{text}` in:\n{seen}"),
        }
    }
}

#[actix_rt::test]
async fn the_listener_tells_good_from_bad() {
    let site = Site::new(Engine::Embedded);
    let (listener, url) = listen(&site, &["--secret", SECRET, "--status", "503"]);
    let client = reqwest::Client::new();
    let answer = client.post(&url).body("{}").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    sees(&listener, "UNSIGNED");
    let signed = client
        .post(&url)
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", "1")
        .header("webhook-signature", "v1,AAAA");
    signed.send().await.unwrap();
    sees(&listener, "id=msg_1  BAD SIGNATURE");
    let (ignorant, _) = listen(&site, &[]);
    assert!(ignorant.welcome.contains("signatures are not checked"));
}

/// What is printed to be pasted must work as it stands.
#[actix_rt::test]
async fn the_walk_through_ends_with_a_delivery() {
    let site = Site::new(Engine::Embedded);
    let closed = Process::start_until(&mut site.command(&[]), "  API token");
    let restart = closed.lines.iter().find(|line| line.contains("--allow-cidr")).unwrap();
    closed.stop();

    let mut command = site.command(&restart.split_whitespace().skip(1).collect::<Vec<_>>());
    let open = Process::start_until(&mut command, "  API token");
    open.ready().await;
    let (listener, url) = listen(&site, &["--secret", SECRET]);
    let mut script = String::new();
    while !script.contains("app/demo/msg") {
        let line = open.lines.recv_timeout(PATIENCE).unwrap();
        // The receiver runs already, on a port and with a secret that this test knows.
        if line.starts_with("  ") && !line.contains(" listen ") {
            let line = if line.contains("SECRET=") { format!("SECRET={SECRET}") } else { line };
            script.push_str(&(line.replace("http://127.0.0.1:9000/", &url) + "\n"));
        }
    }
    let shell = Command::new("bash")
        .args(["-euc", &script])
        .current_dir(site.directory.path())
        .output()
        .unwrap();
    assert!(shell.status.success(), "{script}\n{}", String::from_utf8_lossy(&shell.stderr));
    sees(&listener, "signature ok\n{\n  \"hello\": \"world\"\n}");
    open.stop();
}
