//! Sets that are read by lists: the shortest histories that must be told apart.

use super::judged::{Script, begin};

fn add(value: u64) -> String {
    // In the order of their keys, which is not that of their values: 1, 10, 2, 3.
    format!("\"f\":\"add\",\"key\":\"e{value}\",\"value\":{value}")
}

/// A page, asked for after this element.
fn page(script: Script, after: &str, seen: &str, more: bool) -> Script {
    let invoke =
        format!(r#""process":1,"type":"invoke","f":"list","value":{after},"mode":"linearizable""#);
    let ok = format!(
        r#""process":1,"type":"ok","f":"list","value":{seen},"page":{{"more":{more},"shards":[]}}"#
    );
    script.event(&invoke).event(&ok)
}

fn added() -> Script {
    [1, 10, 2, 3].iter().fold(begin(), |script, value| script.ok(&add(*value), ""))
}

#[test]
fn pages_together_hold_what_was_added() {
    page(added(), "null", "[1,10,2,3]", false).is("set", "valid", "");
    let two = |first: &str, second: &str| {
        let first_page = page(added(), "null", first, true);
        let last = first.trim_end_matches(']').rsplit(['[', ',']).next().expect("there is one");
        page(first_page, last, second, false)
    };
    two("[1,10]", "[2,3]").is("set", "valid", "");
    two("[1,10]", "[3]").is("set", "invalid", "the element 2 is lost");
    two("[1,2]", "[3]").is("set", "invalid", "the element 10 is lost");
    two("[1,10]", "[2]").is("set", "invalid", "the element 3 is lost");
    two("[1,10,2]", "[2,3]").is("set", "invalid", "the element 2 is doubled");
    two("[1,10,2]", "[10,3]").is("set", "invalid", "e10 is listed after e2");
    two("[1,2,10]", "[3]").is("set", "invalid", "e10 is listed after e2");
    page(added(), "null", "[1,10,10,2,3]", false).is("set", "invalid", "10 is doubled");
    page(added(), "null", "[1,10,2,3,4]", false).is("set", "invalid", "nobody added 4");
    // A list that was not finished says what it says, and no more.
    let begun = page(added(), "null", "[1,10]", true);
    begun.is("set", "unknown", "2 elements were known to nobody");
    page(added(), "null", "[10]", true).is("set", "invalid", "the element 1 is lost");
}

#[test]
fn a_page_reflects_what_was_acknowledged_before_it_was_asked_for() {
    let whole = |script: Script| page(script, "null", "[1,10,2,25,3,4]", false);
    let first = || page(added(), "null", "[1,10]", true);
    // Between two pages: before where the second begins, and after it.
    let behind = first().ok(r#""f":"add","key":"e0","value":4"#, "");
    let behind = page(page(behind, "10", "[2,3]", false), "null", "[4,1,10,2,3]", false);
    behind.is("set", "valid", "");
    let ahead = || first().ok(&add(25), "");
    let missed = || page(ahead(), "10", "[2,3]", false);
    missed().is("set", "invalid", "the element 25 is lost");
    let again = whole(missed().ok(&add(4), ""));
    again.is("set", "invalid", "25 is missing, and there again later");
    whole(page(ahead(), "10", "[2,25,3]", false).ok(&add(4), "")).is("set", "valid", "");
    // While the page is on its way it may be or not.
    let invoke = r#""process":1,"type":"invoke","f":"list","value":10"#;
    let ok =
        r#""process":1,"type":"ok","f":"list","value":[2,3],"page":{"more":false,"shards":[]}"#;
    let begun = first().event(invoke);
    let during = begun.event(&format!("\"process\":2,\"type\":\"invoke\",{}", add(25)));
    let during = during.event(&format!("\"process\":2,\"type\":\"ok\",{}", add(25))).event(ok);
    page(during, "null", "[1,10,2,25,3]", false).is("set", "valid", "");
}

#[test]
fn after_a_page_without_elements_nobody_knows_where_the_next_begins() {
    let empty = || page(page(added(), "null", "[1,10]", true), "10", "[]", true);
    let between = || page(empty().ok(&add(25), ""), "10", "[3]", false);
    // What was known when the empty page was asked for must be in one of the two.
    between().is("set", "invalid", "the element 2 is lost");
    let right = page(empty().ok(&add(25), ""), "10", "[2,3]", false);
    page(right, "null", "[1,10,2,25,3]", false).is("set", "valid", "");
}

#[test]
fn a_page_that_was_refused_is_no_page() {
    let invoke = r#""process":1,"type":"invoke","f":"list","value":null"#;
    let fail = r#""process":1,"type":"fail","f":"list","value":null,"error":"503 no-leader""#;
    let refused = || added().event(invoke).event(fail);
    refused().is("set", "unknown", "4 elements were known to nobody");
    page(refused(), "null", "[1,10,2,3]", false).is("set", "valid", "");
    // It does not make the one after it begin anywhere else.
    let begun = page(refused(), "null", "[1,10]", true)
        .event(r#""process":1,"type":"invoke","f":"list","value":10"#);
    let begun = begun.event(r#""process":1,"type":"fail","f":"list","value":10,"error":"503""#);
    page(begun, "10", "[3]", false).is("set", "invalid", "the element 2 is lost");
}

#[test]
fn a_page_goes_back_in_none_of_its_shards() {
    let listed = |applied: u64| {
        let facts = r#""shard":2,"revision":7,"applied":7"#;
        let script = begin().ok(&add(1), facts);
        let invoke = r#""process":1,"type":"invoke","f":"list","value":null"#;
        let ok = format!(
            r#""process":1,"type":"ok","f":"list","value":[1],"page":{{"more":false,"shards":[[1,9],[2,{applied}]]}}"#
        );
        script.event(invoke).event(&ok)
    };
    listed(7).is("monotonic", "valid", "");
    listed(6).is("monotonic", "invalid", "the count of shard 2 goes back from 7 to 6");
    // And what comes after it does not go back behind it.
    let later = listed(8).ok(&add(2), r#""shard":1,"revision":9,"applied":9"#);
    later.is("monotonic", "valid", "");
    let back = listed(8).ok(&add(2), r#""shard":1,"revision":8,"applied":8"#);
    back.is("monotonic", "invalid", "the count of shard 1 goes back from 9 to 8");
}
