//! Access: who is calling, and whether that caller may do this.
//!
//! | file | what it decides |
//! |---|---|
//! | [`key`] | what a key looks like |
//! | [`keys`] | whose key it is, from the store, remembered for a moment |
//! | [`authorize`] | what a caller may do, from scope, method and path alone |
//! | [`failures`] | how many wrong keys one address may try |
//! | [`mod@authenticate`] | the layer that puts these together in front of every route |
//!
//! What is not allowed is refused here, before any handler runs: a route that nobody thought of is
//! closed to all but an unbound key of scope `admin`.

mod authenticate;
mod authorize;
mod failures;
mod key;
mod keys;

pub(crate) use authenticate::{Access, authenticate};
pub(crate) use authorize::Caller;
pub(crate) use key::Key;
