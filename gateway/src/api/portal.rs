//! Access to the portal: tokens for an application's own people, made, exchanged, and ended.
//!
//! A link carries a code that is good once, in its fragment, which browsers send to nobody; the page
//! exchanges it for a token.

use std::{cell::Cell, time::Duration};

use actix_web::{HttpRequest, HttpResponse, http::header::HOST, web};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shared::{
    domain::{Capability, PortalAccess, PortalToken},
    id::AppId,
    store::Kind,
    time::Millis,
};

use super::{Api, application::ApplicationIn, openapi::Time, record::Record};
use crate::{
    access::{Access, PortalSecret, Use, bearer_of},
    config::Config,
    error::{ApiError, Result},
    ingest::Body,
};

const HOUR_S: u64 = 3600;
/// How long a token may be good.
const EXPIRY_S: std::ops::RangeInclusive<u64> = HOUR_S..=7 * 24 * HOUR_S;
/// How long a link is good.
const CODE: Duration = Duration::from_secs(HOUR_S);
/// How long at most a token is good that a page has exchanged.
const PAGE: Duration = Duration::from_secs(24 * HOUR_S);
const MAX_SESSION_ID: usize = 256;

/// A wish for access. `featureFlags` are taken and mean nothing here.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "AppPortalAccessIn")]
pub(super) struct PortalAccessIn {
    /// Created first, if there is no application of this name.
    application: Option<ApplicationIn>,
    /// Only what `ViewBase` allows.
    read_only: Option<bool>,
    /// What the token is good for; everything, where it is not given.
    capabilities: Option<Vec<Capability>>,
    /// How long it is good, in seconds; a week, where it is not given.
    #[schemars(range(min = HOUR_S, max = 7 * 24 * HOUR_S))]
    expiry: Option<u64>,
    #[schemars(length(max = MAX_SESSION_ID))]
    session_id: Option<String>,
}

impl PortalAccessIn {
    fn capabilities(&self) -> Vec<Capability> {
        if self.read_only == Some(true) {
            return vec![Capability::ViewBase];
        }
        let mut found = self.capabilities.clone().unwrap_or_else(|| Capability::ALL.into());
        if !found.contains(&Capability::ViewBase) {
            found.push(Capability::ViewBase);
        }
        found
    }

    fn check(&self) -> Result<()> {
        if self.expiry.is_some_and(|expiry| !EXPIRY_S.contains(&expiry)) {
            let (least, most) = (EXPIRY_S.start(), EXPIRY_S.end());
            return Err(ApiError::field("expiry", format!("expected {least} to {most} seconds")));
        }
        if self.session_id.as_ref().is_some_and(|id| id.len() > MAX_SESSION_ID) {
            let what = format!("longer than {MAX_SESSION_ID} bytes");
            return Err(ApiError::field("sessionId", what));
        }
        Ok(())
    }
}

/// A link to the portal, and a token.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppPortalAccessOut")]
pub(super) struct PortalAccessOut<'a> {
    /// Its fragment is a code that is good once.
    url: String,
    token: &'a str,
}

/// The code of a link.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OneTimeTokenIn")]
pub(super) struct ExchangeIn {
    one_time_token: String,
}

/// What a code was exchanged for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "OneTimeTokenOut")]
pub(super) struct ExchangeOut<'a> {
    token: &'a str,
    app_id: AppId,
    #[schemars(with = "Time")]
    expires_at: String,
}

/// Which tokens end, and when.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ApplicationTokenExpireIn")]
pub(super) struct ExpireIn {
    /// In so many seconds.
    expiry: u64,
    /// Those of these sessions; all, where none is named.
    session_ids: Vec<String>,
}

impl Record for PortalAccess {
    const KIND: Kind = Kind::Portal;
    const WHAT: &'static str = "access to the portal";

    fn document_name(&self) -> &str {
        &self.app
    }
}

impl Api {
    /// Changes the tokens of an application's portal; `change` may be asked more than once.
    async fn change_portal(
        &self,
        app: AppId,
        change: impl Fn(&mut PortalAccess) -> Result<()>,
    ) -> Result<()> {
        let name = app.to_string();
        self.write_record(&name, async |found: Option<PortalAccess>| {
            let mut access = found.unwrap_or_else(|| PortalAccess::new(name.clone()));
            change(&mut access)?;
            Ok(access)
        })
        .await?;
        Ok(())
    }
}

/// Makes a token, and a link to the page.
pub(super) async fn grant(
    api: web::Data<Api>,
    config: web::Data<Config>,
    request: HttpRequest,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse> {
    let input: PortalAccessIn = body.json_or_default()?;
    input.check()?;
    let found = match (api.configuration(&path).await, &input.application) {
        (Err(ApiError::NotFound(_)), Some(application)) => {
            let application = application.clone().whole();
            application.check(&api.retry_bounds)?;
            // Whoever created it meanwhile was as good.
            api.create_application(&application).await?;
            api.configuration(&path).await?
        }
        (found, _) => found?,
    };
    let (app, now) = (found.application.id, Millis::now());
    let (token, code) =
        (PortalSecret::generate(app, Use::Calls), PortalSecret::generate(app, Use::Exchange));
    let end = now.after(Duration::from_secs(input.expiry.unwrap_or(*EXPIRY_S.end())));
    let stored = PortalToken {
        hash: token.hash(),
        capabilities: input.capabilities(),
        session_id: input.session_id.clone(),
        expires_at: end,
        becomes_until: None,
    };
    let stored_code = PortalToken {
        hash: code.hash(),
        expires_at: now.after(CODE),
        becomes_until: Some(end),
        ..stored.clone()
    };
    api.change_portal(app, |access| {
        access.add(stored.clone(), now);
        access.add(stored_code.clone(), now);
        Ok(())
    })
    .await?;
    tracing::info!(%app, "portal.access_granted");
    let url = format!("{}/portal#{}", address(&config, &request), code.reveal());
    Ok(HttpResponse::Ok().json(PortalAccessOut { url, token: token.reveal() }))
}

/// Where browsers reach the API.
fn address(config: &Config, request: &HttpRequest) -> String {
    if !config.public_url.is_empty() {
        return config.public_url.trim_end_matches('/').to_owned();
    }
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| request.uri().authority().map(|it| it.as_str()));
    format!("http://{}", host.map_or_else(|| config.listen.to_string(), str::to_owned))
}

/// Exchanges a code for a token. Answered to everybody: the code is what is shown.
pub(super) async fn exchange(
    api: web::Data<Api>,
    access: web::Data<Access>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse> {
    let input: ExchangeIn = body.json()?;
    let refused = || access.refuse(request.peer_addr());
    let code = PortalSecret::parse(input.one_time_token.as_bytes(), Use::Exchange);
    let code = code.ok_or_else(refused)?;
    // What nobody was given is not worth a write.
    if api.record::<PortalAccess>(&code.app.to_string()).await?.is_none() {
        return Err(refused());
    }
    let (now, token) = (Millis::now(), PortalSecret::generate(code.app, Use::Calls));
    let end = Cell::new(now);
    api.change_portal(code.app, |access| {
        let place = access.tokens.iter().position(|it| code.has_hash(&it.hash));
        let old = place.map(|place| access.tokens.remove(place)).ok_or_else(refused)?;
        let until = old.becomes_until.filter(|_| old.expires_at > now).ok_or_else(refused)?;
        end.set(until.min(now.after(PAGE)));
        let hash = token.hash();
        let new = PortalToken { hash, expires_at: end.get(), becomes_until: None, ..old };
        access.add(new, now);
        Ok(())
    })
    .await?;
    Ok(HttpResponse::Ok().json(ExchangeOut {
        token: token.reveal(),
        app_id: code.app,
        expires_at: end.get().rfc3339(),
    }))
}

/// Ends the token that is shown.
pub(super) async fn logout(
    api: web::Data<Api>,
    access: web::Data<Access>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let shown = bearer_of(request.headers()).and_then(|it| PortalSecret::parse(it, Use::Calls));
    let token = shown.ok_or(ApiError::NotOfPortal)?;
    api.change_portal(token.app, |access| {
        access.tokens.retain(|it| !token.has_hash(&it.hash));
        Ok(())
    })
    .await?;
    access.forget(&token).await;
    Ok(HttpResponse::NoContent().finish())
}

/// Ends all tokens and codes of an application, or those of some sessions.
pub(super) async fn expire_all(
    api: web::Data<Api>,
    path: web::Path<String>,
    body: Body,
) -> Result<HttpResponse> {
    let input: ExpireIn = body.json_or_default()?;
    let app = api.configuration(&path).await?.application.id;
    let end = Millis::now().after(Duration::from_secs(input.expiry));
    api.change_portal(app, |access| {
        for token in &mut access.tokens {
            let named = token.session_id.as_ref().is_some_and(|id| input.session_ids.contains(id));
            if named || input.session_ids.is_empty() {
                token.expires_at = token.expires_at.min(end);
                token.becomes_until = token.becomes_until.map(|until| until.min(end));
            }
        }
        access.tokens.retain(|token| token.expires_at > Millis::now());
        Ok(())
    })
    .await?;
    tracing::info!(%app, "portal.access_ended");
    Ok(HttpResponse::NoContent().finish())
}
