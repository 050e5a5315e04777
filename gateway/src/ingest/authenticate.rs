//! Who may call: whoever shows the bearer token.

use actix_web::{
    Error, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::AUTHORIZATION,
    middleware::Next,
    web,
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::ApiError;

/// The token that is asked for, as its hash: equal lengths compare in constant time.
pub(crate) struct Token([u8; 32]);

impl Token {
    pub(crate) fn new(token: &SecretString) -> Self {
        Self(Sha256::digest(token.expose_secret()).into())
    }

    /// Whether the header's value is `Bearer` and this token.
    fn accepts(&self, header: &[u8]) -> bool {
        let Some((scheme, token)) = header.split_at_checked(7) else { return false };
        let shown: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(shown.ct_eq(&self.0))
    }
}

/// Lets only requests with the token through.
pub(crate) async fn authenticate<B: MessageBody>(
    token: web::Data<Token>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let shown = request.headers().get(AUTHORIZATION);
    if shown.is_some_and(|value| token.accepts(value.as_bytes())) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let refusal = ApiError::Unauthenticated.error_response();
    Ok(request.into_response(refusal).map_into_right_body())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_accepted() {
        let token = Token::new(&"secret".into());
        assert!(token.accepts(b"Bearer secret"));
        assert!(token.accepts(b"bearer  secret "));
        for header in ["", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Basic secret"] {
            assert!(!token.accepts(header.as_bytes()), "{header}");
        }
    }
}
