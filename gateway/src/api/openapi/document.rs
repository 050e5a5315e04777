//! The document while it is put together.

use std::collections::BTreeMap;

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::operation::{Failure, Operation};
use crate::error::{Detailed, Plain, Problem};

const DESCRIPTION: &str = "A webhook gateway. Requests carry `Authorization: Bearer <token>`. Every answer is JSON; errors are \
     `{code, detail, requestId}`, where `code` is for programs and `detail` for people, or a list of what is wrong \
     with the fields (422); who accepts `application/problem+json` gets them in the form of RFC 9457. What cannot be read as HTTP is answered 400 without a body.";

/// Operations by path and method, and the schemas that they need.
pub(super) struct Document {
    inputs: SchemaGenerator,
    outputs: SchemaGenerator,
    /// Schemas of changes, in which nothing is required.
    changes: Map<String, Value>,
    paths: BTreeMap<String, BTreeMap<&'static str, Value>>,
    tags: Vec<Value>,
}

impl Document {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|it| {
                it.definitions_path = "/components/schemas".into();
                it.meta_schema = None;
            })
        };
        Self {
            inputs: settings().for_deserialize().into_generator(),
            outputs: settings().for_serialize().into_generator(),
            changes: Map::new(),
            paths: BTreeMap::new(),
            tags: Vec::new(),
        }
    }

    /// What follows belongs together.
    pub(super) fn tag(&mut self, name: &str, description: &str) {
        self.tags.push(json!({ "name": name, "description": description }));
    }

    pub(super) fn get(&mut self, id: &str, path: &str, summary: &str) -> Operation<'_> {
        self.operation("get", id, path, summary)
    }

    pub(super) fn head(&mut self, id: &str, path: &str, summary: &str) -> Operation<'_> {
        self.operation("head", id, path, summary)
    }

    pub(super) fn post(&mut self, id: &str, path: &str, summary: &str) -> Operation<'_> {
        self.operation("post", id, path, summary).writes()
    }

    pub(super) fn put(&mut self, id: &str, path: &str, summary: &str) -> Operation<'_> {
        self.operation("put", id, path, summary).writes()
    }

    pub(super) fn patch(&mut self, id: &str, path: &str, summary: &str) -> Operation<'_> {
        self.operation("patch", id, path, summary).writes()
    }

    pub(super) fn delete(&mut self, id: &str, path: &str, summary: &str) -> Operation<'_> {
        self.operation("delete", id, path, summary).writes()
    }

    fn operation(
        &mut self,
        method: &'static str,
        id: &str,
        path: &str,
        summary: &str,
    ) -> Operation<'_> {
        let tag = self.tags.last().map_or(Value::Null, |tag| tag["name"].clone());
        let path = format!("/api/v1{path}");
        let value = json!({
            "operationId": format!("v1.{id}"),
            "summary": summary,
            "tags": [tag],
            "parameters": path_parameters(&path),
            "responses": {},
        });
        let methods = self.paths.entry(path).or_default();
        let value = methods.entry(method).insert_entry(value).into_mut();
        Operation::new(value, &mut self.inputs, &mut self.outputs, &mut self.changes)
    }

    /// Names of types that are sent and shown, and look different: there must be none.
    #[cfg(test)]
    pub(super) fn ambiguous(&self) -> Vec<String> {
        let shown = self.outputs.definitions();
        let differs =
            |(name, sent): &(&String, &Value)| shown.get(*name).is_some_and(|shown| shown != *sent);
        self.inputs.definitions().iter().filter(differs).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn finish(mut self) -> Value {
        self.outputs.subschema_for::<Plain<'_>>();
        self.outputs.subschema_for::<Detailed<'_>>();
        self.outputs.subschema_for::<Problem<'_>>();
        let mut schemas = self.changes;
        schemas.append(&mut self.inputs.take_definitions(true));
        schemas.append(&mut self.outputs.take_definitions(true));
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Sluicegate",
                "version": env!("CARGO_PKG_VERSION"),
                "description": DESCRIPTION,
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "servers": [{ "url": "/" }],
            "security": [{ "token": [] }],
            "tags": self.tags,
            "paths": self.paths,
            "components": {
                "schemas": schemas,
                "responses": Failure::components(),
                "headers": {
                    "RequestId": {
                        "description": "The `x-request-id` or `svix-req-id` of the request, or one \
                            that was made for it. Logs and errors name it.",
                        "required": true,
                        "schema": { "type": "string", "minLength": 1, "maxLength": 64 },
                    },
                },
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "The token of the settings, or an API key.",
                    },
                },
            },
        })
    }
}

/// The parameters that a path names.
fn path_parameters(path: &str) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| {
            let description = match name {
                "app" => "Id or uid of the application.",
                "endpoint" => "Id or uid of the endpoint.",
                "message" => "Id or event id of the message.",
                "name" => "Its name.",
                _ => "Its id.",
            };
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "description": description,
                "schema": { "type": "string" },
            })
        })
        .collect()
}
