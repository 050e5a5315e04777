//! What operators and orchestrators see of a running process.

use std::net::SocketAddr;

use crate::process::{Engine, Process, Site, get, run};

#[actix_rt::test]
async fn a_running_process_is_alive_ready_and_measured() {
    let site = Site::new(Engine::Embedded);
    let process = Process::start(&mut site.command(&[]));
    process.ready().await;
    assert_eq!(get(&process.admin("/livez")).await, (200, "alive\n".into()));
    assert_eq!(get(&process.admin("/readyz")).await, (200, "ready\n".into()));
    let (status, metrics) = get(&process.admin("/metrics")).await;
    assert!(status == 200 && metrics.contains("process_resident_memory_bytes"), "{metrics}");
    assert_eq!(get(&process.admin("/api/v1/app")).await.0, 404, "the API is not served here");

    let admin: SocketAddr = process.admin("").replace("http://", "").parse().unwrap();
    let ask = ["health", "--admin-listen", &admin.to_string()];
    let (code, stdout, stderr) = run(&mut site.command(&ask));
    assert_eq!((code, stdout.as_str()), (Some(0), "ready\n"), "{stderr}");
    process.stop();
    assert_eq!(run(&mut site.command(&ask)).0, Some(1), "nobody answers");
}

#[actix_rt::test]
async fn a_store_that_is_gone_shows_and_comes_back() {
    let mut site = Site::new(Engine::Redis);
    let process = site.start(&[]);
    process.ready().await;
    site.redis().kill().unwrap();
    let why = process.not_ready().await;
    assert!(why.contains("store"), "{why}");
    let alive = get(&process.admin("/livez")).await;
    assert_eq!(alive.0, 200, "a restart of ours would not bring the store back");
    site.redis().restart().unwrap();
    process.ready().await;
    process.stop();
}
