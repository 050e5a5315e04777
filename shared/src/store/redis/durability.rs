//! Whether the server keeps what a level of durability promises.

use std::collections::HashMap;

use crate::store::{Durability, ErrorKind, Result, StoreError};

/// A setting of the server that a level asks for.
struct Wanted {
    setting: &'static str,
    holds: fn(&str) -> bool,
    /// A value that holds, for the operator.
    value: &'static str,
}

const LOGGED: Wanted = Wanted { setting: "appendonly", holds: |v| v == "yes", value: "yes" };
const SYNCED_AT_TIMES: Wanted = Wanted {
    setting: "appendfsync",
    holds: |v| matches!(v, "everysec" | "always"),
    value: "everysec",
};
const SYNCED: Wanted = Wanted { setting: "appendfsync", holds: |v| v == "always", value: "always" };
const KEPT: Wanted =
    Wanted { setting: "maxmemory-policy", holds: |v| v == "noeviction", value: "noeviction" };
const SYNCED_ON_REWRITE: Wanted =
    Wanted { setting: "no-appendfsync-on-rewrite", holds: |v| v == "no", value: "no" };
const REPLICATED: Wanted = Wanted {
    setting: "min-replicas-to-write",
    holds: |v| v.parse().is_ok_and(|replicas: u32| replicas >= 1),
    value: "1",
};

const fn wanted(level: Durability) -> &'static [Wanted] {
    match level {
        Durability::Process => &[LOGGED, SYNCED_AT_TIMES],
        Durability::Disk => &[LOGGED, SYNCED, KEPT, SYNCED_ON_REWRITE],
        Durability::Replicated => &[LOGGED, SYNCED, KEPT, SYNCED_ON_REWRITE, REPLICATED],
    }
}

/// The settings that [`check`] wants to see.
pub(super) const SETTINGS: [&str; 5] = [
    "appendonly",
    "appendfsync",
    "maxmemory-policy",
    "no-appendfsync-on-rewrite",
    "min-replicas-to-write",
];

/// A setting that a level asks for, as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name in redis.conf.
    pub name: &'static str,
    /// Its value; empty: the server does not tell it.
    pub found: String,
    /// Why it does not keep the level, and what to do; `None`: it does.
    pub wrong: Option<String>,
}

/// All settings that the level asks for.
pub(super) fn judge(
    level: Durability,
    settings: &HashMap<String, String>,
) -> impl Iterator<Item = Setting> {
    wanted(level).iter().map(move |Wanted { setting, holds, value }| {
        let found = settings.get(*setting).cloned().unwrap_or_default();
        let wrong = (!holds(&found)).then(|| {
            format!(
                "durability `{}` needs redis to run with {setting} {value}, but it is `{found}`: \
                 run `redis-cli CONFIG SET {setting} {value}` and put it into redis.conf, or \
                 configure a lower durability",
                level.name(),
            )
        });
        Setting { name: setting, found, wrong }
    })
}

/// Fails with [`ErrorKind::Misconfigured`] at the first setting that does not keep the level.
pub(super) fn check(level: Durability, settings: &HashMap<String, String>) -> Result<()> {
    match judge(level, settings).find_map(|setting| setting.wrong) {
        Some(wrong) => Err(StoreError::new(ErrorKind::Misconfigured, wrong)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn settings(appendfsync: &str, replicas: &str) -> HashMap<String, String> {
        [
            ("appendonly", "yes"),
            ("appendfsync", appendfsync),
            ("maxmemory-policy", "noeviction"),
            ("no-appendfsync-on-rewrite", "no"),
            ("min-replicas-to-write", replicas),
        ]
        .into_iter()
        .map(|(setting, value)| (setting.to_owned(), value.to_owned()))
        .collect()
    }

    #[test]
    fn levels_hold_with_the_settings_they_ask_for() {
        for fsync in ["everysec", "always"] {
            assert!(check(Durability::Process, &settings(fsync, "0")).is_ok());
        }
        assert!(check(Durability::Disk, &settings("always", "0")).is_ok());
        assert!(check(Durability::Replicated, &settings("always", "2")).is_ok());
    }

    #[rstest]
    #[case(Durability::Process, "appendonly", "no", "yes")]
    #[case(Durability::Process, "appendfsync", "no", "everysec")]
    #[case(Durability::Disk, "appendfsync", "everysec", "always")]
    #[case(Durability::Disk, "maxmemory-policy", "allkeys-lru", "noeviction")]
    #[case(Durability::Disk, "no-appendfsync-on-rewrite", "yes", "no")]
    #[case(Durability::Replicated, "min-replicas-to-write", "0", "1")]
    #[case(Durability::Replicated, "appendfsync", "everysec", "always")]
    fn a_mismatch_names_setting_value_and_remedy(
        #[case] level: Durability,
        #[case] setting: &str,
        #[case] found: &str,
        #[case] wanted: &str,
    ) {
        let mut settings = settings("always", "1");
        settings.insert(setting.into(), found.into());
        let error = check(level, &settings).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        let text = error.to_string();
        assert!(text.contains(&format!("CONFIG SET {setting} {wanted}")), "{text}");
        assert!(text.contains(&format!("`{found}`")), "{text}");
        assert!(text.contains(level.name()), "{text}");
    }

    #[test]
    fn every_wanted_setting_is_asked_for() {
        for wanted in wanted(Durability::Replicated).iter().chain(wanted(Durability::Process)) {
            assert!(SETTINGS.contains(&wanted.setting));
        }
    }
}
