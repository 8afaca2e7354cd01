//! The parameters that routes take, by name.

use serde_json::{Value, json};
use steadfast_cli::api::header;
use steadfast_raft::limits;

/// How durations are written.
const DURATION: &str = "^[0-9]+(ms|s|m|h)$";

/// Returns all of them.
pub(super) fn all() -> Value {
    json!({
        "key": {
            "name": "key", "in": "path", "required": true,
            "description": "The key, percent-encoded; it may hold slashes and any bytes. One with an \
                            empty, `.` or `..` segment goes into `key64`.",
            "schema": { "type": "string", "minLength": 1, "maxLength": limits::KEY_BYTES_MAX },
        },
        "key64": {
            "name": "key64", "in": "query", "required": true,
            "description": "The key in base64url.",
            "schema": { "type": "string", "contentEncoding": "base64url", "pattern": "^[A-Za-z0-9_-]+$" },
        },
        "shard": {
            "name": "id", "in": "path", "required": true, "description": "A shard's number.",
            "schema": { "type": "integer", "minimum": 0, "maximum": limits::SHARDS_MAX },
        },
        "ttl": query("ttl", "How long the key lives, such as `60s`."),
        "timeout": query("timeout", "How long the request may take, up to `30s`."),
        "max_staleness": query("max_staleness", "How old a stale answer may be."),
        "consistency": {
            "name": "consistency", "in": "query", "description": "What the answer promises.",
            "schema": {
                "type": "string",
                "enum": ["linearizable", "lease", "stale"],
                "default": "linearizable",
            },
        },
        "route": {
            "name": header::ROUTE, "in": "header",
            "description": "What the node does if another leads.",
            "schema": { "type": "string", "enum": ["proxy", "redirect", "local"], "default": "proxy" },
        },
        "if_match": condition("if-match", "The key has this ETag, or with `*` is there."),
        "if_none_match": condition("if-none-match", "`*`: the key is not there. GET: the ETag that the client has."),
    })
}

fn query(name: &str, what: &str) -> Value {
    let schema = json!({ "type": "string", "pattern": DURATION });
    json!({ "name": name, "in": "query", "description": what, "schema": schema })
}

fn condition(name: &str, what: &str) -> Value {
    json!({ "name": name, "in": "header", "description": what, "schema": { "type": "string" } })
}
