//! How an endpoint is being served: what its lane's owner last wrote down, and what waits for it.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;
use shared::{
    domain::{Endpoint, Limit, NamedLimit, Queue, ServingState},
    store::{Bucket, Configuration, Head, Metered},
    time::Millis,
};

use super::{Api, find_endpoint, openapi::Time};
use crate::error::Result;

/// How an endpoint is being served.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EndpointStateOut")]
pub(super) struct StateOut {
    /// It gets nothing new, and nothing is sent.
    disabled: bool,
    /// Nothing is sent: it is paused, or its application is.
    paused: bool,
    /// When the owner wrote it down; `null` if nothing was worth it yet. The fields up to `limits` are
    /// as of then.
    #[schemars(with = "Option<Time>")]
    as_of: Option<String>,
    breaker: BreakerOut,
    /// The receiver asked for nothing before this time.
    #[schemars(with = "Option<Time>")]
    gate: Option<String>,
    #[schemars(with = "Option<Time>")]
    failing_since: Option<String>,
    window: Option<usize>,
    limits: Vec<LimitOut>,
    /// Limits of the application, and those that it names, as of now.
    shared_limits: Vec<SharedLimitOut>,
    /// Deliveries that wait, in all of its queues.
    waiting: u64,
    /// Ordered queues whose first message failed or is put off, and holds up those behind it.
    blocked: Vec<BlockedOut>,
    lane: u16,
    /// The dispatcher that owns the lane.
    owner: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
struct BreakerOut {
    #[schemars(extend("enum" = ["closed", "open", "half-open"]))]
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Time>")]
    until: Option<String>,
    openings: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LimitOut {
    #[serde(flatten)]
    limit: Limit,
    /// When it grants the next attempt.
    #[schemars(with = "Time")]
    next: String,
}

/// What holds up an ordered queue.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct BlockedOut {
    msg_id: String,
    attempts: u32,
    #[schemars(with = "Time")]
    next_attempt: String,
    /// Deliveries in the queue, with this one.
    waiting: u64,
}

impl BlockedOut {
    fn new(head: &Head, now: Millis) -> Option<Self> {
        let Head { first, opens_in, waiting } = *head;
        (first.attempts > 0 || !opens_in.is_zero()).then(|| Self {
            msg_id: first.delivery.message.to_string(),
            attempts: first.attempts,
            next_attempt: now.after(opens_in).rfc3339(),
            waiting,
        })
    }
}

/// Limits that the endpoint shares with others.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SharedLimitOut {
    /// `application`, or the name of the limit.
    name: String,
    limits: Vec<Limit>,
    /// When they grant the next attempt that nobody has asked for yet.
    #[schemars(with = "Time")]
    next: String,
}

impl SharedLimitOut {
    fn new(metered: Metered, wait: Duration, now: Millis) -> Self {
        let name = match metered.bucket {
            Bucket::Application(_) => "application".to_owned(),
            Bucket::Named(name) => name,
        };
        Self { name, limits: metered.limits, next: now.after(wait).rfc3339() }
    }
}

impl Api {
    /// What an endpoint shares with others.
    async fn shared_limits(
        &self,
        configuration: &Configuration,
        endpoint: &Endpoint,
    ) -> Result<Vec<SharedLimitOut>> {
        let mut shared: Vec<_> = configuration.limit().into_iter().collect();
        for name in &endpoint.settings.shared_limits {
            if let Some(NamedLimit { limit, version, .. }) = self.record(name).await? {
                let bucket = Bucket::Named(name.clone());
                shared.push(Metered { bucket, version, limits: vec![limit] });
            }
        }
        if shared.is_empty() {
            return Ok(vec![]);
        }
        let waits = self.store.next(&shared).await?;
        let now = Millis::now();
        let shown = shared.into_iter().zip(waits);
        Ok(shown.map(|(metered, wait)| SharedLimitOut::new(metered, wait, now)).collect())
    }
}

impl StateOut {
    fn new(state: Option<ServingState>, now: Millis) -> Self {
        let known = state.is_some();
        let state = state.unwrap_or_default();
        let breaker = match state.breaker {
            None => BreakerOut { state: "closed", until: None, openings: 0 },
            Some(open) => BreakerOut {
                state: if open.until > now { "open" } else { "half-open" },
                until: Some(open.until.rfc3339()),
                openings: open.openings,
            },
        };
        let limits = state.limits.iter();
        Self {
            disabled: false,
            paused: false,
            as_of: known.then(|| state.at.rfc3339()),
            breaker,
            gate: state.gate.filter(|gate| *gate > now).map(Millis::rfc3339),
            failing_since: state.failing_since.map(Millis::rfc3339),
            window: known.then_some(state.window),
            limits: limits
                .map(|limit| LimitOut { limit: limit.limit, next: limit.next.rfc3339() })
                .collect(),
            shared_limits: vec![],
            waiting: 0,
            blocked: Vec::new(),
            lane: 0,
            owner: None,
        }
    }
}

pub(super) async fn get(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse> {
    let (app, name) = path.into_inner();
    let configuration = api.configuration(&app).await?;
    let endpoint = find_endpoint(&configuration, &name)?;
    let queue = Queue::live(configuration.application.id, endpoint.id);
    let record = api.store.states(queue.app, &[queue.endpoint]).await?.pop().flatten();
    // What a newer version wrote in another form is as good as nothing.
    let state: Option<ServingState> =
        record.and_then(|record| serde_json::from_slice(&record).ok());
    // Nor does what was remembered before it was enabled again count.
    let state = state.filter(|state| endpoint.enabled_at().is_none_or(|at| state.at >= at));
    let lease = api.store.leases(&[queue.lane()]).await?.pop().flatten();
    let (waiting, heads) = api.waiting(queue.destination()).await?;
    let now = Millis::now();
    Ok(HttpResponse::Ok().json(StateOut {
        disabled: endpoint.disabled,
        paused: endpoint.settings.paused || configuration.application.settings.paused,
        shared_limits: api.shared_limits(&configuration, endpoint).await?,
        waiting,
        blocked: heads.iter().filter_map(|head| BlockedOut::new(head, now)).collect(),
        lane: queue.lane().index(),
        owner: lease.and_then(|lease| lease.owner).map(|owner| owner.to_string()),
        ..StateOut::new(state, now)
    }))
}
