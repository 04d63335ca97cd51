//! The words that descriptions of routes are made of: operations, answers, parameters.

use serde_json::{Map, Value, json};

/// A schema of the document, by its name.
pub fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An operation. `refusals` are the statuses that are this route's own; any request may be refused otherwise.
pub fn operation(id: &str, summary: &str, answers: &[(u16, Value)], refusals: &[u16]) -> Value {
    let refused = || json!({"$ref": "#/components/responses/Refused"});
    let mut responses = Map::new();
    for (status, answer) in answers {
        responses.insert(status.to_string(), answer.clone());
    }
    for status in refusals {
        responses.insert(status.to_string(), refused());
    }
    responses.insert("default".to_owned(), refused());
    json!({"operationId": id, "summary": summary, "responses": responses})
}

/// Something described, with one more thing said of it.
pub trait Described {
    /// Sets a member.
    fn with(self, member: &str, value: Value) -> Value;
}

impl Described for Value {
    fn with(mut self, member: &str, value: Value) -> Value {
        self[member] = value;
        self
    }
}

/// An answer without content.
pub fn answer(description: &str) -> Value {
    json!({"description": description})
}

/// An answer with content.
pub fn content(description: &str, media: &str, schema: Value) -> Value {
    json!({"description": description, "content": {media: {"schema": schema}}})
}

/// An answer with a JSON document.
pub fn document_answer(description: &str, schema: Value) -> Value {
    content(description, "application/json", schema)
}

/// A schema of an object.
pub fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

/// A parameter of the query.
pub fn query(name: &str, schema: Value, description: &str) -> Value {
    json!({"name": name, "in": "query", "schema": schema, "description": description})
}

/// A header field.
pub fn header(name: &str, description: &str) -> Value {
    json!({"name": name, "in": "header", "schema": {"type": "string"}, "description": description})
}

/// A body that may be a JSON object or a form.
pub fn object_or_form(schema: &Value) -> Value {
    let strict = schema.clone().with("additionalProperties", json!(false));
    json!({
        "required": true,
        "content": {
            "application/json": {"schema": strict},
            "application/x-www-form-urlencoded": {"schema": schema},
            "multipart/form-data": {"schema": schema},
        },
    })
}
