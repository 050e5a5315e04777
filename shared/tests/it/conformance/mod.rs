//! What the store's traits promise, one file for each: a test is named after the promise that it
//! holds an engine to. Each test has a store of its own.

mod agenda;
mod auditing;
mod dedup;
mod documents;
mod engine;
mod fanning_out;
mod fencing;
mod history;
mod leases;
mod lifetimes;
mod limits;
mod ordering;
mod parking;
mod publishing;
mod quotas;
mod reading;
mod resending;
mod settling;
mod strands;
mod sweeping;
mod tasks;
mod terms;
mod verdicts;
