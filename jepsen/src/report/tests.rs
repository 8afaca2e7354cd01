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
    let page = html(&history, &judge(&history, &Settings::default()));
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
    let page = html(&history, &judge(&history, &Settings::default()));
    assert!(page.contains("<h1>unknown</h1>"));
}
