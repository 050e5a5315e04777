//! Counts under valgrind's callgrind, in a process of its own for each benchmark: so none depends on what
//! others have left in memory.

use std::{env, process::Command};

use anyhow::{Context, Result, bail};

/// The argument with which the program calls itself to [`measure`] a benchmark.
pub const MEASURE: &str = "--measure";

/// Fills what is filled once: lazy values, the allocator's lists.
const WARM_UP: usize = 32;
/// What does not happen each time is spread over so many.
const ROUNDS: u64 = 32;

/// How many instructions one run of this benchmark executes.
///
/// # Errors
/// If valgrind cannot be started, or does not say.
pub fn count(name: &str) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=benchmarks::callgrind::counted*")
        .arg(env::current_exe()?)
        .args([MEASURE, name])
        // The environment lies on the stack: with another one memory is aligned differently.
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)));
    let output = valgrind.output().context("valgrind cannot be started")?;
    let told = String::from_utf8_lossy(&output.stderr);
    match collected(&told) {
        Some(instructions) if output.status.success() && instructions > 0 => {
            Ok(instructions / ROUNDS)
        }
        _ => bail!("{name} cannot be counted: {}\n{told}", output.status),
    }
}

/// What callgrind says at its end: `==1== Collected : 1234`.
fn collected(told: &str) -> Option<u64> {
    let (_, rest) = told.split_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Does the work of this benchmark, to be counted.
///
/// # Errors
/// If there is none of this name.
pub fn measure(name: &str) -> Result<()> {
    let found = crate::all().into_iter().find(|benchmark| benchmark.name() == name);
    let mut work = found.with_context(|| format!("no benchmark is called {name}"))?.prepare();
    for _ in 0..WARM_UP {
        work();
    }
    counted(&mut work);
    Ok(())
}

/// All that is counted: callgrind knows it by its name.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    for _ in 0..ROUNDS {
        work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_what_callgrind_says() {
        let told =
            "==7== Events    : Ir\n==7== Collected : 20480\n==7== \n==7== I   refs: 20,480\n";
        assert_eq!(collected(told), Some(20_480));
        assert_eq!(collected("==7== valgrind: failed to start tool"), None);
    }
}
