use super::*;
use crate::history::{Event, Pairing};
use crate::judge::{Settings, judge};

fn history(lines: &[&str]) -> History {
    let mut pairing = Pairing::default();
    for (i, line) in lines.iter().enumerate() {
        let line = format!("{{\"index\":{i},\"time\":{},{line}}}", i * 100_000_000);
        pairing.take(serde_json::from_str::<Event>(&line).expect(&line)).expect(&line);
    }
    pairing.finish()
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_shows_what_is_wrong() {
    let history = history(&[
        r#""process":1,"type":"invoke","f":"write","key":"<k>","value":7"#,
        r#""process":1,"type":"ok","f":"write","key":"<k>","value":7,"shard":1,"term":"5.2""#,
        r#""process":"nemesis","type":"info","f":"fault","fault":{"name":"kill","nodes":[2]}"#,
        r#""process":2,"type":"invoke","f":"read","key":"<k>""#,
        r#""process":2,"type":"ok","f":"read","key":"<k>","value":null,"shard":1,"term":"6.1""#,
    ]);
    let page = html(&history, &judge(&history, &Settings::default()), &serde_json::Value::Null);
    for outside in ["http://", "https://", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    for shown in ["<h1>invalid</h1>", "a read missed a write", "&lt;k&gt;", "no evidence", "n2"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("<k>"), "names are text");
}

#[test]
fn a_page_of_nothing_is_a_page() {
    let history = history(&[]);
    let page = html(&history, &judge(&history, &Settings::default()), &serde_json::Value::Null);
    assert!(page.contains("<h1>unknown</h1>"));
}

#[test]
fn a_page_says_which_run_it_is_of() {
    let history = history(&[]);
    let run = serde_json::json!({
        "options": {
            "workload": "ttl", "seed": 77, "env": "local", "version": "1.2.3", "nodes": 3,
            "nemesis": ["kill", "pause"], "command": "steadfast jepsen run --dir <x>", "commit_s": null,
        },
        "outcome": { "skipped": { "power-cut": "needs root" } },
    });
    let page = html(&history, &judge(&history, &Settings::default()), &run);
    for shown in [
        "workload ttl, seed 77, env local, version 1.2.3, nodes 3, nemesis kill,pause",
        "steadfast jepsen run --dir &lt;x&gt;",
        "skipped, which is not passed: power-cut: needs root",
    ] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert!(!page.contains("commit_s"), "{page}");
}

#[test]
fn labels_of_an_axis_are_not_rounded() {
    for (span_ns, labels) in [
        (20_000_000_000, vec!["0", "2", "4", "6", "8", "10", "12", "14", "16", "18", "20"]),
        (3_000_000_000, vec!["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]),
        (
            40_000_000,
            vec!["0.000", "0.005", "0.010", "0.015", "0.020", "0.025", "0.030", "0.035", "0.040"],
        ),
    ] {
        let svg = plot::Plot::new(0, span_ns, 10.0).finish();
        let ticks = svg.split("class=\"tick\"").skip(1);
        let shown = ticks.filter_map(|tick| tick.split('>').nth(1)?.split(" s<").next());
        assert_eq!(shown.collect::<Vec<_>>(), labels);
    }
}
