//! A delivery: one message on its way to one endpoint.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    id::{AppId, EndpointId, MessageId},
    placement::Lane,
    time::Millis,
};

/// Which sending of a message to an endpoint this is: 0 for the first, the time of the request in
/// milliseconds for a resend. Each generation counts its own attempts.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

/// Message × endpoint × generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Delivery {
    /// The tenant.
    pub app: AppId,
    /// Where it goes.
    pub endpoint: EndpointId,
    /// What is sent.
    pub message: MessageId,
    /// Which sending of it.
    pub generation: Generation,
}

impl Delivery {
    /// The queue it waits in.
    pub fn queue(&self) -> Queue {
        Queue { app: self.app, endpoint: self.endpoint }
    }

    /// The lane that carries it.
    pub fn lane(&self) -> Lane {
        self.queue().lane()
    }

    /// When this sending of a message began that was accepted at `accepted_at`: then, or when the
    /// resend was asked for.
    pub fn began(&self, accepted_at: Millis) -> Millis {
        match self.generation {
            Generation(0) => accepted_at,
            Generation(asked_at) => Millis(asked_at),
        }
    }

    /// How members of the endpoint's sets and hashes name it: the message's 22 characters, for a
    /// resend followed by `.` and the generation in hexadecimal. At most 39 bytes.
    pub fn member(&self) -> String {
        match self.generation {
            Generation(0) => self.message.bare().to_string(),
            Generation(n) => format!("{}.{n:x}", self.message.bare()),
        }
    }

    /// Reads [`Delivery::member`] back.
    pub fn from_member(queue: Queue, member: &str) -> Option<Self> {
        let (message, generation) = match member.split_once('.') {
            None => (member, 0),
            Some((message, generation)) => (message, u64::from_str_radix(generation, 16).ok()?),
        };
        Some(Self {
            app: queue.app,
            endpoint: queue.endpoint,
            message: MessageId::from_bare(message).ok()?,
            generation: Generation(generation),
        })
    }
}

/// The deliveries of one endpoint that wait together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue {
    /// The tenant.
    pub app: AppId,
    /// The destination.
    pub endpoint: EndpointId,
}

impl Queue {
    /// The lane that serves it.
    pub fn lane(&self) -> Lane {
        Lane::of(self.app, self.endpoint)
    }

    /// How the agenda names it: endpoint and application, 22 characters each.
    pub fn member(&self) -> String {
        format!("{}{}", self.endpoint.bare(), self.app.bare())
    }

    /// Reads [`Queue::member`] back.
    pub fn from_member(member: &str) -> Option<Self> {
        let (endpoint, app) = member.split_at_checked(22)?;
        Some(Self {
            app: AppId::from_bare(app).ok()?,
            endpoint: EndpointId::from_bare(endpoint).ok()?,
        })
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_round_trip_and_stay_small() {
        for generation in [0, 1, 1_763_889_489_123, u64::MAX] {
            let delivery = Delivery {
                app: AppId::new(),
                endpoint: EndpointId::new(),
                message: MessageId::new(),
                generation: Generation(generation),
            };
            assert!(delivery.member().len() <= 48);
            assert_eq!(Delivery::from_member(delivery.queue(), &delivery.member()), Some(delivery));
            assert!(delivery.queue().member().len() <= 48);
            assert_eq!(Queue::from_member(&delivery.queue().member()), Some(delivery.queue()));
        }
    }
}
