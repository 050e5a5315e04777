//! Compression of large answers. Small ones, and the answers to what is published, go as they are: they
//! would cost more than they save.

use actix_http::encoding::Encoder;
use actix_web::{
    Error, HttpMessage,
    body::{BodySize, EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{AcceptEncoding, ContentEncoding, Encoding},
    },
    middleware::Next,
};

/// From how many bytes on.
const WORTH: u64 = 1024;
/// Which of them is taken, the caller's preferences say.
const KNOWN: [ContentEncoding; 2] = [ContentEncoding::Zstd, ContentEncoding::Gzip];

pub(crate) async fn compress<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, Encoder<B>>>, Error> {
    let response = next.call(request).await?;
    let large = matches!(response.response().body().size(), BodySize::Sized(size) if size >= WORTH);
    if !large || response.status() == StatusCode::ACCEPTED {
        return Ok(response.map_into_left_body());
    }
    let accepted = response.request().get_header::<AcceptEncoding>();
    let Some(encoding) = accepted.and_then(|accepted| chosen(&accepted)) else {
        return Ok(response.map_into_left_body());
    };
    Ok(response.map_body(|head, body| EitherBody::right(Encoder::response(encoding, head, body))))
}

fn chosen(accepted: &AcceptEncoding) -> Option<ContentEncoding> {
    let known = KNOWN.map(Encoding::Known);
    let identity = Encoding::identity();
    match accepted.negotiate(known.iter().chain([&identity]))? {
        Encoding::Known(ContentEncoding::Identity) | Encoding::Unknown(_) => None,
        Encoding::Known(encoding) => Some(encoding),
    }
}
