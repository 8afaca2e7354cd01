use rand::SeedableRng;
use steadfast_cli::api::slot;

use super::*;

fn opened(by: u64, revision: u64) -> Vec<Account> {
    let one = |account| Account { account, balance: BALANCE, by, revision };
    (0..ACCOUNTS).map(one).collect()
}

#[test]
fn all_accounts_of_a_bank_are_in_its_slot() {
    for bank in ["r3.0", "jepsen/1f-2a/17.4"] {
        let accounts = accounts(bank);
        assert_eq!(accounts.len(), 5);
        for account in &accounts {
            assert_eq!(slot::of(account.as_bytes()), slot::of(bank.as_bytes()), "{account}");
            assert!(account.starts_with(bank), "what is left is named like the run");
        }
    }
}

#[test]
fn money_is_moved_and_neither_made_nor_lost() {
    let mut random = StdRng::seed_from_u64(1);
    let mut seen: Vec<Account> = Vec::new();
    for by in 1..1_000 {
        let changes = changes(&seen, by, &mut random);
        assert_eq!(changes.len(), if by == 1 { 5 } else { 2 });
        for Change { from, to } in &changes {
            assert_eq!((from.account, to.by, to.revision), (to.account, by, from.revision));
            assert!(0 <= to.balance && to.balance != from.balance, "{from:?} {to:?}");
        }
        seen = after(&seen, &changes, by);
        assert_eq!(seen.iter().map(|it| it.balance).sum::<i64>(), 500, "{seen:?}");
        assert!(seen.iter().map(|it| it.account).eq(0..ACCOUNTS), "{seen:?}");
    }
    // What makes no sense is left to the judges, and nothing is changed by it.
    let broke: Vec<_> = opened(1, 1).iter().map(|it| Account { balance: 0, ..*it }).collect();
    assert!(changes(&broke, 9, &mut random).is_empty());
    assert!(changes(&opened(1, 1)[..1], 9, &mut random).is_empty());
}

#[test]
fn a_transfer_counts_on_what_was_seen() {
    let from = Account { account: 0, balance: 95, by: 17, revision: 8 };
    let changes = [Change { from, to: Account { balance: 90, by: 20, ..from } }];
    let sent = |by_value| serde_json::json!(request("b", &changes, by_value));
    let key = "b{b}0";
    assert_eq!(sent(false)["if"][0], serde_json::json!({ "key": key, "revision": "8" }));
    assert_eq!(sent(true)["if"][0], serde_json::json!({ "key": key, "value": "95.17" }));
    assert_eq!(sent(true)["then"][0]["put"]["value"], "90.20");
    assert_eq!(sent(true)["else"].as_array().map(Vec::len), Some(5));
    let absent = [Change { from: Account { revision: 0, ..from }, ..changes[0] }];
    let sent = serde_json::json!(request("b", &absent, true));
    assert_eq!(sent["if"][0], serde_json::json!({ "key": key, "exists": false }));
}

#[test]
fn what_is_found_is_read_by_its_place() {
    let answer = r#"{"succeeded":false,"results":[
        {"get":{"found":true,"value":"95.17","revision":"8"}}, {"get":{"found":false}},
        {"get":{"found":true,"value":"-5.18","revision":"9"}},
        {"get":{"found":true,"value":"95","revision":"9"}}, {"get":{"found":true,"value64":"_w"}}]}"#;
    let found = found(&serde_json::from_str(answer).expect("it is an answer"));
    let read = |account, balance, by, revision| Account { account, balance, by, revision };
    // What is none of ours is by nobody.
    let expected =
        [read(0, 95, 17, 8), read(2, -5, 18, 9), read(3, 0, FOREIGN, 9), read(4, 0, FOREIGN, 0)];
    assert_eq!(found, expected);
}
