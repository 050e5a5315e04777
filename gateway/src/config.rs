//! What can be set of the gateway.

use std::{net::SocketAddr, time::Duration};

use secrecy::SecretString;
use shared::{sealing::KeyRing, trace::Tracer};

/// Settings of a gateway. Where they come from is the command's business.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// The bearer token of the API.
    pub api_token: SecretString,
    /// HTTP worker threads.
    pub workers: usize,
    /// Greatest size of a request's body, in bytes.
    pub body_limit: usize,
    /// How long a request's body may take to arrive.
    pub body_deadline: Duration,
    /// How long a rotated secret still signs beside the new one.
    pub secret_overlap: Duration,
    /// Delays between attempts where nobody sets others; policies are measured by it.
    pub retry_schedule: Vec<Duration>,
    /// Deadline of one attempt.
    pub request_timeout: Duration,
    /// How long a message with open deliveries lives: longer than all its retries take.
    pub message_lifetime: Duration,
    /// Most bytes of messages with open deliveries of an application that sets no quota of its own;
    /// 0: as many as there is room for.
    pub quota_bytes: u64,
    /// How long a message may ask for its payload to be kept once it is settled.
    pub longest_retention: Duration,
    /// Networks in which endpoints may have http URLs and any port.
    pub allow_cidr: Vec<ipnet::IpNet>,
    /// Encrypt what is secret of endpoints, and open it.
    pub keys: KeyRing,
    /// Where browsers reach the API; empty: by http at the host that a request names.
    pub public_url: String,
    /// How many messages a caller may send in a second, at this gateway; 0: any number.
    pub publish_limit: u32,
    /// The same of all other requests.
    pub management_limit: u32,
    /// Whose pages may call the API from browsers; `*`: everybody's.
    pub cors_origins: Vec<String>,
    /// Whose JWTs are accepted beside API keys.
    pub issuers: Vec<crate::Issuer>,
    /// Headers of requests that may be logged.
    pub logged_headers: Vec<String>,
    /// Records what it does.
    pub tracer: Tracer,
}
