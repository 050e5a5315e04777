//! From an event type's schemas to what judges payloads.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use shared::domain::EventType;

use super::bounds;
use crate::{
    error::{ApiError, Fault, Result},
    ingest::Faults,
};

/// How many versions of its schema an event type may have.
const MAX_VERSIONS: usize = 64;
/// Most bytes of a compiled pattern.
const MAX_PATTERN: usize = 128 * 1024;
/// How many faults of a payload are told.
const MAX_FAULTS: usize = 10;
/// Parts of the schema times bytes of the payload, up to which a worker validates by itself.
const SHORT: u64 = 1 << 21;
/// The same, up to which a payload is validated at all.
const LONGEST: u64 = 1 << 30;

/// A schema that judges payloads.
pub(crate) struct Schema {
    validator: Validator,
    parts: u64,
}

/// Checks the schemas of an event type: each must be a JSON Schema of its own, and the latest one fit to
/// validate, if it is to.
pub(crate) fn check(event_type: &EventType) -> Result<()> {
    let mut faults = Faults::default();
    match &event_type.schemas {
        None if event_type.settings.validate => {
            faults.add("sluicegate", "validate needs schemas: give one as schemas.1");
        }
        None => {}
        Some(Value::Object(schemas)) => {
            if schemas.len() > MAX_VERSIONS {
                faults.add("schemas", format!("more than {MAX_VERSIONS} versions"));
            }
            for (version, schema) in schemas.iter().take(MAX_VERSIONS) {
                if let Err(msg) = check_schema(schema) {
                    faults.within("schemas", [version.clone()], msg);
                }
            }
        }
        Some(_) => faults.add("schemas", "expected an object: a JSON Schema for each version"),
    }
    faults.into_result()?;
    if event_type.settings.validate {
        let (version, schema) = latest(event_type)
            .ok_or_else(|| ApiError::field("sluicegate", "validate needs schemas.1"))?;
        if let Err(msg) = Schema::compile(schema) {
            let mut faults = Faults::default();
            faults.within("schemas", [version.to_owned()], msg);
            faults.into_result()?;
        }
    }
    Ok(())
}

fn check_schema(schema: &Value) -> std::result::Result<(), String> {
    if !(schema.is_object() || schema.is_boolean()) {
        return Err("expected a JSON Schema: an object".to_owned());
    }
    if schema.to_string().len() > bounds::MAX_BYTES {
        return Err(format!("larger than {} bytes", bounds::MAX_BYTES));
    }
    bounds::check_references(schema, 1)?;
    let meta = jsonschema::meta::options().validate(schema);
    meta.map_err(|error| {
        format!("no JSON Schema: at {:?}: {}", error.instance_path().as_str(), error.masked())
    })
}

/// The schema with the greatest number.
fn latest(event_type: &EventType) -> Option<(&str, &Value)> {
    let schemas = event_type.schemas.as_ref()?.as_object()?;
    let number = |version: &str| version.parse::<u64>().ok();
    let latest = schemas.iter().max_by_key(|(version, _)| number(version));
    latest.map(|(version, schema)| (version.as_str(), schema))
}

impl Schema {
    /// The schema that payloads of this type are validated by, if they are.
    pub(super) fn of(event_type: &EventType) -> Option<std::result::Result<Self, String>> {
        let validates = event_type.settings.validate;
        let (_, schema) = latest(event_type).filter(|_| validates)?;
        Some(Self::compile(schema))
    }

    fn compile(schema: &Value) -> std::result::Result<Self, String> {
        bounds::check_references(schema, 1)?;
        let parts = bounds::parts(schema)?;
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN);
        let options = jsonschema::options().offline().with_pattern_options(patterns);
        let validator = options.build(schema).map_err(|error| {
            format!("no JSON Schema: at {:?}: {}", error.instance_path().as_str(), error.masked())
        })?;
        Ok(Self { validator, parts })
    }

    /// Whether a worker has the time for a payload of this size.
    pub(super) fn is_short(&self, bytes: usize) -> bool {
        self.parts.saturating_mul(bytes as u64) <= SHORT
    }

    /// Judges a payload.
    pub(super) fn judge(&self, payload: &[u8]) -> Result<()> {
        if self.parts.saturating_mul(payload.len() as u64) > LONGEST {
            return Err(mismatch(vec![], "too large to be validated by the schema of its type"));
        }
        let Ok(payload) = serde_json::from_slice(payload) else {
            return Err(mismatch(vec![], "cannot be validated: a number is out of range"));
        };
        if self.validator.is_valid(&payload) {
            return Ok(());
        }
        let faults = self.validator.iter_errors(&payload).take(MAX_FAULTS);
        let faults = faults.map(|error| {
            let path = error.instance_path().as_str().split('/').skip(1).map(unescaped).collect();
            fault(path, &error.masked_with("the value").to_string())
        });
        Err(ApiError::Invalid(faults.collect()))
    }
}

fn mismatch(path: Vec<String>, msg: &str) -> ApiError {
    ApiError::Invalid(vec![fault(path, msg)])
}

/// A fault of the payload. What the payload says there is not repeated: it may be long, and a secret.
fn fault(path: Vec<String>, msg: &str) -> Fault {
    let loc = ["body".into(), "payload".into()].into_iter().chain(path.into_iter().map(Into::into));
    Fault { loc: loc.collect(), msg: msg.chars().take(512).collect(), kind: "json_schema" }
}

fn unescaped(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use serde_json::json;

    use super::*;

    #[test]
    fn patterns_are_linear() {
        let schema = json!({"properties": {"a": {"pattern": "^(a+)+$"}}});
        let schema = Schema::compile(&schema).unwrap();
        let hostile = json!({"a": format!("{}!", "a".repeat(50_000))}).to_string();
        assert!(schema.judge(hostile.as_bytes()).is_err());
        for pattern in ["(?=a)b", r"(a)\1", "(((a{1000}){1000}){1000})", "("] {
            let schema = json!({"properties": {"a": {"pattern": pattern}}});
            assert!(Schema::compile(&schema).is_err(), "{pattern}");
        }
    }

    #[test]
    fn what_would_take_long_is_not_validated() {
        let mut names = String::new();
        (0..2_000).for_each(|n| write!(names, "{n} ").unwrap());
        let names: Vec<_> = names.split_whitespace().collect();
        let schema = Schema::compile(&json!({"items": {"enum": names}})).unwrap();
        assert!(schema.is_short(1000) && !schema.is_short(100_000));
        let payload = format!("[{}1]", "1,".repeat(400_000));
        let ApiError::Invalid(faults) = schema.judge(payload.as_bytes()).unwrap_err() else {
            panic!("it was judged")
        };
        assert!(faults[0].msg.contains("too large"), "{faults:?}");
    }

    #[test]
    fn the_greatest_number_is_the_latest() {
        let mut event_type: EventType = serde_json::from_value(json!({
            "name": "a", "created_at": 0, "updated_at": 0, "settings": {"validate": true},
            "schemas": {"9": {"type": "string"}, "10": {"type": "object"}, "x": false},
        }))
        .unwrap();
        assert_eq!(latest(&event_type).unwrap().0, "10");
        assert!(Schema::of(&event_type).unwrap().is_ok());
        event_type.settings.validate = false;
        assert!(Schema::of(&event_type).is_none());
    }
}
