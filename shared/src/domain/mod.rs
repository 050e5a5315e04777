//! What the gateway's users speak of: applications, endpoints, event types, messages, attempts.
//!
//! Each of these is also a record in the store, written as JSON. A record keeps the fields that this
//! version does not know (`extra`), so that nodes of two versions can work side by side.

mod api_key;
mod application;
mod attempt;
mod confidential;
mod delivery;
mod endpoint;
mod event_type;
mod filter;
mod message;
mod message_options;
mod named_limit;
mod ordering;
mod outcomes;
mod packing;
mod payload;
mod portal;
mod retry;
mod secret;
mod serving;
mod settings;
mod strand;
mod tally;
mod task;

pub use api_key::{ApiKey, Scope};
pub use application::Application;
pub use attempt::{Attempt, AttemptStatus, DeadLetter, DeadReason, Trigger};
pub use confidential::{Confidential, Headers};
pub use delivery::{Delivery, Destination, Generation, Queue};
pub use endpoint::{DisabledReason, Endpoint, SigningSecret, Switched};
pub use event_type::{EventType, EventTypeSettings};
pub use filter::{Filter, FilterFault};
pub use message::{Message, MessageHeader, RecordError};
pub use message_options::MessageOptions;
pub use named_limit::NamedLimit;
pub use ordering::{OrderBy, Ordering, Poison};
pub use outcomes::{NoStatuses, OutcomeRule, Statuses, Then};
pub use payload::Payload;
pub use portal::{Capability, PortalAccess, PortalToken};
pub use retry::{Delay, JITTER, RetryPolicy, longest_course};
pub use secret::{InvalidSecret, Secret};
pub use serving::{LimitState, OpenBreaker, ServingState};
pub use settings::{ApplicationSettings, EndpointSettings, Limit};
pub use strand::{ORDERED_STRANDS, Strand};
pub use tally::{HOUR_MS, Tally};
pub use task::{Progress, Selection, Task, TaskKind, TaskStatus, TrackedTask};

/// Fields of a record that this version does not know, kept as they came.
pub type Extra = serde_json::Map<String, serde_json::Value>;
