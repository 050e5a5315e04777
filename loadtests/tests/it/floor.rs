use std::process::Command;

/// The floor is measured by the same code as Sluicegate, so this also covers sender, child
/// processes and CPU times.
#[test]
fn the_bare_pipe_delivers_everything_and_is_measured() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtests"))
        .args(["throughput", "--pipe-only", "--rounds", "1", "--seconds", "1", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let round = &figures["pipe"][0];
    for figure in ["delivered_per_second", "gateway_micros", "redis_micros", "dispatcher_micros"] {
        assert!(round[figure].as_f64().unwrap() > 0.0, "{figure}: {figures}");
    }
}
