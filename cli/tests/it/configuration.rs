//! What the command does with its settings.

use crate::process::{KEY, bare, run};

#[test]
fn what_cannot_work_exits_with_78_and_says_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    type Texts = &'static [&'static str];
    type Case = (Texts, &'static [(&'static str, &'static str)], Texts);
    let cases: [Case; 6] = [
        (&[], &[("SLUICEGATE_LISTEM", "x")], &["SLUICEGATE_LISTEM"]),
        (&["--durability", "replicated"], &[], &["durability = \"replicated\""]),
        (&["gateway"], &[], &["one process only", "SLUICEGATE_API_TOKEN"]),
        (&["dispatcher"], &[], &["one process only"]),
        (&["--config", "nowhere.toml"], &[], &["nowhere.toml"]),
        (
            &["config", "check", "--shutdown-grace", "1s"],
            &[("SLUICEGATE_LIFETIMES__MESSAGE", "1h")],
            &["shutdown_grace", "lifetimes.message"],
        ),
    ];
    for (arguments, environment, expected) in cases {
        let mut command = bare(directory.path(), arguments);
        let (code, _, stderr) = run(command.envs(environment.iter().copied()));
        assert_eq!(code, Some(78), "{arguments:?}: {stderr}");
        for text in expected {
            assert!(stderr.contains(text), "{arguments:?}: {stderr}");
        }
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was started");
}

#[test]
fn a_file_in_the_directory_counts_and_flags_win_over_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sluicegate.toml");
    std::fs::write(&file, "listen = '127.0.0.1:7001'\nadmin_listen = '127.0.0.1:7002'").unwrap();
    let arguments = ["config", "print", "--listen", "127.0.0.1:7003"];
    let (code, stdout, stderr) = run(&mut bare(directory.path(), &arguments));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("listen = \"127.0.0.1:7003\""), "{stdout}");
    assert!(stdout.contains("admin_listen = \"127.0.0.1:7002\""), "{stdout}");

    std::fs::write(&file, "[gateway]\nlistem = 1").unwrap();
    let (code, _, stderr) = run(&mut bare(directory.path(), &["config", "check"]));
    assert_eq!(code, Some(78));
    assert!(stderr.contains("unknown setting gateway.listem in file sluicegate.toml"), "{stderr}");
}

#[test]
fn printing_leaves_secrets_out() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = bare(directory.path(), &["config", "print"]);
    command.env("SLUICEGATE_API_TOKEN", "canary-0123456789");
    command.env("SLUICEGATE_STORE", "redis://:canary@127.0.0.1");
    command.env("SLUICEGATE_SECRETS__KEYS", KEY);
    let (code, stdout, stderr) = run(&mut command);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stdout.contains("canary") && !stdout.contains(KEY), "{stdout}");
    assert!(stdout.contains("# environment"), "{stdout}");
}

#[test]
fn every_subcommand_helps() {
    let directory = tempfile::tempdir().unwrap();
    let subcommands: [&[&str]; 11] = [
        &[],
        &["gateway"],
        &["dispatcher"],
        &["listen"],
        &["config", "check"],
        &["config", "print"],
        &["health"],
        &["secrets", "generate-key"],
        &["secrets", "rewrap"],
        &["apply"],
        &["export"],
    ];
    for subcommand in subcommands {
        let (code, stdout, _) = run(bare(directory.path(), subcommand).arg("--help"));
        assert_eq!(code, Some(0), "{subcommand:?}");
        assert!(stdout.contains("Usage: sluicegate"), "{stdout}");
    }
    let (_, stdout, _) = run(&mut bare(directory.path(), &["--help"]));
    assert!(stdout.contains("78  configuration that cannot work"), "{stdout}");
    let (_, stdout, _) = run(&mut bare(directory.path(), &["--version"]));
    assert_eq!(stdout, format!("sluicegate {}\n", env!("CARGO_PKG_VERSION")));
    let (code, _, _) = run(&mut bare(directory.path(), &["--listen", "127.0.0.1:1", "gateway"]));
    assert_eq!(code, Some(2), "flags before a subcommand would be lost");
}
