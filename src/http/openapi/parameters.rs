//! The parameters that routes take, by name.

use serde_json::{Value, json};
use steadfast_cli::api::header;
use steadfast_cli::api::list::PAGE_MAX;
use steadfast_cli::api::schema::{BASE64URL, BASE64URL_OR_NONE, DURATION};
use steadfast_raft::limits;

/// A key that a path can carry: no segment of it is empty, `.` or `..`.
const PATH_KEY: &str = r"^(?!(.*/)?\.{0,2}(/|$))[\s\S]+$";
/// Durations of up to 30 seconds.
const TIMEOUT: &str = "^([1-9][0-9]{0,3}ms|[12][0-9]{4}ms|30000ms|([1-9]|[12][0-9]|30)s)$";
/// An ETag, or any.
const ETAG: &str = r#"^(\*|"[0-9]{1,19}")$"#;

/// Returns all of them.
pub(super) fn all() -> Value {
    let (mut all, many) = (of_one(), of_many());
    let (Value::Object(all_of_them), Value::Object(many)) = (&mut all, many) else {
        unreachable!("both are written as objects")
    };
    all_of_them.extend(many);
    all
}

/// Those that concern the keys of lists, exports and imports.
fn of_many() -> Value {
    json!({
        "prefix": text("prefix", "What the keys begin with. Not with `prefix64`."),
        "prefix64": query("prefix64", BASE64URL_OR_NONE, "The base64url of what the keys begin with."),
        "start": text("start", "The first key to list. Not with `start64` or `cursor`."),
        "start64": query("start64", BASE64URL_OR_NONE, "The base64url of the first key to list."),
        "cursor": query("cursor", BASE64URL, "What the page before gave to go on with."),
        "export_cursor": text("cursor", "The last cursor of an export that was cut."),
        "first_line": {
            "name": "first_line", "in": "query",
            "description": "The number of the body's first line. Line 1 is the manifest.",
            "schema": { "type": "integer", "minimum": 1, "maximum": 1_u64 << 47, "default": 1 },
        },
        "only_absent": {
            "name": "if_absent", "in": "query",
            "description": "Whether keys that are there stay as they are.",
            "schema": { "type": "boolean" },
        },
        "limit": {
            "name": "limit", "in": "query", "description": "Most keys of the page.",
            "schema": { "type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_MAX },
        },
        "values": {
            "name": "values", "in": "query", "description": "Whether values are wanted, too.",
            "schema": { "type": "boolean" },
        },
    })
}

fn of_one() -> Value {
    json!({
        "key": {
            "name": "key", "in": "path", "required": true,
            "description": "The key, percent-encoded; it may hold slashes and any bytes. One with an \
                            empty, `.` or `..` segment goes to `/v1/kv?key64=` and its base64url.",
            "schema": {
                "type": "string",
                "minLength": 1,
                "maxLength": limits::KEY_BYTES_MAX,
                "pattern": PATH_KEY,
            },
        },
        "key64": {
            "name": "key64", "in": "query", "required": true,
            "description": "The base64url of the key, which may be any.",
            "schema": { "type": "string", "pattern": BASE64URL },
        },
        "shard": {
            "name": "id", "in": "path", "required": true, "description": "A shard's number.",
            "schema": { "type": "integer", "minimum": 0, "maximum": limits::SHARDS_MAX },
        },
        "ttl": query("ttl", DURATION, "How long the key lives, such as `60s`; a hundred years at most."),
        "timeout": query("timeout", TIMEOUT, "How long the request may take, up to `30s`."),
        "max_staleness": query(
            "max_staleness",
            DURATION,
            "How old an answer may be, with `consistency=stale` alone.",
        ),
        "min_revision": {
            "name": "min_revision", "in": "query",
            "description": "How many mutations of the shard an answer must reflect, with \
                            `consistency=stale` alone.",
            "schema": { "type": "integer", "minimum": 0 },
        },
        "wait": query(
            "wait",
            TIMEOUT,
            "How long to wait until the key has another version than that in `If-None-Match`, up to `30s`.",
        ),
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
        "route_many": {
            "name": header::ROUTE, "in": "header",
            "description": "What the node does with keys that others lead.",
            "schema": { "type": "string", "enum": ["proxy", "local"], "default": "proxy" },
        },
        "if_match": condition("if-match", ETAG, "The key has this ETag, or with `*` is there."),
        "if_absent": condition("if-none-match", "^[*]$", "The key is not there. Not with `If-Match`."),
        "if_none_match": condition("if-none-match", ETAG, "The version that the client has."),
    })
}

fn text(name: &str, what: &str) -> Value {
    let schema = json!({ "type": "string", "maxLength": limits::KEY_BYTES_MAX });
    json!({ "name": name, "in": "query", "description": what, "schema": schema })
}

fn query(name: &str, pattern: &str, what: &str) -> Value {
    let schema = json!({ "type": "string", "pattern": pattern });
    json!({ "name": name, "in": "query", "description": what, "schema": schema })
}

fn condition(name: &str, pattern: &str, what: &str) -> Value {
    let schema = json!({ "type": "string", "pattern": pattern });
    json!({ "name": name, "in": "header", "description": what, "schema": schema })
}
