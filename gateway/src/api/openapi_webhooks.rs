//! The webhooks that an OpenAPI document describes: what an import makes event types of.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::ingest::is_name;

/// How many webhooks one document may have.
const MAX_WEBHOOKS: usize = 1000;
/// How many references may lead to one another.
const MAX_HOPS: usize = 16;
/// Most bytes of the schemas of all webhooks, each with what it refers to.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A webhook.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Webhook {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) deprecated: bool,
    /// The JSON Schema of its body, with all that it refers to.
    pub(super) schema: Option<Value>,
    pub(super) group_name: Option<String>,
}

/// A document that cannot be imported: the place and what is wrong.
pub(super) type Fault = (Vec<String>, String);

/// Reads `webhooks`, or `x-webhooks` of documents before 3.1.
pub(super) fn webhooks(spec: &Value) -> Result<Vec<Webhook>, Fault> {
    let (section, found) = ["webhooks", "x-webhooks"]
        .into_iter()
        .find_map(|section| spec.get(section).map(|found| (section, found)))
        .ok_or_else(|| (vec![], "has neither webhooks nor x-webhooks".to_owned()))?;
    let at = |rest: &[&str]| -> Vec<String> {
        [section].iter().chain(rest).map(|part| (*part).to_owned()).collect()
    };
    let Some(found) = found.as_object() else {
        return Err((at(&[]), "expected an object: a path item for each webhook".to_owned()));
    };
    if found.len() > MAX_WEBHOOKS {
        return Err((at(&[]), format!("more than {MAX_WEBHOOKS}")));
    }
    let mut room = MAX_BYTES;
    let mut webhooks = Vec::with_capacity(found.len());
    for (name, item) in found {
        if !is_name(name) {
            return Err((
                at(&[name]),
                "its name must have 1 to 256 of: a-z A-Z 0-9 - _ .".to_owned(),
            ));
        }
        let webhook = webhook(spec, name, item).map_err(|msg| (at(&[name]), msg))?;
        let size = webhook.schema.as_ref().map_or(0, |schema| schema.to_string().len());
        room = room.checked_sub(size).ok_or_else(|| (at(&[]), "too large".to_owned()))?;
        webhooks.push(webhook);
    }
    Ok(webhooks)
}

fn webhook(spec: &Value, name: &str, item: &Value) -> Result<Webhook, String> {
    let item = followed(spec, item)?;
    let operation =
        ["post", "put", "patch", "get", "delete"].iter().find_map(|method| item.get(method));
    let operation = operation.ok_or("has no operation: describe it under post")?;
    let text = |field: &str| {
        let found = [operation, item].into_iter().find_map(|place| place.get(field)?.as_str());
        found.map(str::to_owned)
    };
    let schema = match operation.get("requestBody") {
        None => None,
        Some(body) => {
            let content = followed(spec, body)?.get("content").and_then(Value::as_object);
            let json = content.and_then(|content| {
                let named = content.iter().find(|(media, _)| is_json(media));
                named.map(|(_, media)| media)
            });
            json.and_then(|media| media.get("schema"))
                .map(|schema| bundled(spec, schema))
                .transpose()?
        }
    };
    Ok(Webhook {
        name: name.to_owned(),
        description: text("description").or_else(|| text("summary")).unwrap_or_default(),
        deprecated: operation.get("deprecated").and_then(Value::as_bool).unwrap_or(false),
        schema,
        group_name: text("x-svix-group-name"),
    })
}

fn is_json(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim();
    media == "application/json" || media.ends_with("+json")
}

/// What stands here, or where a reference leads.
fn followed<'s>(spec: &'s Value, mut value: &'s Value) -> Result<&'s Value, String> {
    for _ in 0..MAX_HOPS {
        let Some(target) = value.get("$ref").and_then(Value::as_str) else { return Ok(value) };
        value = at(spec, target)?;
    }
    Err("its references go round".to_owned())
}

fn at<'s>(spec: &'s Value, target: &str) -> Result<&'s Value, String> {
    let pointer = target.strip_prefix('#').ok_or_else(|| {
        format!("$ref {target:?} leads to another document: bundle the specification first")
    })?;
    spec.pointer(pointer).ok_or_else(|| format!("$ref {target:?} leads to nothing"))
}

/// A schema that stands alone: what it refers to stands in its own `$defs`.
fn bundled(spec: &Value, schema: &Value) -> Result<Value, String> {
    let (mut wanted, mut done) = (Vec::new(), BTreeSet::new());
    let mut root = moved(schema, &mut wanted);
    let mut defs = Map::new();
    while let Some(target) = wanted.pop() {
        if !done.insert(target.clone()) {
            continue;
        }
        defs.insert(name_of(&target), moved(at(spec, &target)?, &mut wanted));
    }
    if defs.is_empty() {
        return Ok(root);
    }
    let own = root.as_object_mut().ok_or("a schema must be an object")?;
    let own = own.entry("$defs").or_insert_with(|| json!({}));
    own.as_object_mut().ok_or("$defs must be an object")?.extend(defs);
    Ok(root)
}

/// The same with references into `$defs`; adds where they led.
fn moved(value: &Value, wanted: &mut Vec<String>) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| match value {
                Value::String(target) if name == "$ref" => {
                    wanted.push(target.clone());
                    (name.clone(), Value::String(format!("#/$defs/{}", name_of(target))))
                }
                value => (name.clone(), moved(value, wanted)),
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => items.iter().map(|item| moved(item, wanted)).collect(),
        other => other.clone(),
    }
}

/// The name in `$defs` of what a reference leads to.
fn name_of(target: &str) -> String {
    let target = target.trim_start_matches("#/");
    let name = target.strip_prefix("components/schemas/").unwrap_or(target);
    name.replace(['/', '~'], ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Value {
        json!({
            "openapi": "3.1.0",
            "webhooks": {
                "pet.new": {"post": {
                    "summary": "A pet", "deprecated": true, "x-svix-group-name": "pets",
                    "requestBody": {"$ref": "#/components/requestBodies/Pet"},
                }},
                "plain": {"description": "Nothing in it", "post": {}},
            },
            "components": {
                "requestBodies": {"Pet": {"content": {
                    "text/plain": {},
                    "application/json": {"schema": {"$ref": "#/components/schemas/Pet"}},
                }}},
                "schemas": {
                    "Pet": {"properties": {"name": {"type": "string"},
                            "friends": {"items": {"$ref": "#/components/schemas/Pet"}},
                            "kind": {"$ref": "#/components/schemas/Kind"}}},
                    "Kind": {"enum": ["cat", "dog"]},
                },
            },
        })
    }

    #[test]
    fn webhooks_come_with_what_their_schemas_refer_to() {
        let found = webhooks(&spec()).unwrap();
        let pet = &found[0];
        assert_eq!((pet.name.as_str(), pet.description.as_str()), ("pet.new", "A pet"));
        assert_eq!((pet.deprecated, pet.group_name.as_deref()), (true, Some("pets")));
        let schema = pet.schema.as_ref().unwrap();
        assert_eq!(schema["$ref"], "#/$defs/Pet");
        assert_eq!(schema["$defs"]["Kind"], json!({"enum": ["cat", "dog"]}));
        assert_eq!(schema["$defs"]["Pet"]["properties"]["friends"]["items"]["$ref"], "#/$defs/Pet");
        assert_eq!((found[1].description.as_str(), &found[1].schema), ("Nothing in it", &None));
    }

    #[test]
    fn faults_name_the_webhook() {
        let with = |webhook: Value| json!({"x-webhooks": {"a.b": webhook}});
        let schema = |target: &str| {
            with(json!({"post": {"requestBody": {"content": {"application/json": {
                "schema": {"$ref": target}}}}}}))
        };
        for (spec, place, part) in [
            (json!({}), "", "neither"),
            (json!({"webhooks": []}), "webhooks", "object"),
            (json!({"webhooks": {"a b": {}}}), "webhooks/a b", "name"),
            (with(json!({})), "x-webhooks/a.b", "no operation"),
            (schema("#/components/none"), "x-webhooks/a.b", "leads to nothing"),
            (schema("http://example.com/a.json"), "x-webhooks/a.b", "another document"),
            (with(json!({"$ref": "#/x-webhooks/a.b"})), "x-webhooks/a.b", "go round"),
        ] {
            let (path, msg) = webhooks(&spec).unwrap_err();
            assert_eq!(path.join("/"), place, "{spec}");
            assert!(msg.contains(part), "{spec}: {msg}");
        }
    }
}
