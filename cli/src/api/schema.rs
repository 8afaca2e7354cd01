//! What the described types say beyond their shapes: texts that are base64url or durations, and
//! fields of which one is wanted. Servers refuse all else.

use serde_json::{Value, json};

/// The base64url of one byte or more, with or without its padding.
pub const BASE64URL: &str = "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-]{4}|[A-Za-z0-9_-][AQgw](={0,2})|\
                             [A-Za-z0-9_-]{2}[AEIMQUYcgkosw048](=?))$";
/// The same of any bytes, also none.
pub const BASE64URL_OR_NONE: &str = "^(([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw](={0,2})|\
                                            [A-Za-z0-9_-]{2}[AEIMQUYcgkosw048](=?))?)$";
/// How durations are written. Servers take up to a hundred years.
pub const DURATION: &str = "^0*[1-9][0-9]{0,12}(ms|s|m|h)$";

/// Says that exactly one of these fields has a value.
pub(super) fn one_of(fields: &[&str]) -> Value {
    let alternative = |wanted: &&str| {
        let others = fields.iter().filter(|field| *field != wanted);
        let mut properties: serde_json::Map<String, Value> =
            others.map(|field| ((*field).to_owned(), json!({ "type": "null" }))).collect();
        properties.insert((*wanted).to_owned(), json!({ "not": { "type": "null" } }));
        json!({ "required": [wanted], "properties": properties })
    };
    fields.iter().map(alternative).collect()
}

/// Says that of each of these groups exactly one field has a value.
pub(super) fn one_of_each(groups: &[&[&str]]) -> Value {
    groups.iter().map(|fields| json!({ "oneOf": one_of(fields) })).collect()
}
