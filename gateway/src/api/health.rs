//! Health: the process answers. Whether it is ready for work is asked elsewhere.

use actix_web::HttpResponse;

pub(super) async fn health() -> HttpResponse {
    HttpResponse::NoContent().finish()
}
