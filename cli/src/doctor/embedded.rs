//! The embedded store: its directory, the room in it, its disk, and who has it open.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use shared::store::{
    SharedStore,
    embedded::{self, HEADROOM, Inspection},
};

use super::finding::{Finding, Findings};
use crate::{config::Settings, exit::Failure, store::directory};

/// Room below which somebody should look: a few minutes of a busy gateway.
const LITTLE_ROOM: u64 = 1 << 30;
/// How much later than now a file may have been changed.
const ROUNDING: Duration = Duration::from_secs(2);

/// The store, if nobody else has it open and it was made already.
pub(super) fn check(settings: &Settings, findings: &mut Findings) -> Option<SharedStore> {
    let data = &settings.data_dir;
    let path = directory(settings);
    findings.add(synced(if data.is_dir() { data } else { parent(data) }));
    let found = match embedded::inspect(&path) {
        Ok(found) => found,
        Err(error) => {
            findings.add(Finding::failed(
                "store",
                error.to_string(),
                "run this as the server's user",
            ));
            return None;
        }
    };
    let Some(found) = found else {
        findings.add(Finding::ok("store", format!("{} will be made at start", path.display())));
        return None;
    };
    findings.add(private(&path, &found));
    findings.add(room(&found));
    findings.add(past(&found));
    if !found.holds_store {
        findings.add(Finding::ok("store", format!("{} is empty", path.display())));
        return None;
    }
    if found.is_open {
        let found =
            format!("{} is open in a running process, which holds its lock", path.display());
        findings.add(Finding::ok("store", found));
        return None;
    }
    if found.owner != rustix::process::geteuid().as_raw() {
        // What another user makes in it, its owner could not write any more.
        let todo = "run this as that user to have its inside checked";
        let found = format!("{} belongs to user {}", path.display(), found.owner);
        findings.add(Finding::warning("store", found, todo));
        return None;
    }
    match embedded::open(&path, settings.durability, settings.lifetimes()) {
        Ok(store) => {
            let found = format!("{} opens, written with this format", path.display());
            findings.add(Finding::ok("store", found));
            Some(store)
        }
        Err(error) => {
            findings.fail_each("store", &Failure::from(error));
            None
        }
    }
}

/// The nearest directory that exists.
fn parent(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."))
}

fn private(path: &Path, found: &Inspection) -> Finding {
    let check = "store.access";
    let shown = format!("mode {:o}, user {}", found.mode, found.owner);
    if found.mode & 0o077 == 0 {
        return Finding::ok(check, shown);
    }
    let todo = format!("other users can look at payloads: run `chmod 700 {}`", path.display());
    Finding::warning(check, shown, &todo)
}

fn room(found: &Inspection) -> Finding {
    let check = "store.room";
    let shown = format!("{} MiB free", found.free >> 20);
    match found.free {
        ..HEADROOM => {
            Finding::failed(check, shown, "new messages are refused: make room on this disk")
        }
        HEADROOM..LITTLE_ROOM => Finding::warning(check, shown, "make room on this disk"),
        _ => Finding::ok(check, shown),
    }
}

/// Whether what was written lies in the past.
fn past(found: &Inspection) -> Finding {
    let check = "clock.store";
    let ahead = found.changed.and_then(|at| at.duration_since(SystemTime::now()).ok());
    match ahead.filter(|ahead| *ahead > ROUNDING) {
        None => Finding::ok(check, "the store was written in the past".to_owned()),
        Some(ahead) => {
            let shown = format!("the store was written {ahead:.0?} from now");
            Finding::warning(check, shown, "the clock was set back: let NTP set it")
        }
    }
}

/// Whether a file can be made durable here, and how long that takes.
fn synced(directory: &Path) -> Finding {
    let check = "store.sync";
    match sync(directory) {
        Ok(took) => Finding::ok(check, format!("a write is on disk after {took:.1?}")),
        Err(error) => {
            let found = format!("nothing can be made durable in {}: {error}", directory.display());
            Finding::failed(check, found, "check owner, mount and quota of the directory")
        }
    }
}

/// In a file that has no name, so that nothing stays, whatever happens.
fn sync(directory: &Path) -> io::Result<Duration> {
    let mut file: File = tempfile::tempfile_in(directory)?;
    let started = Instant::now();
    file.write_all(&[0; 4096])?;
    file.sync_all()?;
    Ok(started.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(free: u64, mode: u32, changed: SystemTime) -> Inspection {
        Inspection {
            owner: 0,
            mode,
            free,
            holds_store: true,
            is_open: false,
            changed: Some(changed),
        }
    }

    #[test]
    fn room_mode_and_time_are_judged() {
        let now = SystemTime::now();
        let of = |free| room(&found(free, 0, now)).to_string();
        assert!(of(HEADROOM - 1).starts_with("failed"));
        assert!(of(HEADROOM).starts_with("warning") && of(LITTLE_ROOM).starts_with("ok"));
        let of = |mode| private(Path::new("/d"), &found(0, mode, now)).to_string();
        assert!(of(0o700).starts_with("ok") && of(0o750).contains("chmod 700 /d"));
        let of = |changed| past(&found(0, 0, changed)).to_string();
        assert!(of(now).starts_with("ok"));
        assert!(of(now + Duration::from_secs(60)).starts_with("warning"));
    }
}
