//! How much a schema can cost, told from its text.
//!
//! References let a short schema apply its parts exponentially often. So they are followed here, each
//! use counted anew, and a schema that refers to itself is refused: how often that is applied would
//! be for the payload to say.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Most bytes of one schema.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// How deeply a schema may be nested.
const MAX_DEPTH: usize = 64;
/// Most parts of a schema that validates, with each reference counted as what it leads to.
const MAX_PARTS: u64 = 20_000;
/// As how many parts a pattern counts: each byte of a text may take as many steps as it has states.
const PATTERN: u64 = 256;
/// How many references may lead to one another.
const MAX_HOPS: usize = 64;
/// What leads to other schemas in ways that cannot be told from the text.
const DYNAMIC: [&str; 2] = ["$dynamicRef", "$recursiveRef"];

/// The draft in which that keyword was `id`.
const DRAFT_4: &str = "http://json-schema.org/draft-04/schema";

/// Refuses references to elsewhere, and what is nested too deeply.
pub(super) fn check_references(schema: &Value, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH}"));
    }
    let inner: Vec<&Value> = match schema {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref")
                && !target.starts_with('#')
            {
                return Err(format!(
                    "$ref {target:?}: references lead within the schema only, such as #/$defs/name"
                ));
            }
            fields.values().collect()
        }
        Value::Array(items) => items.iter().collect(),
        _ => return Ok(()),
    };
    inner.into_iter().try_for_each(|value| check_references(value, depth + 1))
}

/// How many parts are applied at most, to one place of a payload and those within it.
pub(super) fn parts(schema: &Value) -> Result<u64, String> {
    let draft = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let id = if draft.trim_end_matches('#') == DRAFT_4 { "id" } else { "$id" };
    let mut counting =
        Counting { root: schema, id, counted: HashMap::new(), under_way: Vec::new() };
    counting.parts(schema)
}

struct Counting<'s> {
    root: &'s Value,
    /// What the draft calls the keyword that gives a schema a name of its own.
    id: &'static str,
    counted: HashMap<&'s str, u64>,
    under_way: Vec<&'s str>,
}

impl<'s> Counting<'s> {
    fn parts(&mut self, value: &'s Value) -> Result<u64, String> {
        let mut parts = 1;
        match value {
            Value::Object(fields) => {
                parts += self.target(fields)?;
                for (name, value) in fields {
                    parts += match (name.as_str(), value) {
                        ("pattern", Value::String(_)) => PATTERN,
                        ("patternProperties", Value::Object(patterns)) => {
                            PATTERN * patterns.len() as u64
                        }
                        _ => 0,
                    };
                    // Definitions, too, for the same word may be the name of a property.
                    parts += self.parts(value)?;
                }
            }
            Value::Array(items) => {
                for item in items {
                    parts += self.parts(item)?;
                }
            }
            _ => {}
        }
        if parts > MAX_PARTS {
            return Err(format!(
                "has more than {MAX_PARTS} parts, with each reference counted as what it leads to"
            ));
        }
        Ok(parts)
    }

    /// The parts of what a reference leads to.
    fn target(&mut self, fields: &'s Map<String, Value>) -> Result<u64, String> {
        // References within it would lead from there, and not from the root.
        let is_root = self.root.as_object().is_some_and(|root| std::ptr::eq(root, fields));
        if !is_root && fields.get(self.id).is_some_and(Value::is_string) {
            return Err(format!(
                "only the whole schema may have an {} where payloads are validated",
                self.id
            ));
        }
        if let Some(name) = DYNAMIC.iter().find(|name| fields.contains_key(**name)) {
            return Err(format!("{name} is not supported where payloads are validated"));
        }
        let Some(Value::String(target)) = fields.get("$ref") else { return Ok(0) };
        if let Some(parts) = self.counted.get(target.as_str()) {
            return Ok(*parts);
        }
        if self.under_way.len() == MAX_HOPS {
            return Err(format!("more than {MAX_HOPS} references lead to one another"));
        }
        if self.under_way.contains(&target.as_str()) {
            return Err(format!(
                "$ref {target:?} leads to itself, which is not supported where payloads are validated"
            ));
        }
        let pointer = target.strip_prefix('#').unwrap_or(target).replace("%25", "%");
        let found = self.root.pointer(&pointer);
        let found = found.ok_or_else(|| format!("$ref {target:?} leads to nothing"))?;
        self.under_way.push(target);
        let parts = self.parts(found)?;
        self.under_way.pop();
        self.counted.insert(target, parts);
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_that_multiply_or_go_round_are_refused() {
        let mut defs = Map::new();
        for level in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            defs.insert(format!("d{level}"), json!({"allOf": [next, next]}));
        }
        defs.insert("d40".into(), json!({"type": "string"}));
        let bomb = json!({"$ref": "#/$defs/d0", "$defs": defs});
        assert!(parts(&bomb).unwrap_err().contains("more than 20000 parts"));
        for (schema, part) in [
            (json!({"properties": {"next": {"$ref": "#"}}}), "leads to itself"),
            (json!({"$ref": "#/$defs/none"}), "leads to nothing"),
            (json!({"$dynamicRef": "#a"}), "not supported"),
            (json!({"properties": {"a": {"$id": "b", "$ref": "#/c", "c": {}}}, "c": {}}), "an $id"),
            (json!({"properties": {"a": {"id": "b"}}, "$schema": DRAFT_4}), "an id"),
        ] {
            assert!(parts(&schema).unwrap_err().contains(part), "{schema}");
        }
        let named = json!({
            "properties": {"definitions": bomb["$defs"]["d0"]}, "$defs": bomb["$defs"],
        });
        assert!(parts(&named).is_err(), "a property may be called definitions");
        let mut chain = Map::new();
        for level in 0..6_000 {
            let next = format!("#/$defs/d{}", level + 1);
            chain.insert(format!("d{level}"), json!({"$ref": next}));
        }
        let chain = json!({"$ref": "#/$defs/d0", "$defs": chain});
        assert!(parts(&chain).unwrap_err().contains("more than 64 references"));
        let plain =
            json!({"properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}});
        assert!(parts(&plain).unwrap() < 10);
    }

    #[test]
    fn references_to_elsewhere_are_refused() {
        for target in ["http://example.com/s.json", "file:///etc/passwd", "other.json#/a", "urn:x"]
        {
            let schema = json!({"properties": {"a": {"items": [{"$ref": target}]}}});
            assert!(check_references(&schema, 1).unwrap_err().contains("$ref"), "{target}");
        }
        let named = json!({"properties": {"$ref": {"type": "string"}}});
        assert_eq!(check_references(&named, 1), Ok(()), "a property may have this name");
        let deep = (0..70).fold(json!({}), |inner, _| json!({"not": inner}));
        assert!(check_references(&deep, 1).unwrap_err().contains("deeper"));
    }
}
