//! What can be set of the dispatcher.

use std::time::Duration;

use ipnet::IpNet;
use shared::{domain::Destination, sealing::KeyRing, trace::Tracer};

/// Settings of a dispatcher. Where they come from is the command's business.
#[derive(Debug, Clone)]
pub struct Config {
    /// Threads that serve lanes.
    pub workers: usize,
    /// How many attempts may be in flight in this process.
    pub max_in_flight: usize,
    /// How many bytes of bodies may be held in this process.
    pub max_body_bytes: usize,
    /// How many attempts one endpoint may have in flight.
    pub max_window: usize,
    /// Deadline of one attempt: connect, headers and body together.
    pub request_timeout: Duration,
    /// Delays between the attempts; after the last one the delivery is a dead letter.
    pub retry_schedule: Vec<Duration>,
    /// An endpoint whose attempts all failed for this long is disabled; zero: none is.
    pub disable_after: Duration,
    /// A lease that was not renewed for this long may be taken by another node.
    pub lease_ttl: Duration,
    /// How often leases are renewed.
    pub lease_renewal: Duration,
    /// Networks that deliveries may go to although they are private; inside them http is allowed.
    pub allow_cidr: Vec<IpNet>,
    /// Open what lies encrypted in the store.
    pub keys: KeyRing,
    /// How many endpoints have metrics of their own: those that are worst off.
    pub worst_endpoints: usize,
    /// Endpoints that always have.
    pub pinned_endpoints: Vec<Destination>,
    /// Records what it does.
    pub tracer: Tracer,
    /// What is logged of attempts.
    pub log: LogSettings,
}

/// What is logged of attempts.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogSettings {
    /// Of how many that succeeded one is logged; 0: none.
    pub successes: u32,
    /// How many bytes of payload and response stand in a line; 0: nothing of either.
    pub payload_bytes: usize,
}
