//! What a caller may do. Pure: scope, method and path decide, so that one table of tests covers it.

use actix_web::http::Method;
use shared::{domain::Scope, id::AppId};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// What logs call it: the id of a key, or `root` for the token of the settings.
    pub(crate) name: String,
    pub(crate) scope: Scope,
    /// The only application that it may see.
    pub(crate) app: Option<AppId>,
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
    /// Judges a request. `path` is what follows `/api/v1`.
    pub(super) fn judge<'a>(&self, method: &Method, path: &'a str) -> Verdict<'a> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let publishes = *method == Method::POST
            && matches!(
                parts[..],
                ["app", _, "msg"]
                    | ["app", _, "msg", "batch"]
                    | ["app", _, "msg", "precheck", "active"]
            );
        let in_scope = match self.scope {
            Scope::Admin => true,
            Scope::Publish => publishes,
            Scope::Read => reads && parts.last() != Some(&"secret") && !manages_access(&parts),
        };
        let refused = if self.app.is_some() { Verdict::Hidden } else { Verdict::Forbidden };
        match (self.app, &parts[..]) {
            (None, _) if in_scope => Verdict::Allowed,
            (None, _) => refused,
            // Its own application: it may read it, but not change what others agreed on for it.
            (Some(_), ["app", app]) if in_scope && reads => Verdict::AllowedIn(app),
            (Some(_), ["app", app, _, ..]) if in_scope => Verdict::AllowedIn(app),
            (Some(_), ["event-type"] | ["event-type", _]) if in_scope && reads => Verdict::Allowed,
            (Some(_), _) => refused,
        }
    }
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
        Caller { name: "test".into(), scope, app }.judge(&method.parse().unwrap(), path)
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
        for request in [
            "POST /app/a/msg",
            "POST /app/a/msg/",
            "POST /app/a/msg/batch",
            "POST /app/a/msg/precheck/active",
        ] {
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
}
