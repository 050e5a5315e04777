//! Access: who is calling, and whether that caller may do this.
//!
//! | file | what it decides |
//! |---|---|
//! | [`key`] | what a key looks like |
//! | [`keys`] | whose key it is, from the store, remembered for a moment |
//! | [`issuer`] | whose JWTs are accepted, and what their claims mean |
//! | [`jwks`] | the keys of an issuer, read in the background |
//! | [`jwt`] | whether a JWT holds, and who shows it |
//! | [`portal`] | tokens of the portal, and which application they are good for |
//! | [`authorize`] | what a caller may do, from scope, method and path alone |
//! | [`rates`] | how many requests a caller may make |
//! | [`rejection`] | why a token is refused, for metrics |
//! | [`mod@cors`] | whose pages may call from browsers |
//! | [`failures`] | how many wrong keys one address may try |
//! | [`mod@authenticate`] | the layer that puts these together in front of every route |
//!
//! What is not allowed is refused here, before any handler runs: a route that nobody thought of is
//! closed to all but an unbound key of scope `admin`.

mod authenticate;
mod authorize;
mod cors;
mod failures;
mod issuer;
mod jwks;
mod jwt;
mod key;
mod keys;
mod portal;
mod rates;
mod rejection;

pub(crate) use authenticate::{Access, authenticate, bearer_of};
pub(crate) use authorize::Caller;
pub(crate) use cors::cors;
pub use issuer::{Issuer, SignatureAlgorithm};
pub(crate) use key::Key;
pub(crate) use portal::{PortalSecret, Use};
pub(crate) use rates::publishes;
pub(crate) use rejection::{Credential, Rejection};
