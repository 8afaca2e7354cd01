use super::*;

#[test]
fn both_expositions_end_once() {
    let metrics = Metrics::new();
    metrics.count("kv", &Method::PUT, StatusCode::CREATED, Duration::from_millis(3));
    let text = metrics.expose("# TYPE node_things counter\nnode_things_total 1\n# EOF\n");
    assert!(text.starts_with("# TYPE node_things counter\n"), "{text}");
    assert_eq!(text.matches("# EOF").count(), 1, "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let counted = "steadfast_http_requests_total{route=\"kv\",method=\"PUT\",status=\"201\"} 1";
    assert!(text.contains(counted), "{text}");
    let timed = "steadfast_http_request_duration_seconds_count{route=\"kv\",method=\"PUT\"} 1";
    assert!(text.contains(timed), "{text}");
}

#[test]
fn clients_cannot_invent_labels() {
    assert_eq!(route("/v1/kv/anything"), "kv");
    assert_eq!(route("/v1/cluster/init"), "cluster");
    assert_eq!(route("/livez"), "node");
    assert_eq!(route("/wp-admin"), "none");
    assert_eq!(label(&"BREW".parse().expect("a method")), "other");
}
