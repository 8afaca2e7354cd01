use axum::http::header::CONTENT_TYPE;

use super::*;

fn code(body: &str) -> Result<Vec<String>, (u16, String)> {
    match parse(body.as_bytes()) {
        Ok(request) => Ok(request.nodes.into_iter().map(|node| node.0).collect()),
        Err(problem) => Err((problem.status, problem.code)),
    }
}

#[test]
fn nodes_are_hosts_and_ports() {
    let body = r#"{"nodes": ["127.0.0.1:7401", "db2.example:7401", "[::1]:7403"]}"#;
    let nodes = ["127.0.0.1:7401", "db2.example:7401", "[::1]:7403"].map(str::to_owned);
    assert_eq!(code(body), Ok(nodes.to_vec()));
    for bad in [
        "a",
        "a:",
        ":1",
        "a:0",
        "a:65536",
        "a:+1",
        "0.0.0.0:1",
        "[::]:1",
        "::1:7401",
        "http://a:1",
        "a b:1",
    ] {
        let body = format!(r#"{{"nodes": ["{bad}"]}}"#);
        assert_eq!(code(&body), Err((400, "bad-init".to_owned())), "{bad}");
    }
}

#[test]
fn lists_that_cannot_be_a_cluster_are_refused() {
    let refused = Err((400, "bad-init".to_owned()));
    assert_eq!(code(r#"{"nodes": []}"#), refused);
    assert_eq!(code(r#"{"nodes": ["a:1", "a:1"]}"#), refused);
    let many: Vec<_> = (0..=limits::NODES_MAX).map(|n| format!("\"n{n}:1\"")).collect();
    assert_eq!(code(&format!(r#"{{"nodes": [{}]}}"#, many.join(","))), refused);
}

#[test]
fn other_bodies_are_refused() {
    for bad in ["", "[]", "{}", r#"{"nodes": "a:1"}"#, r#"{"nodes": ["a:1"], "slots": 6}"#, "{"] {
        assert_eq!(code(bad), Err((400, "bad-json".to_owned())), "{bad}");
    }
}

#[test]
fn shards_and_replicas_have_defaults() {
    let numbers = |body: &str| {
        let request = parse(body.as_bytes()).expect("it is well-formed");
        (request.shards, request.replicas)
    };
    let nodes = r#""nodes": ["a:1", "b:1", "c:1"]"#;
    let defaults = (limits::SHARDS_DEFAULT, limits::REPLICAS_DEFAULT);
    assert_eq!(numbers(&format!("{{{nodes}}}")), defaults);
    assert_eq!(numbers(&format!(r#"{{{nodes}, "shards": 12, "replicas": 5}}"#)), (12, 5));
    let refused = Err((400, "bad-json".to_owned()));
    for bad in ["-1", "1.5", "\"6\"", "4294967296"] {
        assert_eq!(code(&format!(r#"{{{nodes}, "shards": {bad}}}"#)), refused, "{bad}");
    }
}

#[test]
fn the_body_must_be_said_to_be_json() {
    let check = |media: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        media.map(|media| headers.insert(CONTENT_TYPE, media.parse().expect("a media type")));
        check_type(&headers).map_err(|problem| problem.status)
    };
    assert_eq!(check(Some("application/json")), Ok(()));
    assert_eq!(check(Some("Application/JSON; charset=utf-8")), Ok(()));
    for bad in [None, Some("text/plain"), Some("application/jsonp"), Some("")] {
        assert_eq!(check(bad), Err(415), "{bad:?}");
    }
}
