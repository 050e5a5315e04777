//! A delivery: one message on its way to one endpoint.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Strand;
use crate::{
    id::{AppId, EndpointId, MessageId, TEXT_LEN},
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
    /// With what it waits.
    pub strand: Strand,
    /// What is sent.
    pub message: MessageId,
    /// Which sending of it.
    pub generation: Generation,
}

impl Delivery {
    /// The queue it waits in.
    pub fn queue(&self) -> Queue {
        Queue { app: self.app, endpoint: self.endpoint, strand: self.strand }
    }

    /// Where it goes.
    pub fn destination(&self) -> Destination {
        self.queue().destination()
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

    /// How members of its queue's sets and hashes name it: the message's 22 characters, for a
    /// resend followed by `.` and the generation in hexadecimal. At most 39 bytes.
    pub fn member(&self) -> String {
        match self.generation {
            Generation(0) => self.message.bare().as_str().to_owned(),
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
            strand: queue.strand,
            message: MessageId::from_bare(message).ok()?,
            generation: Generation(generation),
        })
    }
}

/// An endpoint of an application: where deliveries go.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Destination {
    /// The tenant.
    pub app: AppId,
    /// Its endpoint.
    pub endpoint: EndpointId,
}

/// The deliveries of one endpoint that wait together. Where it stands for the endpoint as a whole, its
/// strand does not matter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue {
    /// The tenant.
    pub app: AppId,
    /// The destination.
    pub endpoint: EndpointId,
    /// Which part of its work.
    pub strand: Strand,
}

impl Destination {
    /// One of its queues.
    pub fn queue(self, strand: Strand) -> Queue {
        Queue { app: self.app, endpoint: self.endpoint, strand }
    }
}

impl Queue {
    /// The queue of what is published without order.
    pub fn live(app: AppId, endpoint: EndpointId) -> Self {
        Self { app, endpoint, strand: Strand::Live }
    }

    /// Where its deliveries go.
    pub fn destination(&self) -> Destination {
        Destination { app: self.app, endpoint: self.endpoint }
    }

    /// The lane that serves it: all queues of an endpoint are in the same one.
    pub fn lane(&self) -> Lane {
        Lane::of(self.app, self.endpoint)
    }

    /// How agenda and streams name it: endpoint and application, 22 characters each, and
    /// [`Strand::suffix`].
    pub fn member(&self) -> String {
        let suffix = self.strand.suffix();
        [self.endpoint.bare().as_str(), self.app.bare().as_str(), &suffix].concat()
    }

    /// Reads [`Queue::member`] back.
    pub fn from_member(member: &str) -> Option<Self> {
        Self::split(member).filter(|(_, rest)| rest.is_empty()).map(|(queue, _)| queue)
    }

    /// Reads [`Queue::member`] from the front of a text; answers what follows it, too.
    pub fn split(text: &str) -> Option<(Self, &str)> {
        let (endpoint, rest) = text.split_at_checked(TEXT_LEN)?;
        let (app, rest) = rest.split_at_checked(TEXT_LEN)?;
        let (strand, rest) = Strand::split(rest)?;
        let (app, endpoint) = (AppId::from_bare(app).ok()?, EndpointId::from_bare(endpoint).ok()?);
        Some((Self { app, endpoint, strand }, rest))
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.app, self.endpoint, self.strand.suffix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_round_trip_and_stay_small() {
        let strands = [Strand::Live, Strand::Replay, Strand::Ordered(0), Strand::Ordered(63)];
        for (generation, strand) in [0, 1, 1_763_889_489_123, u64::MAX].into_iter().zip(strands) {
            let delivery = Delivery {
                app: AppId::new(),
                endpoint: EndpointId::new(),
                strand,
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
