//! What people read on stdout when a process has started.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

use secrecy::ExposeSecret;
use shared::store::Durability;

use crate::{
    arguments::Role,
    config::{Settings, StoreChoice},
    token::{ApiToken, Origin},
};

/// What there is to tell.
pub(crate) struct Welcome<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) role: Role,
    /// Where the API listens, if this process serves it.
    pub(crate) api: Option<SocketAddr>,
    /// Where the operators' server listens.
    pub(crate) admin: SocketAddr,
    /// How secrets lie in the store.
    pub(crate) secrets: &'a str,
    /// What the store promises.
    pub(crate) durability: Durability,
    pub(crate) token: Option<&'a ApiToken>,
}

/// Prints it.
pub(crate) fn print(welcome: &Welcome<'_>) {
    println!("{}", text(welcome));
}

fn text(welcome: &Welcome<'_>) -> String {
    let role = match welcome.role {
        Role::AllInOne => "all in one",
        Role::Gateway => "gateway",
        Role::Dispatcher => "dispatcher",
    };
    let mut lines = vec![format!("Sluicegate {}, {role}", env!("CARGO_PKG_VERSION"))];
    let mut tell = |what: &str, value: String| lines.push(format!("  {what:<11}{value}"));
    if let Some(api) = welcome.api {
        tell("API", format!("http://{api}/api/v1"));
    }
    tell("metrics", format!("http://{}/metrics", welcome.admin));
    tell("health", format!("http://{}/readyz", welcome.admin));
    tell(
        "store",
        match &welcome.settings.store {
            StoreChoice::Embedded => {
                format!("embedded, in {}", welcome.settings.data_dir.display())
            }
            redis @ StoreChoice::Redis(_) => redis.to_string(),
        },
    );
    tell("secrets", welcome.secrets.to_owned());
    tell(
        "durability",
        match welcome.durability {
            Durability::Process => "process: what is accepted survives a crash of Sluicegate",
            Durability::Disk => "disk: what is accepted survives a power loss",
            Durability::Replicated => "replicated: what is accepted survives the loss of a node",
        }
        .to_owned(),
    );
    match welcome.token.map(|token| (&token.origin, &token.secret)) {
        None => {}
        Some((Origin::Settings, _)) => tell("API token", "as configured".to_owned()),
        Some((Origin::File(path), _)) => tell("API token", format!("in {}", path.display())),
        Some((Origin::Made(path), secret)) => {
            tell("API token", secret.expose_secret().to_owned());
            tell("", format!("shown only now; it stays in {}", path.display()));
        }
    }
    let mut text = lines.join("\n");
    if let (Role::AllInOne, Some(api), Some(token)) = (welcome.role, welcome.api, welcome.token) {
        first_delivery(&mut text, welcome.settings, api, token);
    }
    text
}

/// A block to paste that ends with a delivery.
fn first_delivery(text: &mut String, settings: &Settings, api: SocketAddr, token: &ApiToken) {
    let program = std::env::args().next().unwrap_or_else(|| "sluicegate".to_owned());
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let allowed = settings.allow_cidr.iter().any(|network| network.contains(&loopback));
    // Writing to a String cannot fail.
    if !allowed {
        let _ = write!(
            text,
            "

Deliveries go to public https addresses only. To see a first delivery on this machine, start again with

  {program} --allow-cidr 127.0.0.0/8"
        );
        return;
    }
    let token = match &token.origin {
        Origin::Settings => "TOKEN='the configured one'".to_owned(),
        Origin::File(path) | Origin::Made(path) => format!("TOKEN=$(cat {})", quoted(path)),
    };
    let _ = write!(
        text,
        r#"

To see a first delivery, paste this into a second terminal:

  {token}
  SECRET=whsec_$(head -c 24 /dev/urandom | base64)
  send() {{ curl -sS "http://{api}/api/v1/$1" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d "$2"; echo; }}
  {program} listen --secret "$SECRET" &
  send app '{{"name": "Demo", "uid": "demo"}}'
  send app/demo/endpoint '{{"url": "http://127.0.0.1:9000/", "secret": "'"$SECRET"'"}}'
  send app/demo/msg '{{"eventType": "demo.greeted", "payload": {{"hello": "world"}}}}'"#
    );
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}
