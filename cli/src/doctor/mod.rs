//! `sluicegate doctor`: whether a process could do its work here, before it starts or beside it.
//!
//! It judges by what the parts themselves check and adds what they take for granted. It changes nothing,
//! and shows no secret.
//!
//! | file | what is looked at |
//! |---|---|
//! | `redis`, `embedded` | the store, whichever there is |
//! | `secrets` | keys, and whether they open what is stored |
//! | `network` | names, and where deliveries may go |
//! | `machine` | clock, listeners, file descriptors |

mod embedded;
mod finding;
mod machine;
mod network;
mod redis;
mod secrets;

use anyhow::{Context, anyhow};
use shared::{placement::FORMAT, store::SharedStore};

use self::finding::{Finding, Findings};
use crate::{
    arguments::{DoctorFlags, Role},
    config::{Config, Settings, StoreChoice},
    exit::{Failure, Result},
};

/// Checks everything and prints what it found. Fails if anything is wrong.
pub(crate) async fn doctor(flags: &DoctorFlags) -> Result<()> {
    let findings = examine(flags).await;
    if flags.json {
        let json = serde_json::to_string_pretty(&findings).context("no JSON can be made of it")?;
        println!("{json}");
    } else {
        print!("{findings}");
    }
    match findings.failed() {
        0 => Ok(()),
        failed => Err(Failure::Runtime(anyhow!("{failed} of the checks failed"))),
    }
}

async fn examine(flags: &DoctorFlags) -> Findings {
    let mut findings = Findings::default();
    findings.add(Finding::ok(
        "version",
        format!("sluicegate {}, records of format {FORMAT}", env!("CARGO_PKG_VERSION")),
    ));
    let role = flags.of.role;
    let settings = match Config::load(&flags.of.flags, role) {
        Ok(config) => config.settings,
        Err(wrong) => {
            findings.fail_each("configuration", &wrong);
            return findings;
        }
    };
    findings.add(Finding::ok("configuration", "it can work".to_owned()));
    checked(&settings, role, &mut findings).await;
    findings
}

/// All checks of settings that fit together.
async fn checked(settings: &Settings, role: Role, findings: &mut Findings) {
    machine::clock(findings);
    let store: Option<SharedStore> = match &settings.store {
        StoreChoice::Embedded => embedded::check(settings, findings),
        StoreChoice::Redis(url) => redis::check(settings, url, findings).await,
    };
    let hosts = secrets::check(settings, store.as_ref(), findings).await;
    drop(store);
    if role.delivers() {
        network::names(hosts, findings).await;
        network::guard(settings, findings).await;
        machine::descriptors(settings, findings);
    }
    machine::listeners(settings, role, findings).await;
}
