use super::*;

#[test]
fn packets_of_all_rules_are_counted() {
    let shown = r#"[{"kind":"u32"},{"options":{"actions":[{"stats":{"packets":3}}]}},
        {"options":{"actions":[{"stats":{"packets":4}}]}}]"#;
    assert_eq!(packets(shown), 7);
    assert_eq!(packets(""), 0);
}
