//! What a caller may do. Pure: rights, method and path decide, so that one table of tests covers it.

use std::sync::Arc;

use actix_web::http::Method;
use shared::{
    domain::{Capability, Scope},
    id::AppId,
};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// What logs call it: the id of a key, `root` for the token of the settings, issuer and subject of
    /// a JWT.
    pub(crate) name: Arc<str>,
    rights: Arc<[Right]>,
    /// The only application that it may see.
    pub(crate) app: Option<AppId>,
}

/// What somebody is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    /// Of a key or a JWT.
    Scope(Scope),
    /// Of a token of the portal.
    Portal(Capability),
}

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict<'a> {
    Allowed,
    /// Allowed if this is the name of the caller's application.
    AllowedIn(&'a str),
    /// The caller may see it, but not do this.
    Forbidden,
    /// There is no such thing, as far as the caller is concerned.
    Hidden,
}

impl Caller {
    pub(super) fn new(name: &str, rights: &[Scope], app: Option<AppId>) -> Self {
        Self { name: name.into(), rights: rights.iter().copied().map(Right::Scope).collect(), app }
    }

    pub(super) fn of_portal(name: &str, capabilities: &[Capability], app: AppId) -> Self {
        let rights = capabilities.iter().copied().map(Right::Portal).collect();
        Self { name: name.into(), rights, app: Some(app) }
    }

    fn is_of_portal(&self) -> bool {
        self.rights.iter().any(|right| matches!(right, Right::Portal(_)))
    }

    /// What it is good for, for people.
    pub(super) fn rights(&self) -> String {
        let names = self.rights.iter().map(|right| match right {
            Right::Scope(scope) => scope.name(),
            Right::Portal(capability) => capability.name(),
        });
        names.collect::<Vec<_>>().join(", ")
    }

    /// Judges a request. `path` is what follows `/api/v1`.
    pub(super) fn judge<'a>(&self, method: &Method, path: &'a str) -> Verdict<'a> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let reads = reads(method);
        let in_scope = self.rights.iter().any(|right| right.covers(method, &parts));
        let refused = if self.app.is_some() { Verdict::Hidden } else { Verdict::Forbidden };
        match (self.app, &parts[..]) {
            (None, _) if in_scope => Verdict::Allowed,
            (None, _) => refused,
            // Its own application: it may read it, but not change what others agreed on for it.
            (Some(_), ["app", app]) if in_scope && reads => Verdict::AllowedIn(app),
            (Some(_), ["app", app, _, ..]) if in_scope => Verdict::AllowedIn(app),
            (Some(_), ["auth", "logout"]) if self.is_of_portal() => Verdict::Allowed,
            (Some(_), ["event-type"] | ["event-type", _]) if in_scope && reads => Verdict::Allowed,
            (Some(_), _) => refused,
        }
    }
}

impl Right {
    /// Whether this is enough, in an application that the caller may see.
    fn covers(self, method: &Method, parts: &[&str]) -> bool {
        match self {
            Self::Scope(Scope::Admin) => true,
            Self::Scope(Scope::Publish) => {
                *method == Method::POST
                    && matches!(parts, ["app", _, "msg"] | ["app", _, "msg", "batch"])
            }
            Self::Scope(Scope::Read) | Self::Portal(Capability::ViewBase) => {
                reads(method) && parts.last() != Some(&"secret") && !manages_access(parts)
            }
            Self::Portal(Capability::ViewEndpointSecret) => reads(method) && is_secret(parts),
            Self::Portal(Capability::ManageEndpointSecret) => {
                (reads(method) && is_secret(parts)) || rotates(parts)
            }
            Self::Portal(Capability::ManageTransformations) => false,
            Self::Portal(Capability::CreateAttempts) => sends_again(method, parts),
            Self::Portal(Capability::ManageEndpoint) => {
                rotates(parts)
                    || matches!(
                        parts,
                        ["app", _, "endpoint"]
                            | ["app", _, "endpoint", _]
                            | ["app", _, "endpoint", _, "headers" | "secret" | "pause" | "resume"]
                    )
            }
        }
    }
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn is_secret(parts: &[&str]) -> bool {
    matches!(parts, ["app", _, "endpoint", _, "secret"])
}

fn rotates(parts: &[&str]) -> bool {
    matches!(parts, ["app", _, "endpoint", _, "secret", "rotate"])
}

fn sends_again(method: &Method, parts: &[&str]) -> bool {
    *method == Method::POST
        && matches!(
            parts,
            [
                "app",
                _,
                "endpoint",
                _,
                "recover" | "replay-missing" | "bulk-replay" | "send-example"
            ] | ["app", _, "endpoint", _, "dead-letter", "replay"]
                | ["app", _, "endpoint", _, "dead-letter", _, "replay"]
                | ["app", _, "msg", _, "endpoint", _, "resend"]
        )
}

fn manages_access(parts: &[&str]) -> bool {
    matches!(parts, ["sluicegate", "api-key", ..] | ["auth", ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(scope: Scope, bound: bool, request: &'static str) -> Verdict<'static> {
        let app = bound.then(|| AppId::from_bits(1));
        let (method, path) = request.split_once(' ').unwrap();
        Caller::new("test", &[scope], app).judge(&method.parse().unwrap(), path)
    }

    #[test]
    fn admins_may_everything() {
        for request in ["DELETE /app/a", "GET /app/a/endpoint/e/secret", "POST /sluicegate/api-key"]
        {
            assert_eq!(judge(Scope::Admin, false, request), Verdict::Allowed, "{request}");
        }
    }

    #[test]
    fn publishers_publish() {
        for request in ["POST /app/a/msg", "POST /app/a/msg/", "POST /app/a/msg/batch"] {
            assert_eq!(judge(Scope::Publish, false, request), Verdict::Allowed, "{request}");
            assert_eq!(judge(Scope::Publish, true, request), Verdict::AllowedIn("a"), "{request}");
        }
        for request in [
            "GET /app/a/msg",
            "GET /app/a",
            "POST /app",
            "POST /app/a/endpoint",
            "POST /app/a/msg/m/endpoint/e/resend",
            "DELETE /app/a/msg/m/content",
            "GET /event-type",
        ] {
            assert_eq!(judge(Scope::Publish, false, request), Verdict::Forbidden, "{request}");
            assert_eq!(judge(Scope::Publish, true, request), Verdict::Hidden, "{request}");
        }
    }

    #[test]
    fn readers_read_but_no_secrets() {
        for request in ["GET /app", "HEAD /app/a", "GET /app/a/attempt/msg/m", "GET /event-type/t"]
        {
            assert_eq!(judge(Scope::Read, false, request), Verdict::Allowed, "{request}");
        }
        for request in [
            "GET /app/a/endpoint/e/secret",
            "GET /app/a/endpoint/e/secret/",
            "GET /sluicegate/api-key",
            "GET /sluicegate/api-key/k",
            "POST /app/a/msg",
            "PATCH /app/a",
            "POST /auth/app-portal-access/a",
        ] {
            assert_eq!(judge(Scope::Read, false, request), Verdict::Forbidden, "{request}");
        }
    }

    #[test]
    fn who_is_bound_sees_one_application_only() {
        for request in [
            "GET /app/a",
            "GET /app/a/endpoint",
            "POST /app/a/endpoint",
            "DELETE /app/a/endpoint/e",
            "POST /app/a/msg",
        ] {
            assert_eq!(judge(Scope::Admin, true, request), Verdict::AllowedIn("a"), "{request}");
        }
        for request in ["GET /event-type", "GET /event-type/t"] {
            assert_eq!(judge(Scope::Admin, true, request), Verdict::Allowed, "{request}");
        }
        for request in [
            "GET /app",
            "POST /app",
            "PUT /app/a",
            "PATCH /app/a",
            "DELETE /app/a",
            "POST /event-type",
            "DELETE /event-type/t",
            "GET /sluicegate/api-key",
            "POST /sluicegate/api-key",
            "GET /sluicegate/limit/l",
            "PUT /sluicegate/limit/l",
            "GET /background-task",
            "GET /operational-webhook/endpoint",
            "GET /",
            "GET /something/new",
        ] {
            assert_eq!(judge(Scope::Admin, true, request), Verdict::Hidden, "{request}");
        }
    }

    #[test]
    fn the_portal_may_what_it_was_given_in_its_application() {
        use Capability::*;
        let app = AppId::from_bits(1);
        let judge = |capability, request: &'static str| {
            let (method, path) = request.split_once(' ').unwrap();
            let caller = Caller::of_portal("p", &[capability], app);
            caller.judge(&method.parse().unwrap(), path) != Verdict::Hidden
        };
        for (request, allowed) in [
            ("GET /app/a", vec![ViewBase]),
            ("GET /app/a/endpoint/e/attempt", vec![ViewBase]),
            ("GET /event-type", vec![ViewBase]),
            ("GET /app/a/endpoint", vec![ViewBase, ManageEndpoint]),
            ("GET /app/a/endpoint/e/headers", vec![ViewBase, ManageEndpoint]),
            (
                "GET /app/a/endpoint/e/secret",
                vec![ViewEndpointSecret, ManageEndpointSecret, ManageEndpoint],
            ),
            ("POST /app/a/endpoint/e/secret/rotate", vec![ManageEndpointSecret, ManageEndpoint]),
            ("POST /app/a/endpoint", vec![ManageEndpoint]),
            ("PATCH /app/a/endpoint/e", vec![ManageEndpoint]),
            ("DELETE /app/a/endpoint/e", vec![ManageEndpoint]),
            ("POST /app/a/endpoint/e/recover", vec![CreateAttempts]),
            ("POST /app/a/msg/m/endpoint/e/resend", vec![CreateAttempts]),
            ("POST /app/a/endpoint/e/dead-letter/d/replay", vec![CreateAttempts]),
            ("POST /auth/logout", Capability::ALL.to_vec()),
            ("POST /app/a/msg", vec![]),
            ("DELETE /app/a/msg/m/content", vec![]),
            ("DELETE /app/a/endpoint/e/dead-letter", vec![]),
            ("PATCH /app/a", vec![]),
            ("GET /app", vec![]),
            ("GET /sluicegate/api-key", vec![]),
            ("POST /auth/app-portal-access/a", vec![]),
            ("POST /auth/app/a/expire-all", vec![]),
        ] {
            let found: Vec<_> =
                Capability::ALL.into_iter().filter(|it| judge(*it, request)).collect();
            assert_eq!(found, allowed, "{request}");
        }
    }
}
