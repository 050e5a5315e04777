//! What both halves of Sluicegate speak: ids, placement, domain types, signatures, and the store.
//!
//! The gateway and the dispatcher never import each other. They meet only in the [`store`], through
//! the types of this crate.

pub mod audit;
#[cfg(feature = "benchmarks")]
#[doc(hidden)]
pub mod benchmarks;
pub mod domain;
pub mod guard;
pub mod health;
pub mod id;
pub mod operational;
pub mod placement;
pub mod quota;
pub mod sealing;
pub mod selection;
pub mod signature;
pub mod store;
pub mod time;
pub mod trace;
