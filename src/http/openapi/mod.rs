//! The interface as an OpenAPI 3.1 document, at `/openapi.json` and in `docs/`.
//!
//! Bodies come from the wire types, so they cannot lie. What each route takes and answers stands in
//! [`routes`]; tests hold it to the document in `docs/`, to `docs/http.md` and to a real node.

use std::sync::LazyLock;

use bytes::Bytes;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use steadfast_cli::api::bulk::NDJSON;
use steadfast_cli::api::problem::{CONTENT_TYPE, Problem};

mod parameters;
mod routes;

use routes::{Answer, Body, ROUTES, Route};

/// The document, rendered once.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(render()));

/// Returns the document.
pub(super) fn document() -> Bytes {
    DOCUMENT.clone()
}

fn render() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Problem>().to_value();
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route, &mut generator);
    }
    let problem = json!({
        "description": "Why not, what became of the request, and what to do next.",
        "content": { CONTENT_TYPE: { "schema": problem } },
    });
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "steadfast",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A strongly consistent cache. Bodies of keys are raw bytes; everything \
                            else is JSON, and every error a problem (RFC 9457).",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:7301", "description": "A node; any takes any request." }],
        // Without a token at the nodes none is needed.
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "parameters": parameters::all(),
            "responses": { "Problem": problem },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": generator.take_definitions(true),
        },
    });
    let mut text = serde_json::to_string_pretty(&document).expect("JSON becomes text");
    text.push('\n');
    text
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({ "operationId": route.name, "summary": route.summary });
    if !route.parameters.is_empty() {
        let each = route.parameters.iter();
        operation["parameters"] =
            each.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") })).collect();
    }
    let body = match route.body {
        Body::None => None,
        Body::Bytes => Some(json!({ "application/octet-stream": {} })),
        Body::Lines => Some(json!({ NDJSON: {} })),
        Body::Json(schema) => {
            Some(json!({ "application/json": { "schema": schema(generator).to_value() } }))
        }
    };
    if let Some(content) = body {
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    let mut responses = Map::new();
    for (status, what, answer) in route.answers {
        let mut response = json!({ "description": what });
        let content = match answer {
            Answer::Empty => None,
            Answer::Bytes => Some(json!({ "application/octet-stream": {} })),
            Answer::Text => Some(json!({ "text/plain": { "schema": { "type": "string" } } })),
            Answer::Lines => Some(json!({ NDJSON: {} })),
            Answer::Metrics => Some(json!({ super::metrics::CONTENT_TYPE: {} })),
            Answer::Json(schema) => {
                Some(json!({ "application/json": { "schema": schema(generator).to_value() } }))
            }
        };
        if let Some(content) = content {
            response["content"] = content;
        }
        responses.insert(status.to_string(), response);
    }
    for status in route.problems {
        responses.insert(status.to_string(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/Problem" }));
    operation["responses"] = responses.into();
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

    #[test]
    fn the_document_in_docs_is_this_one() {
        let now = render();
        if std::env::var_os("STEADFAST_TEST_WRITE").is_some() {
            std::fs::write(COMMITTED, &now).expect("the repository can be written");
        }
        let committed = std::fs::read_to_string(COMMITTED).unwrap_or_default();
        let hint = "STEADFAST_TEST_WRITE=1 cargo test the_document_in_docs_is_this_one";
        assert!(committed == now, "docs/openapi.json is old: {hint}");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(&render()).expect("JSON");
        let text = document.to_string();
        for rest in text.split("\"$ref\":\"#").skip(1) {
            let pointer = rest.split('"').next().unwrap_or_default();
            assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
        }
    }

    /// The tables of `docs/http.md` name each route as `` `METHOD /path` ``.
    #[test]
    fn each_route_of_the_text_is_here_and_each_here_in_the_text() {
        let text = include_str!("../../../docs/http.md");
        let named = |method: &str, path: &str| {
            ROUTES.iter().any(|route| route.path == path && route.method == method)
        };
        for row in text.lines().filter_map(|line| line.strip_prefix("| `")) {
            let Some((method, path)) = row.split('`').next().and_then(|name| name.split_once(' '))
            else {
                continue;
            };
            if path.starts_with('/') {
                assert!(named(&method.to_lowercase(), path), "{method} {path} is not in ROUTES");
            }
        }
        for route in ROUTES {
            let name = format!("{} {}", route.method.to_uppercase(), route.path);
            let head = route.method == "head";
            assert!(head || text.contains(&name), "docs/http.md lacks {name}");
        }
    }
}
