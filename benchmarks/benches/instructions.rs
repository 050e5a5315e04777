//! Counts the instructions that the functions of the hot path execute, and compares them with what was
//! accepted. Started by `benchmarks/run`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use benchmarks::{
    ACCEPT, Count,
    baseline::{Baseline, Tools},
    callgrind,
    comparison::{Finding, compare},
};

fn main() -> Result<ExitCode> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(),
        ["--accept"] => accept(),
        // Only for ourselves, under callgrind.
        [callgrind::MEASURE, name] => callgrind::measure(name).map(|()| ExitCode::SUCCESS),
        _ => bail!("usage: benchmarks/run [--accept]"),
    }
}

fn check() -> Result<ExitCode> {
    let tools = Tools::find()?;
    let baseline = Baseline::read()?;
    if !tools.can_be_compared_with(&baseline.tools) {
        println!("not compared: the baseline is of {}, this is {tools}", baseline.tools);
        return Ok(ExitCode::SUCCESS);
    }
    let found = count()?;
    let findings = compare(&baseline.counts, &found);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.iter().any(Finding::is_fault) {
        println!("none of {} functions got dearer", found.len());
        return Ok(ExitCode::SUCCESS);
    }
    if tools != baseline.tools {
        println!("the baseline is of {}, this is {tools}: that may be why", baseline.tools);
    }
    println!("if the change is worth it, accept it: {ACCEPT}");
    Ok(ExitCode::FAILURE)
}

fn accept() -> Result<ExitCode> {
    Baseline { tools: Tools::find()?, counts: count()? }.write()?;
    Ok(ExitCode::SUCCESS)
}

fn count() -> Result<Vec<Count>> {
    let count = |name: &str| Ok((name.to_owned(), callgrind::count(name)?));
    benchmarks::all().iter().map(|benchmark| count(benchmark.name())).collect()
}
