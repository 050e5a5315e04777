//! How many requests a caller may make: publishing and everything else by themselves, each gateway for
//! itself, in memory. What is left is told in headers (the IETF's draft of RateLimit fields).

use std::{num::NonZeroU32, sync::Arc};

use actix_web::{
    dev::ServiceRequest,
    http::{
        Method,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
};
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};

use super::authorize::Caller;
use crate::error::{ApiError, Result};

const LEFT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Above so many callers those that have been quiet are forgotten.
const MANY: usize = 10_000;

type Limiter =
    RateLimiter<Arc<str>, DashMapStateStore<Arc<str>>, DefaultClock, StateInformationMiddleware>;

/// The limits of the API itself.
pub(crate) struct Rates {
    publish: Option<Rate>,
    management: Option<Rate>,
}

struct Rate {
    name: &'static str,
    per_second: NonZeroU32,
    limiter: Limiter,
}

/// What a caller has left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Left {
    policy: String,
    left: String,
}

impl Rates {
    /// Requests per second of each caller; 0: any number.
    pub(super) fn new(publish: u32, management: u32) -> Self {
        let rate = |name, per_second| Some(Rate::new(name, NonZeroU32::new(per_second)?));
        Self { publish: rate("publish", publish), management: rate("management", management) }
    }

    /// Takes one, if that is allowed, and says what is left; `None` where there is no limit.
    pub(super) fn take(
        &self,
        caller: &Caller,
        request: &ServiceRequest,
    ) -> (Result<()>, Option<Left>) {
        if self.publish.is_none() && self.management.is_none() {
            return (Ok(()), None);
        }
        let rate = match publishes(request.method(), request.path()) {
            true => &self.publish,
            false => &self.management,
        };
        let Some(rate) = rate else { return (Ok(()), None) };
        let (allowed, left) = rate.take(&caller.name);
        (allowed, Some(left))
    }
}

fn publishes(method: &Method, path: &str) -> bool {
    let mut parts = path.trim_matches('/').rsplit('/');
    let last = parts.next();
    let last = if last == Some("batch") { parts.next() } else { last };
    *method == Method::POST && last == Some("msg")
}

impl Rate {
    fn new(name: &'static str, per_second: NonZeroU32) -> Self {
        let limiter = RateLimiter::dashmap(Quota::per_second(per_second));
        Self { name, per_second, limiter: limiter.with_middleware() }
    }

    fn take(&self, caller: &Arc<str>) -> (Result<()>, Left) {
        if self.limiter.len() > MANY {
            self.limiter.retain_recent();
        }
        let (allowed, left) = match self.limiter.check_key(caller) {
            Ok(state) => (Ok(()), format!("r={}", state.remaining_burst_capacity())),
            Err(early) => {
                let wait = early.wait_time_from(DefaultClock::default().now());
                (Err(ApiError::RateLimited { wait }), format!("r=0;t={}", wait.as_secs() + 1))
            }
        };
        let policy = format!("\"{}\";q={};w=1", self.name, self.per_second);
        (allowed, Left { policy, left: format!("\"{}\";{left}", self.name) })
    }
}

impl Left {
    pub(super) fn show(self, headers: &mut HeaderMap) {
        for (name, value) in [(POLICY, self.policy), (LEFT, self.left)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_publishes_is_told_from_the_rest() {
        for (request, expected) in [
            ("POST /api/v1/app/a/msg", true),
            ("POST /api/v1/app/a/msg/", true),
            ("POST /api/v1/app/a/msg/batch", true),
            ("GET /api/v1/app/a/msg", false),
            ("POST /api/v1/app/a/endpoint", false),
            ("DELETE /api/v1/app/a/msg/m/content", false),
        ] {
            let (method, path) = request.split_once(' ').unwrap();
            assert_eq!(publishes(&method.parse().unwrap(), path), expected, "{request}");
        }
    }
}
