//! How a failure is told.
//!
//! All bodies are `{"code","detail"}`, with the request's id once it is known; where the fault lies in
//! the request's fields (422), `detail` is a list that names them. Who asks for
//! `application/problem+json` gets that (RFC 9457).

use actix_web::ResponseError;
use schemars::JsonSchema;
use serde::Serialize;

use super::{ApiError, Fault};

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As Svix writes it.
    Plain,
    /// RFC 9457.
    Problem,
}

impl Form {
    /// Its media type.
    pub(crate) const fn media(self) -> &'static str {
        match self {
            Self::Plain => "application/json",
            Self::Problem => "application/problem+json",
        }
    }
}

/// Why a request failed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "HttpErrorOut")]
pub(crate) struct Plain<'a> {
    /// For programs.
    code: &'static str,
    /// For people.
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// What is wrong with the fields of a request.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "HTTPValidationError")]
pub(crate) struct Detailed<'a> {
    /// For programs.
    code: &'static str,
    detail: &'a [Fault],
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// Why a request failed, as RFC 9457 says it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    /// For people.
    detail: String,
    /// For programs.
    code: &'static str,
    /// What is wrong with the fields, of a request that is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [Fault]>,
    #[serde(rename = "requestId", skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl ApiError {
    /// The body of the response.
    pub(crate) fn body(&self, form: Form, request_id: Option<&str>) -> String {
        let (code, status) = (self.code(), self.status_code());
        let faults = match self {
            Self::Invalid(faults) => Some(faults.as_slice()),
            _ => None,
        };
        let written = match form {
            Form::Plain => match faults {
                Some(detail) => serde_json::to_string(&Detailed { code, detail, request_id }),
                None => {
                    let detail = &self.detail();
                    serde_json::to_string(&Plain { code, detail, request_id })
                }
            },
            Form::Problem => serde_json::to_string(&Problem {
                kind: format!("urn:sluicegate:error:{code}"),
                title: status.canonical_reason().unwrap_or(code),
                status: status.as_u16(),
                detail: self.detail(),
                code,
                errors: faults,
                request_id,
            }),
        };
        // Texts and numbers can always be written.
        written.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_all_that_the_plain_form_says() {
        let error = ApiError::field("name", "too long");
        let read = |form, id| -> serde_json::Value {
            serde_json::from_str(&error.body(form, id)).unwrap()
        };
        let (plain, problem) = (read(Form::Plain, Some("r1")), read(Form::Problem, Some("r1")));
        assert_eq!(problem["type"], "urn:sluicegate:error:validation_failed");
        assert_eq!(
            (&problem["status"], &problem["title"]),
            (&422.into(), &"Unprocessable Entity".into())
        );
        assert_eq!((&problem["code"], &problem["errors"]), (&plain["code"], &plain["detail"]));
        assert_eq!((&problem["requestId"], &plain["requestId"]), (&"r1".into(), &"r1".into()));
        assert!(read(Form::Plain, None).get("requestId").is_none());
    }
}
