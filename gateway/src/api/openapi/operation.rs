//! One operation of the document: what it takes, and all that it can answer.

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::api::list::{ListQuery, Listed};

/// Ways in which a request can fail: status, name of the component, what it means.
pub(super) struct Failure(u16, &'static str, &'static str);

const FAILURES: [Failure; 14] = [
    Failure(400, "BadRequest", "The body is not JSON, or a header is wrong."),
    Failure(401, "Unauthorized", "The token is missing or wrong."),
    Failure(403, "Forbidden", "The key's scope does not allow this."),
    Failure(404, "NotFound", "There is no such thing, or none that this key may see."),
    Failure(408, "RequestTimeout", "The body did not arrive in time."),
    Failure(409, "Conflict", "It exists already, or somebody else changed it at the same time."),
    Failure(410, "Gone", "The body of the message is not kept any more."),
    Failure(413, "PayloadTooLarge", "The body is larger than `gateway.body_limit`."),
    Failure(415, "UnsupportedMediaType", "The body is encoded, or not `application/json`."),
    Failure(422, "ValidationError", "Fields of the body or the query are not valid."),
    Failure(
        429,
        "TooManyRequests",
        "Too many requests (`rate_limited`), wrong tokens, or messages.",
    ),
    Failure(500, "InternalError", "Something is wrong with what is stored."),
    Failure(503, "Unavailable", "Nothing was changed: the store is full or not available."),
    Failure(504, "OutcomeUnknown", "The store did not answer: it may have happened."),
];
const ALWAYS: [u16; 7] = [401, 403, 404, 429, 500, 503, 504];
const WITH_BODY: [u16; 5] = [400, 408, 413, 415, 422];

impl Failure {
    /// All of them, as components.
    pub(super) fn components() -> Map<String, Value> {
        let components = FAILURES.iter().map(|Failure(status, name, description)| {
            let schema = match status {
                422 => "HTTPValidationError",
                _ => "HttpErrorOut",
            };
            let mut response = json!({
                "description": description,
                "headers": headers(),
                "content": {
                    "application/json": { "schema": reference(schema) },
                    "application/problem+json": { "schema": reference("Problem") },
                },
            });
            if matches!(status, 429 | 503) {
                response["headers"]["retry-after"] = json!({
                    "description": "Seconds after which it may be tried again.",
                    "schema": { "type": "integer" },
                });
            }
            ((*name).to_owned(), response)
        });
        components.collect()
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// What every response has.
fn headers() -> Value {
    json!({ "x-request-id": { "$ref": "#/components/headers/RequestId" } })
}

fn content(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// An operation that is being described.
pub(super) struct Operation<'a> {
    value: &'a mut Value,
    inputs: &'a mut SchemaGenerator,
    outputs: &'a mut SchemaGenerator,
    changes: &'a mut Map<String, Value>,
}

impl<'a> Operation<'a> {
    pub(super) fn new(
        value: &'a mut Value,
        inputs: &'a mut SchemaGenerator,
        outputs: &'a mut SchemaGenerator,
        changes: &'a mut Map<String, Value>,
    ) -> Self {
        Self { value, inputs, outputs, changes }.fails(&ALWAYS)
    }

    pub(super) fn describe(self, text: &str) -> Self {
        self.value["description"] = text.into();
        self
    }

    /// Everybody may ask.
    pub(super) fn without_token(self) -> Self {
        self.value["security"] = json!([]);
        self
    }

    /// Everybody may ask, and nothing can go wrong.
    pub(super) fn open(self) -> Self {
        self.value["responses"] = json!({});
        self.without_token()
    }

    pub(super) fn writes(self) -> Self {
        self.fails(&[409])
    }

    /// Also ends with these statuses.
    pub(super) fn fails(self, statuses: &[u16]) -> Self {
        for Failure(status, name, _) in FAILURES.iter().filter(|one| statuses.contains(&one.0)) {
            let reference = format!("#/components/responses/{name}");
            self.value["responses"][status.to_string()] = json!({ "$ref": reference });
        }
        self
    }

    /// Takes a header that may be left out, of at most so many bytes.
    pub(super) fn header(self, name: &str, description: &str, most: usize) -> Self {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": most });
        self.parameter(json!({
            "name": name,
            "in": "header",
            "required": false,
            "description": description,
            "schema": schema,
        }))
    }

    fn parameter(self, parameter: Value) -> Self {
        if let Some(parameters) = self.value["parameters"].as_array_mut() {
            parameters.push(parameter);
        }
        self
    }

    /// Takes all parameters of a query.
    pub(super) fn query<T: JsonSchema>(self) -> Self {
        self.parameters::<T>(|_| true)
    }

    /// Answers pages, and takes the parameters that each list has, and these of [`ListQuery`].
    pub(super) fn lists<T: JsonSchema>(self, filters: &[&str]) -> Self {
        let taken = |name: &str| ["limit", "iterator"].contains(&name) || filters.contains(&name);
        self.parameters::<ListQuery>(taken).returns::<Listed<T>>(200)
    }

    fn parameters<T: JsonSchema>(mut self, taken: impl Fn(&str) -> bool) -> Self {
        let schema = T::json_schema(self.inputs).to_value();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let all = schema["properties"].as_object().into_iter().flatten();
        for (name, schema) in all.filter(|(name, _)| taken(name)) {
            let mut schema = without_null(schema.clone());
            let mut parameter = json!({
                "name": name,
                "in": "query",
                "required": required.iter().any(|one| one == name),
            });
            if let Some(description) =
                schema.as_object_mut().and_then(|it| it.remove("description"))
            {
                parameter["description"] = description;
            }
            if schema["type"] == "array" {
                // Comma-joined.
                parameter["style"] = "form".into();
                parameter["explode"] = false.into();
            }
            parameter["schema"] = schema;
            self = self.parameter(parameter);
        }
        self.fails(&[422])
    }

    /// Takes a body.
    pub(super) fn body<T: JsonSchema>(self) -> Self {
        let schema = self.inputs.subschema_for::<T>().to_value();
        self.value["requestBody"] = json!({ "required": true, "content": content(&schema) });
        self.fails(&WITH_BODY)
    }

    /// Takes a list of up to so many, as JSON or one a line.
    pub(super) fn batch<T: JsonSchema>(self, most: usize) -> Self {
        let one = self.inputs.subschema_for::<T>().to_value();
        let all = json!({ "type": "array", "minItems": 1, "maxItems": most, "items": one });
        let lines = json!({ "type": "string", "description": "One a line." });
        let mut content = content(&all);
        content["application/x-ndjson"] = json!({ "schema": lines });
        self.value["requestBody"] = json!({ "required": true, "content": content });
        self.fails(&WITH_BODY)
    }

    /// The body may be left out.
    pub(super) fn optional(self) -> Self {
        self.value["requestBody"]["required"] = false.into();
        self
    }

    /// Takes a change of what [`Operation::body`] takes as a whole: nothing in it is required. `name` is
    /// what its schema is called.
    pub(super) fn change<T: JsonSchema>(self, name: &str) -> Self {
        let mut schema = T::json_schema(self.inputs).to_value();
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("required");
            schema.remove("examples");
        }
        self.changes.insert(name.to_owned(), schema);
        self.value["requestBody"] =
            json!({ "required": true, "content": content(&reference(name)) });
        self.fails(&WITH_BODY)
    }

    /// Answers this.
    pub(super) fn returns<T: JsonSchema>(self, status: u16) -> Self {
        let schema = self.outputs.subschema_for::<T>().to_value();
        self.answers(status, Some(&schema))
    }

    /// Answers an empty object.
    pub(super) fn returns_empty(self, status: u16) -> Self {
        self.answers(status, Some(&json!({ "type": "object", "maxProperties": 0 })))
    }

    /// Answers without a body.
    pub(super) fn returns_nothing(self) -> Self {
        self.answers(204, None)
    }

    fn answers(self, status: u16, schema: Option<&Value>) -> Self {
        let description = match status {
            200 => "Here it is.",
            201 => "It was created.",
            202 => "It was accepted.",
            _ => "It was done.",
        };
        let mut response = json!({ "description": description, "headers": headers() });
        if let Some(schema) = schema {
            response["content"] = content(schema);
        }
        self.value["responses"][status.to_string()] = response;
        self
    }
}

/// A schema for a query, in which null cannot be said.
fn without_null(mut schema: Value) -> Value {
    for keyword in ["type", "enum", "anyOf"] {
        let Some(choices) = schema.get_mut(keyword).and_then(Value::as_array_mut) else { continue };
        choices.retain(|one| !one.is_null() && one != "null" && one["type"] != "null");
        if keyword != "enum" && choices.len() == 1 {
            let only = choices.remove(0);
            if keyword == "type" {
                schema[keyword] = only;
            } else if let (Some(schema), Value::Object(only)) = (schema.as_object_mut(), only) {
                schema.remove(keyword);
                schema.extend(only);
            }
        }
    }
    schema
}
