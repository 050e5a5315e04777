//! The fetcher: reads the bodies of what lanes have started, in batches over all lanes, together with
//! the proof that each lane is still held, and finds the routes.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use prometheus::IntGauge;
use shared::{
    domain::{Delivery, Message},
    id::AppId,
    store::{Fence, Fetch, Fetched, Version},
    time::Millis,
};

use crate::{
    batcher::{Batcher, Refused, Stage},
    distance::Distance,
    lane::{Event, LaneActor, Taken},
    log::Line,
    mail::Resident,
    metrics::{Mailbox, Metrics},
    parts::Parts,
    persist::until_refused,
    routes::Route,
};

/// Bodies in one call: at 1 MiB each, what two calls hold before it is weighed.
const BATCH: usize = 64;
/// Of them for endpoints that are not proven, while both kinds wait: hundreds may begin at once.
const UNPROVEN: usize = BATCH / 4;

/// The actor: one where a read can span all shards, otherwise one a shard.
pub(crate) type Fetcher = Batcher<Fetching>;

/// What a lane has started.
pub(crate) struct Wish {
    pub(crate) fence: Fence,
    pub(crate) lane: Resident<LaneActor>,
    /// Whether the endpoints have answered well.
    pub(crate) proven: bool,
    pub(crate) taken: Vec<Taken>,
}

/// A started delivery with what its attempt needs, or why there can be none.
pub(crate) struct Prepared {
    pub(crate) taken: Taken,
    pub(crate) found: Found,
}

/// What the store has of a delivery.
#[expect(clippy::large_enum_variant, reason = "nearly all are sendable: boxing would cost each")]
pub(crate) enum Found {
    /// Everything that an attempt needs.
    Sendable(Message, Arc<Route>),
    /// The endpoint is disabled or paused.
    Closed(Arc<Route>),
    /// The endpoint or its application was deleted.
    Deleted,
    /// The configuration cannot be read: not now, or not at all.
    NoRoute,
    /// The body is gone, or the message's time is over.
    Expired,
    /// The message's content was removed.
    Expunged,
    /// It waited beyond the horizon of its endpoint's retry policy.
    TooLate,
    /// The body cannot be read.
    Corrupt,
}

/// What waits, in order of arrival.
#[derive(Default)]
pub(crate) struct Fetching {
    proven: VecDeque<Wish>,
    unproven: VecDeque<Wish>,
}

impl Stage for Fetching {
    type Wish = Wish;
    type Part = Wish;
    const CALLS: usize = 2;

    fn distance() -> Option<Distance> {
        None
    }

    fn add(&mut self, wish: Wish) {
        match wish.proven {
            true => self.proven.push_back(wish),
            false => self.unproven.push_back(wish),
        }
    }

    fn is_urgent(&self) -> bool {
        false
    }

    fn take(&mut self) -> Option<Vec<Wish>> {
        let kept = if self.unproven.is_empty() { 0 } else { UNPROVEN };
        let mut batch = Vec::new();
        let left = fill(&mut batch, &mut self.proven, BATCH - kept);
        fill(&mut batch, &mut self.unproven, left + kept);
        (!batch.is_empty()).then_some(batch)
    }

    fn is_empty(&self) -> bool {
        self.proven.is_empty() && self.unproven.is_empty()
    }

    fn depth(&self) -> usize {
        self.proven.iter().chain(&self.unproven).map(|wish| wish.taken.len()).sum()
    }

    fn shown(metrics: &Metrics) -> (&IntGauge, Mailbox) {
        (&metrics.to_fetch, Mailbox::Fetcher)
    }

    fn lane(part: &Wish) -> &Resident<LaneActor> {
        &part.lane
    }

    async fn call(wishes: Vec<Wish>, parts: Arc<Parts>) -> Result<(), Refused<Wish>> {
        let deliveries = |wish: &Wish| wish.taken.iter().map(|taken| taken.delivery()).collect();
        let fetches: Vec<_> = wishes
            .iter()
            .map(|wish| Fetch { fence: wish.fence.clone(), deliveries: deliveries(wish) })
            .collect();
        let answers =
            until_refused(&parts.metrics, "fetch", async || parts.store.fetch(&fetches).await)
                .await;
        let Ok(answers) = answers else { return Err(Refused(wishes)) };
        for (wish, fetched) in wishes.into_iter().zip(answers) {
            let Fetched::Held { records, versions } = fetched else {
                wish.lane.tell(Event::Prepared(None));
                continue;
            };
            // An application whose configuration must be loaded holds up neither this call nor the rest.
            let (mut prepared, mut late) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
            for (taken, record) in wish.taken.into_iter().zip(records) {
                let Delivery { app, endpoint, .. } = taken.delivery();
                let routes = match versions.get(&app) {
                    None => None,
                    Some(version) => match parts.routes.cached_at(app, *version) {
                        Some(routes) => Some(routes),
                        None => {
                            late.entry((app, *version)).or_default().push((taken, record));
                            continue;
                        }
                    },
                };
                let route = routes.and_then(|routes| routes.get(endpoint));
                let found = find(&taken, route, record.as_ref(), &parts.metrics);
                prepared.push(Prepared { taken, found });
            }
            if !prepared.is_empty() {
                wish.lane.tell(Event::Prepared(Some(prepared)));
            }
            for ((app, version), fetched) in late {
                let (lane, parts) = (wish.lane.clone(), Arc::clone(&parts));
                actix_rt::spawn(find_late(app, version, fetched, lane, parts));
            }
        }
        Ok(())
    }
}

/// Moves wishes for so many deliveries, and answers how many more it could have been.
fn fill(batch: &mut Vec<Wish>, waiting: &mut VecDeque<Wish>, mut room: usize) -> usize {
    while room > 0
        && let Some(mut wish) = waiting.pop_front()
    {
        if wish.taken.len() > room {
            let taken = wish.taken.split_off(room);
            let (fence, lane) = (wish.fence.clone(), wish.lane.clone());
            waiting.push_front(Wish { fence, lane, proven: wish.proven, taken });
        }
        room -= wish.taken.len();
        batch.push(wish);
    }
    room
}

/// As [`find`], for deliveries of an application whose configuration must be loaded.
async fn find_late(
    app: AppId,
    version: Version,
    fetched: Vec<(Taken, Option<Bytes>)>,
    lane: Resident<LaneActor>,
    parts: Arc<Parts>,
) {
    let routes = parts.routes.at(app, version).await.inspect_err(|error| {
        parts.metrics.store_error(error.kind());
        if let Some(left_out) = parts.metrics.line(Line::Configuration) {
            tracing::warn!(%app, %error, left_out, "configuration cannot be loaded");
        }
    });
    let prepared = |(taken, record): (Taken, Option<Bytes>)| {
        let endpoint = taken.delivery().endpoint;
        let found = match &routes {
            Ok(routes) => {
                let route = routes.as_ref().and_then(|routes| routes.get(endpoint));
                find(&taken, route, record.as_ref(), &parts.metrics)
            }
            // Not repeated here: the lane decides when to try again.
            Err(_) => Found::NoRoute,
        };
        Prepared { taken, found }
    };
    lane.tell(Event::Prepared(Some(fetched.into_iter().map(prepared).collect())));
}

fn find(
    taken: &Taken,
    route: Option<Arc<Route>>,
    record: Option<&Bytes>,
    metrics: &Metrics,
) -> Found {
    match (route, record) {
        (None, _) => Found::Deleted,
        (Some(_), None) => Found::Expired,
        (Some(route), _) if !route.open => Found::Closed(route),
        (Some(route), Some(record)) => match Message::decode(record) {
            Ok(message) if message.header.options.expunged => Found::Expunged,
            Ok(message) if message.header.is_expired(Millis::now()) => Found::Expired,
            Ok(message) if is_too_late(taken, &message, &route) => Found::TooLate,
            Ok(message) => Found::Sendable(message, route),
            Err(error) => {
                if let Some(left_out) = metrics.line(Line::Record) {
                    let message = taken.delivery().message;
                    tracing::error!(message_id = %message, %error, left_out, "corrupt record");
                }
                Found::Corrupt
            }
        },
    }
}

fn is_too_late(taken: &Taken, message: &Message, route: &Route) -> bool {
    let began = || taken.delivery().began(message.header.due_at());
    route.schedule.has_horizon() && !route.schedule.reaches(Millis::now().since(began()))
}
