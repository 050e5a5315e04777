//! Issuers: whose JWTs are accepted, and what their claims mean.

use std::{collections::BTreeMap, time::Duration};

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};
use shared::domain::Scope;
use url::Url;

/// An issuer of JWTs, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// Exactly what stands in `iss`.
    pub issuer: String,
    /// Where its keys are; empty: where its OpenID discovery document says.
    #[serde(default)]
    pub jwks_url: String,
    /// One of these must stand in `aud`.
    pub audiences: Vec<String>,
    /// How its tokens may be signed.
    #[serde(default = "usual_algorithms")]
    pub algorithms: Vec<SignatureAlgorithm>,
    /// The claim that says what a token is good for: a text of words, or a list.
    #[serde(default = "usual_scope_claim")]
    pub scope_claim: String,
    /// What the words of that claim stand for.
    #[serde(default = "usual_scopes")]
    pub scopes: BTreeMap<String, Scope>,
    /// The claim with the id or uid of the only application that a token is good for; `*` in it stands
    /// for all. Empty: every token is good for all applications.
    #[serde(default)]
    pub application_claim: String,
    /// How far its clock and ours may be apart.
    #[serde(default = "usual_leeway", with = "humantime_serde")]
    pub leeway: Duration,
    /// How often its keys are read again.
    #[serde(default = "usual_refresh", with = "humantime_serde")]
    pub refresh: Duration,
    /// How often at most they are read because a token names a key that is not known.
    #[serde(default = "usual_refresh_at_most", with = "humantime_serde")]
    pub refresh_at_most: Duration,
    /// How long keys are good that cannot be read again.
    #[serde(default = "usual_stale_for", with = "humantime_serde")]
    pub stale_for: Duration,
}

/// A signature that proves who signed, which one by a shared secret does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the names are those of RFC 7518 and RFC 8037")]
pub enum SignatureAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl SignatureAlgorithm {
    pub(super) const fn of_header(self) -> Algorithm {
        match self {
            Self::RS256 => Algorithm::RS256,
            Self::RS384 => Algorithm::RS384,
            Self::RS512 => Algorithm::RS512,
            Self::PS256 => Algorithm::PS256,
            Self::PS384 => Algorithm::PS384,
            Self::PS512 => Algorithm::PS512,
            Self::ES256 => Algorithm::ES256,
            Self::ES384 => Algorithm::ES384,
            Self::EdDSA => Algorithm::EdDSA,
        }
    }
}

fn usual_algorithms() -> Vec<SignatureAlgorithm> {
    vec![SignatureAlgorithm::RS256]
}

fn usual_scope_claim() -> String {
    "scope".to_owned()
}

fn usual_scopes() -> BTreeMap<String, Scope> {
    let scopes = [Scope::Admin, Scope::Publish, Scope::Read];
    scopes.map(|scope| (format!("sluicegate:{}", scope.name()), scope)).into()
}

const fn usual_leeway() -> Duration {
    Duration::from_secs(30)
}

const fn usual_refresh() -> Duration {
    Duration::from_secs(300)
}

const fn usual_refresh_at_most() -> Duration {
    Duration::from_secs(10)
}

const fn usual_stale_for() -> Duration {
    Duration::from_secs(86_400)
}

const MAX_LEEWAY: Duration = Duration::from_secs(600);

impl Issuer {
    /// What is wrong with it, and what to do.
    pub fn check(&self) -> Result<(), String> {
        let fault = |what: &str| Err(format!("gateway.issuers `{}`: {what}", self.issuer));
        if self.issuer.is_empty() {
            return fault("`issuer` is empty: write what stands in `iss`");
        }
        let source = if self.jwks_url.is_empty() { &self.issuer } else { &self.jwks_url };
        match Url::parse(source) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => return fault("`jwks_url` (or, where there is none, `issuer`) must be a URL"),
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return fault("`audiences` is empty: tokens for others would be accepted");
        }
        if self.algorithms.is_empty() {
            return fault("`algorithms` is empty: no token could be accepted");
        }
        if self.scope_claim.is_empty() || self.scopes.is_empty() {
            return fault("`scope_claim` and `scopes` must say what tokens are good for");
        }
        if self.leeway > MAX_LEEWAY {
            return fault("`leeway` must be at most 10 minutes");
        }
        if self.refresh_at_most.is_zero()
            || self.refresh < self.refresh_at_most
            || self.stale_for < self.refresh
        {
            return fault("expected 0 < refresh_at_most <= refresh <= stale_for");
        }
        Ok(())
    }

    /// What a token with these claims is good for.
    pub(super) fn scopes_of(&self, claims: &Map<String, Value>) -> Vec<Scope> {
        let words: Vec<&str> = match claim(claims, &self.scope_claim) {
            Some(Value::String(text)) => text.split_ascii_whitespace().collect(),
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => vec![],
        };
        words.into_iter().filter_map(|word| self.scopes.get(word).copied()).collect()
    }

    /// Which applications it is good for.
    pub(super) fn applications_of<'a>(&self, claims: &'a Map<String, Value>) -> Applications<'a> {
        if self.application_claim.is_empty() {
            return Applications::All;
        }
        match claim(claims, &self.application_claim).and_then(Value::as_str) {
            None => Applications::None,
            Some("*") => Applications::All,
            Some(name) => Applications::One(name),
        }
    }
}

/// What a token says about applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applications<'a> {
    All,
    /// The one with this id or uid.
    One(&'a str),
    None,
}

/// A claim by its name, or by a JSON pointer.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(pointer) = name.strip_prefix('/') else { return claims.get(name) };
    let (first, rest) = match pointer.split_once('/') {
        Some((first, rest)) => (first, format!("/{rest}")),
        None => (pointer, String::new()),
    };
    claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(&rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn issuer(more: &str) -> Issuer {
        let text = r#"{"issuer": "https://i", "audiences": ["a"]"#;
        serde_json::from_str(&format!("{text}{more}}}")).unwrap()
    }

    fn claims(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn claims_mean_what_the_issuer_says() {
        let usual = issuer("");
        for (scope, found) in [
            (json!("sluicegate:read other sluicegate:publish"), vec![Scope::Read, Scope::Publish]),
            (json!(["sluicegate:admin"]), vec![Scope::Admin]),
            (json!("admin"), vec![]),
            (json!({"sluicegate:admin": true}), vec![]),
        ] {
            assert_eq!(usual.scopes_of(&claims(json!({"scope": scope}))), found, "{scope}");
        }
        let roles = issuer(r#", "scope_claim": "/st-role/v", "scopes": {"boss": "admin"}"#);
        let some = claims(json!({"st-role": {"v": ["boss"], "t": 1}}));
        assert_eq!(roles.scopes_of(&some), [Scope::Admin]);
        assert_eq!(roles.scopes_of(&claims(json!({"v": ["boss"]}))), []);

        let bound = issuer(r#", "application_claim": "tenant""#);
        for (found, means) in [
            (json!({"tenant": "acme"}), Applications::One("acme")),
            (json!({"tenant": "*"}), Applications::All),
            (json!({"tenant": null}), Applications::None),
            (json!({}), Applications::None),
        ] {
            assert_eq!(bound.applications_of(&claims(found.clone())), means, "{found}");
        }
        assert_eq!(usual.applications_of(&claims(json!({}))), Applications::All);
    }

    #[test]
    fn what_cannot_work_or_is_not_safe_is_refused() {
        assert_eq!(issuer("").check(), Ok(()));
        for (more, named) in [
            (r#", "jwks_url": "file:///keys""#, "jwks_url"),
            (r#", "algorithms": []"#, "algorithms"),
            (r#", "scopes": {}"#, "scopes"),
            (r#", "leeway": "1h""#, "leeway"),
            (r#", "refresh": "1s""#, "refresh"),
            (r#", "stale_for": "1m""#, "stale_for"),
        ] {
            let found = issuer(more).check().unwrap_err();
            assert!(found.contains(named), "{more}: {found}");
        }
        let nobody = Issuer { audiences: vec![], ..issuer("") };
        assert!(nobody.check().unwrap_err().contains("audiences"));
        for text in ["HS256", "none", "rs256"] {
            let text =
                format!(r#"{{"issuer": "i", "audiences": ["a"], "algorithms": ["{text}"]}}"#);
            assert!(serde_json::from_str::<Issuer>(&text).is_err(), "{text}");
        }
    }
}
