//! What can happen, in terms of a universe whose ids do not exist yet.

use proptest::{collection::vec, option, prelude::*};
use shared::domain::DeadReason;

/// One step. Numbers choose among what there is, modulo how many there are.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Publish(Vec<Wish>),
    Resend {
        message: usize,
        endpoint: usize,
        strand: usize,
    },
    PutApplication {
        app: usize,
    },
    PutEndpoint {
        endpoint: usize,
    },
    DeleteEndpoint {
        endpoint: usize,
    },
    DeleteApplication {
        app: usize,
    },
    Acquire {
        endpoint: usize,
        owner: usize,
    },
    Renew {
        endpoint: usize,
        owner: usize,
    },
    Release {
        endpoint: usize,
        owner: usize,
    },
    Park {
        endpoint: usize,
        owner: usize,
        parks: Vec<Parking>,
    },
    /// Of any entry, though only nudges go.
    Forget {
        endpoint: usize,
        owner: usize,
        nth: usize,
    },
    /// Of any entry, though only fan-outs can be.
    Expand {
        owner: usize,
        nth: usize,
        targets: [Option<usize>; 2],
        more: bool,
        /// Names another cursor than the entry's.
        wrong: bool,
    },
    /// In one write.
    Settle {
        owner: usize,
        endings: Vec<Ending>,
    },
    Remember {
        endpoint: usize,
        owner: usize,
        state: Option<u8>,
        reopens: Option<bool>,
    },
    BeginTask {
        endpoint: usize,
    },
    CancelTask {
        nth: usize,
    },
    Advance(Advance),
    /// Out of the buckets that are chosen.
    Take {
        chosen: [bool; 3],
        version: u64,
        cells: usize,
        spread: u32,
    },
    /// An earlier call once more, word for word.
    Again {
        nth: usize,
    },
}

/// A wish to publish.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) message: usize,
    /// Whether it goes to the first and to the second endpoint of its application, and into which
    /// strand there.
    pub(super) targets: [Option<usize>; 2],
    pub(super) keys: Vec<usize>,
    pub(super) fingerprint: u8,
    pub(super) stale: bool,
    /// Its targets are to be chosen later.
    pub(super) later: bool,
}

/// A wish for a step of a task.
#[derive(Clone, Debug)]
pub(super) struct Advance {
    pub(super) task: usize,
    pub(super) owner: usize,
    pub(super) messages: Vec<usize>,
    /// A dead letter that goes with it.
    pub(super) letter: Option<usize>,
    /// It was made before.
    pub(super) late: bool,
    pub(super) ends: bool,
}

/// A wish to park an entry.
#[derive(Clone, Debug)]
pub(super) struct Parking {
    pub(super) nth: usize,
    /// After hours, at once by time, or in order.
    pub(super) delayed: Option<bool>,
    /// Names another delivery than the entry's, or one of another strand.
    pub(super) wrong: Option<Mistake>,
}

/// A wish to settle a delivery.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) endpoint: usize,
    pub(super) nth: usize,
    pub(super) waits: bool,
    pub(super) verdict: Outcome,
    pub(super) attempted: bool,
    pub(super) wrong: Option<Mistake>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Delivered,
    RetryNow,
    RetryLater,
    Dead(DeadReason),
    Deleted,
}

/// What an owner with an old view gets wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mistake {
    OneAttemptMore,
    OneAttemptLess,
    AnotherGeneration,
    AnotherStrand,
    AnotherPlace,
}

const ANY: std::ops::Range<usize> = 0..1000;

pub(super) fn operations(steps: usize) -> impl Strategy<Value = Vec<Operation>> {
    vec(operation(), 1..=steps)
}

fn operation() -> impl Strategy<Value = Operation> {
    // The first owner has the lanes at the beginning.
    let owner = || prop_oneof![3 => Just(0usize), 1 => Just(1usize)];
    let who = move || (0..3usize, owner());
    prop_oneof![
        14 => vec(wish(), 1..4).prop_map(Operation::Publish),
        3 => (ANY, 0..3usize, strand()).prop_map(|(message, endpoint, strand)| {
            Operation::Resend { message, endpoint, strand }
        }),
        2 => (0..2usize).prop_map(|app| Operation::PutApplication { app }),
        2 => (0..3usize).prop_map(|endpoint| Operation::PutEndpoint { endpoint }),
        1 => (0..3usize).prop_map(|endpoint| Operation::DeleteEndpoint { endpoint }),
        1 => (0..2usize).prop_map(|app| Operation::DeleteApplication { app }),
        6 => who().prop_map(|(endpoint, owner)| Operation::Acquire { endpoint, owner }),
        1 => who().prop_map(|(endpoint, owner)| Operation::Renew { endpoint, owner }),
        1 => who().prop_map(|(endpoint, owner)| Operation::Release { endpoint, owner }),
        14 => (who(), vec(parking(), 1..4)).prop_map(|((endpoint, owner), parks)| {
            Operation::Park { endpoint, owner, parks }
        }),
        2 => (who(), ANY).prop_map(|((endpoint, owner), nth)| {
            Operation::Forget { endpoint, owner, nth }
        }),
        6 => (owner(), ANY, targets(), any::<bool>(), prop::bool::weighted(0.1)).prop_map(
            |(owner, nth, targets, more, wrong)| {
                Operation::Expand { owner, nth, targets, more, wrong }
            }
        ),
        24 => (owner(), vec(ending(), 1..5)).prop_map(|(owner, endings)| {
            Operation::Settle { owner, endings }
        }),
        2 => (who(), option::of(0..9u8), option::of(any::<bool>())).prop_map(
            |((endpoint, owner), state, reopens)| {
                Operation::Remember { endpoint, owner, state, reopens }
            }
        ),
        4 => (0..3usize).prop_map(|endpoint| Operation::BeginTask { endpoint }),
        1 => ANY.prop_map(|nth| Operation::CancelTask { nth }),
        8 => (owner(), advance()).prop_map(|(owner, advance)| {
            Operation::Advance(Advance { owner, ..advance })
        }),
        6 => (any::<[bool; 3]>(), 1..4u64, 0..4usize, 0..5u32).prop_map(
            |(chosen, version, cells, spread)| Operation::Take { chosen, version, cells, spread }
        ),
        8 => ANY.prop_map(|nth| Operation::Again { nth }),
    ]
}

/// Mostly the first, so that what is wanted of a queue meets.
fn strand() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0usize), 2 => 1..4usize]
}

/// For each of an application's endpoints, whether it is wanted, and with which strand.
fn targets() -> impl Strategy<Value = [Option<usize>; 2]> {
    [option::of(strand()), option::of(strand())]
}

fn wish() -> impl Strategy<Value = Wish> {
    let rarely = prop::bool::weighted(0.1);
    let later = prop::bool::weighted(0.2);
    (targets(), ANY, vec(0..3usize, 0..3), 0..2u8, rarely, later).prop_map(
        |(targets, message, keys, fingerprint, stale, later)| Wish {
            message,
            targets,
            keys,
            fingerprint,
            stale,
            later,
        },
    )
}

fn advance() -> impl Strategy<Value = Advance> {
    let rarely = || prop::bool::weighted(0.2);
    (ANY, vec(ANY, 0..3), option::of(ANY), rarely(), rarely()).prop_map(
        |(task, messages, letter, late, ends)| Advance {
            task,
            owner: 0,
            messages,
            letter,
            late,
            ends,
        },
    )
}

fn parking() -> impl Strategy<Value = Parking> {
    let delayed = prop_oneof![3 => Just(None), 1 => any::<bool>().prop_map(Some)];
    let other = prop_oneof![Just(Mistake::AnotherGeneration), Just(Mistake::AnotherStrand)];
    (ANY, delayed, option::weighted(0.1, other)).prop_map(|(nth, delayed, wrong)| Parking {
        nth,
        delayed,
        wrong,
    })
}

fn ending() -> impl Strategy<Value = Ending> {
    let verdict = prop_oneof![
        3 => Just(Outcome::Delivered),
        3 => Just(Outcome::RetryNow),
        2 => Just(Outcome::RetryLater),
        1 => Just(Outcome::Dead(DeadReason::Exhausted)),
        1 => Just(Outcome::Dead(DeadReason::Gone)),
        1 => Just(Outcome::Deleted),
    ];
    let mistake = prop_oneof![
        Just(Mistake::OneAttemptMore),
        Just(Mistake::OneAttemptLess),
        Just(Mistake::AnotherGeneration),
        Just(Mistake::AnotherStrand),
        Just(Mistake::AnotherPlace),
    ];
    let wrong = option::weighted(0.25, mistake);
    (0..3usize, ANY, any::<bool>(), verdict, prop::bool::weighted(0.8), wrong).prop_map(
        |(endpoint, nth, waits, verdict, attempted, wrong)| Ending {
            endpoint,
            nth,
            waits,
            verdict,
            attempted,
            wrong,
        },
    )
}
