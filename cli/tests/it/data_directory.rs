//! All in one and its data directory.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use reqwest::{Method, StatusCode};

use crate::{
    api::Api,
    process::{Engine, Process, Site, run},
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[actix_rt::test]
async fn the_token_is_shown_once_kept_private_and_asked_for() {
    let site = Site::new(Engine::Embedded);
    let data = site.directory.path().join("sluicegate-data");
    let first = Process::start_until(&mut site.command(&[]), "  API token");
    first.ready().await;
    let token = first.told("API token").to_owned();
    assert!(token.starts_with("sg_") && token.len() >= 3 + 32, "{token}");
    assert_eq!(fs::read_to_string(data.join("api-token")).unwrap().trim(), token);
    assert_eq!((mode(&data), mode(&data.join("api-token"))), (0o700, 0o600));

    let (status, _) = Api::with_token(&first, &token).call(Method::GET, "app", None).await;
    assert_eq!(status, StatusCode::OK);
    let other = Api::with_token(&first, "sg_another-token-of-some-length");
    assert_eq!(other.call(Method::GET, "app", None).await.0, StatusCode::UNAUTHORIZED);
    assert!(!first.log().contains(&token));
    first.stop();

    let second = Process::start_until(&mut site.command(&[]), "  API token");
    assert!(!second.welcome.contains(&token), "{}", second.welcome);
    assert!(second.told("API token").contains("sluicegate-data/api-token"));
    let (status, _) = Api::with_token(&second, &token).call(Method::GET, "app", None).await;
    assert_eq!(status, StatusCode::OK);
    second.stop();

    fs::set_permissions(data.join("api-token"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _, stderr) = run(&mut site.command(&[]));
    assert_eq!(code, Some(78));
    assert!(stderr.contains("chmod 600"), "{stderr}");
}

#[test]
fn a_second_process_is_refused() {
    let site = Site::new(Engine::Embedded);
    let first = Process::start(&mut site.command(&[]));
    let (code, stdout, stderr) = run(&mut site.command(&[]));
    assert_ne!(code, Some(0));
    assert!(stderr.contains("sluicegate-data") && stderr.contains("another process"), "{stderr}");
    assert_eq!(stdout, "");
    first.stop();
    Process::start(&mut site.command(&[])).stop();
}

#[test]
fn a_taken_address_is_named() {
    let site = Site::new(Engine::Embedded);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--admin-listen"] {
        let (code, _, stderr) = run(&mut site.command(&[flag, &address]));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(
            stderr.contains(&address) && stderr.contains(&flag[2..].replace('-', "_")),
            "{stderr}"
        );
    }
}
