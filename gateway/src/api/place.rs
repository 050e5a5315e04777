//! Places: which application and endpoint a path names. The same handlers serve the endpoints of
//! applications and those of the operator, whose paths name no application.

use std::{future::Future, pin::Pin};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use serde::Deserialize;

/// Whose endpoints.
#[derive(Debug, Clone)]
pub(super) enum Owner {
    /// The application with this id or uid.
    Named(String),
    /// The operator: [`shared::operational::APPLICATION`], which no name leads to.
    Operator,
}

/// The endpoints of an owner.
#[derive(Debug)]
pub(super) struct Endpoints(pub(super) Owner);

/// One endpoint of an owner, by id or uid.
#[derive(Debug)]
pub(super) struct OneEndpoint {
    pub(super) owner: Owner,
    pub(super) name: String,
}

#[derive(Deserialize)]
struct Parameters {
    app: Option<String>,
    endpoint: Option<String>,
}

type Extracted<T> = Pin<Box<dyn Future<Output = actix_web::Result<T>>>>;

async fn parameters(request: HttpRequest) -> actix_web::Result<(Owner, String)> {
    let path = web::Path::<Parameters>::extract(&request).await?;
    let Parameters { app, endpoint } = path.into_inner();
    Ok((app.map_or(Owner::Operator, Owner::Named), endpoint.unwrap_or_default()))
}

impl FromRequest for Endpoints {
    type Error = actix_web::Error;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parameters = parameters(request.clone());
        Box::pin(async { Ok(Self(parameters.await?.0)) })
    }
}

impl FromRequest for OneEndpoint {
    type Error = actix_web::Error;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parameters = parameters(request.clone());
        Box::pin(async {
            let (owner, name) = parameters.await?;
            Ok(Self { owner, name })
        })
    }
}
