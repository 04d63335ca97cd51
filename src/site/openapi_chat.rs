//! The description of the chat.

use serde_json::{Value, json};

use crate::config::Config;
use crate::site::ask;
use crate::site::openapi_words::{
    Described, answer, content, document_answer, header, object, object_or_form, operation, query, schema, time,
};
use crate::site::rooms;
use crate::site::speaker;

/// A message's schema.
pub fn message(config: &Config) -> Value {
    json!({
        "type": "object",
        "required": ["id", "room", "ts", "user", "name", "message"],
        "properties": {
            "id": {"type": "integer", "minimum": 1},
            "room": room_schema(),
            "ts": time(),
            "user": {"type": ["string", "null"]},
            "name": {"type": "string", "minLength": 1, "maxLength": speaker::NAME_MAX},
            "message": {"type": "string", "minLength": 1, "maxLength": config.limits.message_limit_bytes},
        },
    })
}

/// `POST /send`.
pub fn send(config: &Config) -> Value {
    let text =
        json!({"type": "string", "minLength": 1, "maxLength": config.limits.message_limit_bytes, "pattern": r"\S"});
    let draft = object(
        &["message"],
        json!({
            "message": text,
            "room": room_schema(),
            "name": {"type": "string", "maxLength": speaker::NAME_MAX, "pattern": r"^[\p{Alphabetic}\p{N} ._-]*$"},
        }),
    );
    let mut body = object_or_form(&draft);
    body["content"]["text/plain"] = json!({"schema": text});
    body["description"] =
        json!("Lengths count bytes of UTF-8. Control characters other than tab and line ends are refused.");
    let answers = [
        (201, document_answer("The message: it is kept, and everyone hears it.", schema("Message"))),
        (303, answer("A form of a browser: back to the page.")),
    ];
    operation("send", "Say something", &answers, &[400, 401, 403, 404, 409, 413, 415, 429, 503])
        .with("requestBody", body)
}

fn room_schema() -> Value {
    json!({"type": "string", "pattern": format!("^[a-z0-9-]{{1,{}}}$", rooms::NAME_MAX)})
}

fn some_rooms() -> Value {
    let list = json!({"type": "array", "items": room_schema(), "minItems": 1, "maxItems": rooms::SET_MAX});
    let mut parameter = query("room", list, "The rooms, with commas between them; the lobby unless said.");
    parameter["style"] = json!("form");
    parameter["explode"] = json!(false);
    parameter
}

/// `DELETE /messages/<id>`.
pub fn remove_message(_: &Config) -> Value {
    let gone = object(&["status", "deleted"], json!({"status": {"const": "success"}, "deleted": {"type": "integer"}}));
    let answers = [(200, document_answer("It is gone, and everyone is told.", gone))];
    let id = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "integer", "minimum": 1}});
    operation("removeMessage", "Take a message back", &answers, &[401, 403, 404, 503])
        .with("description", json!("Its author may for ten minutes, an admin and the operator always."))
        .with("parameters", json!([id]))
}

/// `GET /ws`.
pub fn socket(_: &Config) -> Value {
    let note = "A WebSocket (RFC 6455), subprotocol `hythe.chat.v1`. Up: `{\"type\":\"send\",\"room\",\"message\",\"ref\"}` and \
        `{\"type\":\"typing\"}`. Down: `message` with the members of a message, `ack` with `ref` and `id`, `error` with `code` \
        and `ref`, `gap` with `first`, `join`, `leave` and `typing` with `room` and `names`, `delete` with `id` and `room`. \
        Closed with 1001 when the server stops, 1003 for binary, 1007 for bad UTF-8, 1008 when the session has ended, 1009 for \
        a message that is too long, 1013 for who reads too slowly.";
    let name = json!({"type": "string", "maxLength": speaker::NAME_MAX});
    let parameters =
        json!([some_rooms(), id("since", "Goes on after this id."), query("name", name, "The name a guest goes by."),]);
    let answers = [(101, answer("From now on a WebSocket."))];
    operation("socket", "Listen and speak", &answers, &[400, 403, 404, 409, 426, 503])
        .with("description", json!(note))
        .with("parameters", parameters)
}

fn count_schema() -> Value {
    json!({"type": "integer", "minimum": 0, "description": "How many listen now."})
}

/// `GET /rooms`.
pub fn list_rooms(_: &Config) -> Value {
    let room = object(&["name", "count"], json!({"name": room_schema(), "count": count_schema()}));
    let rooms = object(
        &["rooms", "open"],
        json!({
            "rooms": {"type": "array", "maxItems": rooms::ROOMS_MAX, "items": room},
            "open": {"type": "boolean", "description": "Whether a room appears on its first use."},
        }),
    );
    let found = json!({
        "description": "The rooms, by name.",
        "content": {"application/json": {"schema": rooms}, "text/html": {"schema": {"type": "string"}}},
    });
    operation("rooms", "Which rooms there are", &[(200, found)], &[503])
}

/// `GET /who`.
pub fn who(_: &Config) -> Value {
    let there = object(
        &["room", "count", "names"],
        json!({
            "room": room_schema(),
            "count": count_schema(),
            "names": {"type": "array", "items": {"type": "string"}, "description": "Of those who have one."},
        }),
    );
    let answers = [(200, document_answer("Who listens.", there))];
    operation("who", "Who listens to a room", &answers, &[400, 404]).with("parameters", json!([room()]))
}

fn room() -> Value {
    query("room", room_schema(), "The room; the lobby unless said.")
}

fn id(name: &str, description: &str) -> Value {
    query(name, json!({"type": "integer", "minimum": 0, "maximum": i64::MAX}), description)
}

/// `GET /messages`.
pub fn list_messages(_: &Config) -> Value {
    let found = object(
        &["messages", "last", "gap"],
        json!({
            "messages": {"type": "array", "maxItems": ask::LIMIT_MAX, "items": schema("Message")},
            "last": {"type": "integer", "minimum": 0, "description": "The highest id in the answer, else since."},
            "gap": {"type": "boolean", "description": "Some messages after since are no longer kept."},
        }),
    );
    let limit = json!({"type": "integer", "minimum": 1, "maximum": ask::LIMIT_MAX, "default": ask::LIMIT});
    let wait = json!({"type": "integer", "minimum": 0, "maximum": ask::WAIT_MAX_S, "default": 0});
    let parameters = json!([
        room(),
        id("since", "Those after this id. Not with before."),
        id("before", "The last ones before this id."),
        query("limit", limit, "How many at most."),
        query("q", json!({"type": "string", "maxLength": ask::QUERY_MAX}), "Only those with all of these words."),
        query(
            "wait",
            wait,
            "How many seconds to wait for the next message if there is none to tell; not with before or q."
        ),
    ]);
    let found = json!({
        "description": "What was said, oldest first.",
        "content": {"application/json": {"schema": found}, "text/html": {"schema": {"type": "string"}}},
    });
    let answers = [(200, found)];
    operation("messages", "What was said", &answers, &[400, 404, 500, 503]).with("parameters", parameters)
}

/// `GET /events`.
pub fn events(_: &Config) -> Value {
    let note = "Each event of the default kind has an id and, as data, a message as JSON. An event `gap` says that some of \
        what came after the position is no longer kept, `delete` that a message was taken back. The stream does not end by itself.";
    let parameters = json!([
        some_rooms(),
        id("since", "Goes on after this id."),
        header("Last-Event-ID", "The same, and wins over since."),
    ]);
    let answers = [(200, content("An event stream.", "text/event-stream", json!({"type": "string"})))];
    operation("events", "What is said from now on", &answers, &[400, 403, 404, 500, 503])
        .with("description", json!(note))
        .with("parameters", parameters)
}
