//! `sluicegate secrets rewrap`: page by page, through a running server.

use anyhow::anyhow;
use reqwest::Method;
use serde_json::Value;

use crate::{
    arguments::ServerFlags,
    client::Server,
    exit::{Failure, Result},
};

/// Rewraps everything and says what it found. It fails if something could not be read.
pub(crate) async fn rewrap(flags: &ServerFlags) -> Result<()> {
    let server = Server::find(flags)?;
    let (mut endpoints, mut rewrapped, mut unreadable) = (0, 0, 0);
    let mut path = "sluicegate/secrets/rewrap".to_owned();
    loop {
        let page = server.call(Method::POST, &path, None).await?;
        endpoints += page["endpoints"].as_u64().unwrap_or_default();
        rewrapped += page["rewrapped"].as_u64().unwrap_or_default();
        for one in page["unreadable"].as_array().into_iter().flatten() {
            unreadable += 1;
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            eprintln!("{} of {}: {}", text("endpointId"), text("appId"), text("reason"));
        }
        let (done, iterator) = (page["done"] == Value::Bool(true), page["iterator"].as_str());
        match iterator.filter(|_| !done) {
            Some(iterator) => path = format!("sluicegate/secrets/rewrap?iterator={iterator}"),
            None => break,
        }
    }
    println!("{endpoints} endpoints looked at, {rewrapped} rewrapped, {unreadable} unreadable");
    match unreadable {
        0 => Ok(()),
        _ => Err(Failure::Runtime(anyhow!("{unreadable} endpoints stay as they were"))),
    }
}
