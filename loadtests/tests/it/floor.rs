use std::process::Command;

use serde_json::Value;

fn one_round(store: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtests"))
        .args(["floor", "--rounds", "1", "--seconds", "1", "--json"])
        .args(store)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    figures["rounds"][0].clone()
}

fn is_measured(round: &Value, processes: &[&str]) {
    for figure in ["delivered_per_second", "cpu_micros"] {
        assert!(round[figure].as_f64().unwrap() > 0.0, "{figure}: {round}");
    }
    for process in processes {
        assert!(round["cpu_micros_of"][process].as_f64().unwrap() > 0.0, "{process}: {round}");
    }
}

/// The floor is measured by the same code as Sluicegate, so this also covers sender, child
/// processes and CPU times.
#[test]
fn the_floor_delivers_everything_and_is_measured() {
    is_measured(&one_round(&[]), &["gateway", "redis", "dispatcher"]);
}

#[test]
fn the_floor_delivers_to_each_of_several_targets() {
    is_measured(&one_round(&["--fan-out", "3"]), &["dispatcher"]);
}

#[test]
fn the_embedded_floor_delivers_everything_and_is_measured() {
    is_measured(&one_round(&["--embedded"]), &["floor"]);
}
