//! Names of keys. What belongs to an application carries its shard's hash tag.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use crate::{
    domain::{HOUR_MS, Queue},
    id::{AppId, EndpointId, MessageId, TaskId},
    placement::{GLOBAL_TAG, Lane, Shard},
    store::{Bucket, Kind},
    time::Millis,
};

/// Room for nearly each key: a call names hundreds.
const LONG: usize = 64;

fn tagged(shard: Shard, rest: fmt::Arguments<'_>) -> String {
    let mut key = String::with_capacity(LONG);
    key.push('{');
    key.push_str(shard.tag());
    key.push_str("}:");
    // To write into a string never fails.
    let _ = key.write_fmt(rest);
    key
}

fn global(rest: &str) -> String {
    format!("{{{GLOBAL_TAG}}}:{rest}")
}

/// Whether one script may touch keys of several shards. On one server it may: a batch of 64 messages
/// is then one call instead of about 16.
pub(super) const SPANS_SHARDS: bool = true;

/// Whether one script may touch keys of both shards.
pub(super) fn one_script(one: Shard, other: Shard) -> bool {
    SPANS_SHARDS || one == other
}

/// Stream: the lane's mailbox.
pub(super) fn lane(lane: Lane) -> String {
    tagged(lane.shard(), format_args!("lane:{lane}"))
}

/// Sorted set: queues that have a waiting set, by when they can next be served.
pub(super) fn agenda(lane: Lane) -> String {
    tagged(lane.shard(), format_args!("agenda:{lane}"))
}

/// String: `<epoch> <owner> <renewal>`.
pub(super) fn lease(lane: Lane) -> String {
    tagged(lane.shard(), format_args!("lease:{lane}"))
}

/// Counter: the score of what was parked last.
pub(super) fn sequence(lane: Lane) -> String {
    tagged(lane.shard(), format_args!("seq:{lane}"))
}

/// Sorted set: deliveries that wait in a queue.
pub(super) fn wait(queue: Queue) -> String {
    of_queue("wait", queue)
}

/// Hash: `<attempts>:<steps>` of a queue's deliveries that failed; in an ordered one `:<due>` follows, where
/// one is not due at once.
pub(super) fn tries(queue: Queue) -> String {
    of_queue("try", queue)
}

fn of_queue(what: &str, Queue { app, endpoint, strand }: Queue) -> String {
    let (shard, strand) = (Shard::of(app), strand.suffix());
    tagged(shard, format_args!("{what}:{}{strand}", endpoint.bare()))
}

/// String: what the owner remembers of an endpoint.
pub(super) fn state(shard: Shard, endpoint: EndpointId) -> String {
    tagged(shard, format_args!("state:{}", endpoint.bare()))
}

/// Stream: attempts at an endpoint, packed as they were settled.
pub(super) fn attempts(shard: Shard, endpoint: EndpointId) -> String {
    tagged(shard, format_args!("att:{}", endpoint.bare()))
}

/// Sorted set: places of attempts whose responses are not to be shown any more, by when that was said.
pub(super) fn struck(shard: Shard, endpoint: EndpointId) -> String {
    tagged(shard, format_args!("struck:{}", endpoint.bare()))
}

/// Hash: how deliveries to an endpoint went on a day of the writer's clock, `<hour><what>` by number. The
/// hour is one of the store's clock, counted since the epoch; what is `d` delivered, `f` an attempt that
/// failed, `g` given up.
pub(super) fn tally(shard: Shard, endpoint: EndpointId, day: Millis) -> String {
    tagged(shard, format_args!("tally:{}:{}", endpoint.bare(), day.0 / DAY_MS))
}

/// All [`tally`] keys that an endpoint can have, whatever the clocks of their writers.
pub(super) fn tallies(
    shard: Shard,
    endpoint: EndpointId,
    history: Duration,
) -> impl Iterator<Item = String> {
    let now = Millis::now();
    let oldest = now.0.saturating_sub(history.as_millis() as u64 + DAY_MS);
    let days = (oldest..=now.0 + DAY_MS).step_by(DAY_MS as usize);
    days.map(move |day| tally(shard, endpoint, Millis(day)))
}

/// What [`tally`] calls a day, in milliseconds.
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;

/// Stream: dead letters of an endpoint.
pub(super) fn dead(shard: Shard, endpoint: EndpointId) -> String {
    tagged(shard, format_args!("dead:{}", endpoint.bare()))
}

/// String: where the attempts of a message are, each in as many bytes as the next, but for one in
/// [`sole_attempts`].
pub(super) fn message_attempts(shard: Shard, message: MessageId) -> String {
    tagged(shard, format_args!("mat:{}", message.bare()))
}

/// Hash: where the attempt of each message is that needed no other one, by message. Of all that were made
/// within four seconds or so.
pub(super) fn sole_attempts(shard: Shard, message: MessageId) -> String {
    tagged(shard, format_args!("sole:{}", message.made_at_ms() / SOLE_MS))
}

const SOLE_MS: u64 = 4096;

/// String: the message's record.
pub(super) fn body(shard: Shard, message: MessageId) -> String {
    tagged(shard, format_args!("body:{}", message.bare()))
}

/// Counter: open deliveries of a message, where there may be more than one.
pub(super) fn left(shard: Shard, message: MessageId) -> String {
    tagged(shard, format_args!("left:{}", message.bare()))
}

/// Stream: headers of the application's messages.
pub(super) fn log(app: AppId) -> String {
    tagged(Shard::of(app), format_args!("log:{}", app.bare()))
}

/// String: the message that holds this key, and its fingerprint.
pub(super) fn dedup(app: AppId, key: &str) -> String {
    tagged(Shard::of(app), format_args!("dedup:{}:{key}", app.bare()))
}

/// Hash: `v` the version, `doc` the application, [`endpoint_field`] each endpoint; where there is a
/// quota, `b:<n>` what counts towards it.
pub(super) fn app(app: AppId) -> String {
    tagged(Shard::of(app), format_args!("app:{}", app.bare()))
}

/// Field of [`app`] that holds the version.
pub(super) const VERSION_FIELD: &str = "v";
/// Field of [`app`] that holds the application.
pub(super) const APPLICATION_FIELD: &str = "doc";
/// What [`endpoint_field`] starts with.
pub(super) const ENDPOINT_FIELD: &str = "ep:";

/// Field of [`app`] that holds an endpoint.
pub(super) fn endpoint_field(endpoint: EndpointId) -> String {
    format!("{ENDPOINT_FIELD}{}", endpoint.bare())
}

/// Hash: `doc` the task, and how far it is.
pub(super) fn task(shard: Shard, task: TaskId) -> String {
    tagged(shard, format_args!("task:{}", task.bare()))
}

/// Set: the tasks of a lane that run.
pub(super) fn open_tasks(lane: Lane) -> String {
    tagged(lane.shard(), format_args!("open:{lane}"))
}

/// Sorted set: all tasks by id, each followed by its application.
pub(super) fn tasks() -> String {
    global("tasks")
}

/// Sorted set: all applications, by id.
pub(super) fn applications() -> String {
    global("apps")
}

/// Hash: the claim of each application that is listed, and `n`, the last one given out.
pub(super) fn claims() -> String {
    global("claims")
}

/// Hash: applications by uid.
pub(super) fn uids() -> String {
    global("uids")
}

/// Hash: documents of a kind by name.
pub(super) fn documents(kind: Kind) -> String {
    global(&format!("doc:{}", kind.name()))
}

/// Hash: `v` version, `limits`, `arrivals` and `holes` of limits that lanes share.
pub(super) fn bucket(bucket: &Bucket) -> String {
    match bucket {
        Bucket::Application(app) => tagged(Shard::of(*app), format_args!("limit:{}", app.bare())),
        Bucket::Named(name) => global(&format!("limit:{name}")),
    }
}

/// Hash: signs of life by node.
pub(super) fn nodes() -> String {
    global("nodes")
}

/// String: what the keys here look like.
pub(super) fn layout() -> String {
    global("layout")
}

/// String: written to see whether the server takes writes.
pub(super) fn probe() -> String {
    global("probe")
}
