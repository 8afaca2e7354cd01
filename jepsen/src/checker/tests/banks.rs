//! Banks: the shortest histories that must be told apart. A bank has three accounts with 10 each, opened
//! by transfer 1 as of version 1.

use std::fmt::Write;

use super::judged::{Script, begin};

/// An account, its balance, the transfer that left it so, and a version.
type Account = (u32, i64, u64, u64);

fn accounts(accounts: &[Account]) -> String {
    let mut text = String::new();
    for (account, balance, by, revision) in accounts {
        let comma = if text.is_empty() { "" } else { "," };
        let line = format!(
            r#"{comma}{{"account":{account},"balance":{balance},"by":{by},"revision":{revision}}}"#
        );
        text.write_str(&line).expect("text takes text");
    }
    format!("\"accounts\":[{text}]")
}

fn transfer(by: u64) -> String {
    format!(r#""f":"transfer","key":"b","value":{by}"#)
}

fn invoke(script: Script, process: u64, by: u64, asked: &[Account]) -> Script {
    let (transfer, asked) = (transfer(by), accounts(asked));
    script.event(&format!("\"process\":{process},\"type\":\"invoke\",{transfer},{asked}"))
}

fn done(script: Script, process: u64, by: u64, version: u64) -> Script {
    let facts = format!("\"shard\":1,\"revision\":{version},\"applied\":{version}");
    script.event(&format!("\"process\":{process},\"type\":\"ok\",{},{facts}", transfer(by)))
}

/// A transfer that is acknowledged at once.
fn moved(script: Script, by: u64, version: u64, asked: &[Account]) -> Script {
    done(invoke(script, 1, by, asked), 1, by, version)
}

/// One that is refused, and shows what there is.
fn refused(script: Script, by: u64, asked: &[Account], applied: u64, seen: &[Account]) -> Script {
    let (transfer, seen) = (transfer(by), accounts(seen));
    let facts = format!("\"shard\":1,\"applied\":{applied},{seen}");
    invoke(script, 1, by, asked)
        .event(&format!("\"process\":1,\"type\":\"fail\",{transfer},\"error\":\"old\",{facts}"))
}

/// A reading; `applied` 0: it does not say.
fn read(script: Script, applied: u64, seen: &[Account]) -> Script {
    let applied =
        if applied == 0 { String::new() } else { format!("\"shard\":1,\"applied\":{applied},") };
    script.ok(r#""f":"balances","key":"b""#, &format!("{applied}{}", accounts(seen)))
}

const OPEN: [Account; 3] = [(0, 10, 1, 0), (1, 10, 1, 0), (2, 10, 1, 0)];
const OPENED: [Account; 3] = [(0, 10, 1, 1), (1, 10, 1, 1), (2, 10, 1, 1)];
/// Transfer 2 moves 4 from #0 to #1.
const ASKED: [Account; 2] = [(0, 6, 2, 1), (1, 14, 2, 1)];
const MOVED: [Account; 3] = [(0, 6, 2, 2), (1, 14, 2, 2), (2, 10, 1, 1)];

fn opened() -> Script {
    moved(begin(), 1, 1, &OPEN)
}

#[test]
fn money_stays() {
    let read_after = |seen: &[Account]| read(moved(opened(), 2, 2, &ASKED), 2, seen);
    read_after(&MOVED).is("bank", "valid", "");
    read_after(&MOVED).is("certificate", "valid", "");
    assert!(read_after(&MOVED).says("linearizable").is_none(), "it has no registers");
    // Half of a transfer, of one and of the other account.
    let half = [(0, 6, 2, 2), OPENED[1], OPENED[2]];
    read_after(&half).is("bank", "invalid", "the accounts have 26 together, of 30");
    let half = [OPENED[0], (1, 14, 2, 2), OPENED[2]];
    read_after(&half).is("bank", "invalid", "the accounts have 34 together, of 30");
    read_after(&MOVED[..2]).is("bank", "invalid", "the accounts have 20 together, of 30");
    let less = [(0, -4, 2, 2), (1, 24, 2, 2), (2, 10, 1, 1)];
    read_after(&less).is("bank", "invalid", "#0 has -4, which is less than nothing");
    read_after(&[(0, 5, 2, 2), (1, 15, 2, 2), OPENED[2]]).is(
        "bank",
        "invalid",
        "not to leave it so",
    );
    read_after(&[(0, 10, 9, 9), OPENED[1], OPENED[2]]).is(
        "bank",
        "invalid",
        "nobody transferred 9",
    );
    read_after(&[(0, 6, 2, 3), MOVED[1], MOVED[2]]).is(
        "bank",
        "invalid",
        "as of version 3, which is",
    );
    // A transfer of nothing opens nothing.
    read(moved(opened(), 2, 2, &[]), 2, &OPENED).is("bank", "valid", "");
    // Before it is opened there is nothing; afterwards there is.
    let early = moved(read(begin(), 0, &[]), 1, 1, &OPEN);
    read(early, 1, &OPENED).is("bank", "valid", "");
    read(opened(), 1, &[]).is("bank", "invalid", "it is of version 1, and #0 of one before");
    assert!(begin().ok(r#""f":"add","key":"e1","value":1"#, "").says("bank").is_none());
}

#[test]
fn a_reading_is_no_older_than_what_was_before_it() {
    let moved = || moved(opened(), 2, 2, &ASKED);
    // Its balances are right, and of the past. It says so, or says nothing, or lies.
    let behind = "it has version 1 of #0, where 2 was before it began";
    read(moved(), 1, &OPENED).is("bank", "invalid", behind);
    read(moved(), 0, &OPENED).is("bank", "invalid", behind);
    read(moved(), 2, &OPENED).is("bank", "invalid", "it is of version 2, and #0 of one before");
    let again = read(read(moved(), 2, &MOVED), 0, &OPENED);
    again.is("bank", "invalid", behind);
    // What was on its way at the same time may be seen or not.
    let during = |seen: &[Account]| {
        let begun = opened().event(r#""process":2,"type":"invoke","f":"balances","key":"b""#);
        let moved = self::moved(begun, 2, 2, &ASKED);
        let seen = accounts(seen);
        let ok = format!(r#""process":2,"type":"ok","f":"balances","key":"b",{seen}"#);
        read(moved.event(&ok), 0, &MOVED)
    };
    during(&OPENED).is("bank", "valid", "");
    during(&MOVED).is("bank", "valid", "");
}

#[test]
fn a_reading_is_of_one_state() {
    // 2 moves 4 from #0 to #1, 3 moves 4 from #2 to #1... and back: the sums are right throughout.
    let third = [(1, 10, 3, 2), (2, 14, 3, 1)];
    let both = || moved(moved(opened(), 2, 2, &ASKED), 3, 3, &third);
    let last = [(0, 6, 2, 2), (1, 10, 3, 3), (2, 14, 3, 3)];
    read(both(), 3, &last).is("bank", "valid", "");
    // While both are on their way: the second without the first adds up, and never was.
    let torn = |seen: &[Account]| {
        let begun = opened().event(r#""process":2,"type":"invoke","f":"balances","key":"b""#);
        let moved =
            moved(moved(begun, 2, 2, &[(0, 6, 2, 1), (1, 14, 2, 1)]), 3, 3, &[(2, 10, 3, 1)]);
        let ok = format!(r#""process":2,"type":"ok","f":"balances","key":"b",{}"#, accounts(seen));
        read(moved.event(&ok), 0, &[(0, 6, 2, 2), (1, 14, 2, 2), (2, 10, 3, 3)])
    };
    torn(&OPENED).is("bank", "valid", "");
    torn(&MOVED).is("bank", "valid", "");
    torn(&[OPENED[0], OPENED[1], (2, 10, 3, 3)]).is(
        "bank",
        "invalid",
        "of version 3, and #0 of one before",
    );
}

#[test]
fn what_is_in_doubt_may_be_or_not_but_whole() {
    let doubted = || {
        let begun = invoke(opened(), 2, 2, &ASKED);
        begun.event(&format!(
            "\"process\":2,\"type\":\"info\",{},\"error\":\"timeout\"",
            transfer(2)
        ))
    };
    read(doubted(), 1, &OPENED).is("bank", "valid", "");
    read(doubted(), 2, &MOVED).is("bank", "valid", "");
    // It may come late, and stays.
    read(read(doubted(), 1, &OPENED), 2, &MOVED).is("bank", "valid", "");
    let gone = read(read(doubted(), 2, &MOVED), 3, &OPENED);
    gone.is("bank", "invalid", "it is of version 3, and #0 of one before");
    let gone = read(read(doubted(), 0, &MOVED), 0, &OPENED);
    gone.is("bank", "invalid", "it has version 1 of #0, where 2 was before it began");
    let halves = read(doubted(), 2, &[(0, 6, 2, 2), (1, 14, 2, 3), OPENED[2]]);
    halves.is("bank", "invalid", "as of version 3, which is of 2");
    // Nobody saw it, and another one has its version.
    let other = [(0, 9, 3, 1), (1, 11, 3, 1)];
    let seen = [(0, 9, 3, 2), (1, 11, 3, 2), OPENED[2]];
    read(moved(doubted(), 3, 2, &other), 2, &seen).is("bank", "valid", "");
    // Both were seen, and both count on the same.
    let both = moved(read(doubted(), 2, &MOVED), 3, 3, &other);
    let both = read(both, 3, &[(0, 9, 3, 3), (1, 11, 3, 3), OPENED[2]]);
    both.is("bank", "invalid", "transfer 3 counts on version 1 of #0, which was no more");
    let two = moved(read(doubted(), 2, &MOVED), 3, 2, &[(2, 10, 3, 1)]);
    read(two, 2, &MOVED).is("bank", "invalid", "transfers 2 and 3 have the same version, 2");
}

#[test]
fn a_transfer_finds_what_it_counts_on() {
    let twice = |version: u64| {
        let lost = moved(moved(opened(), 2, 2, &ASKED), 3, version, &[(0, 9, 3, 1), (1, 11, 3, 1)]);
        read(lost, 3, &[(0, 9, 3, 3), (1, 11, 3, 3), OPENED[2]])
    };
    twice(3).is("bank", "invalid", "transfer 3 counts on version 1 of #0, which was no more");
    // An order of versions that is not that of time.
    let back = moved(moved(opened(), 2, 5, &ASKED), 3, 4, &[(2, 10, 3, 1)]);
    let back = read(back, 5, &[(0, 6, 2, 5), (1, 14, 2, 5), (2, 10, 3, 4)]);
    back.is("bank", "invalid", "it has version 4, where 5 was before it began");
}

#[test]
fn a_refusal_is_a_reading() {
    let moved = || moved(opened(), 2, 2, &ASKED);
    let old = [(0, 9, 3, 1), (1, 11, 3, 1)];
    refused(moved(), 3, &old, 2, &MOVED).is("bank", "valid", "");
    let stale = || refused(moved(), 3, &old, 1, &OPENED);
    stale().is("bank", "invalid", "transfer 3 was refused, although all is as it counts on");
    let half = [OPENED[0], MOVED[1], MOVED[2]];
    refused(moved(), 3, &old, 2, &half).is("bank", "invalid", "the accounts have 34 together");
    // It is never seen itself.
    let seen =
        read(refused(moved(), 3, &old, 2, &MOVED), 3, &[(0, 9, 3, 3), (1, 11, 3, 3), OPENED[2]]);
    seen.is("bank", "invalid", "#0 shows transfer 3, which was refused");
    let before = moved_later(read(moved(), 3, &[(0, 9, 3, 3), (1, 11, 3, 3), OPENED[2]]));
    before.is("bank", "invalid", "#0 shows transfer 3, before it began");
}

fn moved_later(script: Script) -> Script {
    invoke(script, 1, 3, &[(0, 9, 3, 2), (1, 11, 3, 2)])
}

#[test]
fn a_bank_that_nobody_read_in_the_end_shows_nothing() {
    let last = || moved(read(opened(), 1, &OPENED), 2, 2, &ASKED);
    last().is("bank", "unknown", "1 banks were not read after the last of their transfers");
    read(last(), 2, &MOVED).is("bank", "valid", "");
    let less = last()
        .event(r#""process":2,"type":"invoke","f":"balances","key":"b","mode":"linearizable""#);
    let seen = accounts(&MOVED);
    let less = less.event(&format!(
        r#""process":2,"type":"ok","f":"balances","key":"b","mode":"stale",{seen}"#
    ));
    less.is("bank", "invalid", "promises less than was asked for");
}

#[test]
fn a_transfer_that_was_acknowledged_without_a_version_is_not_left_out() {
    let bare = invoke(opened(), 1, 2, &ASKED);
    let bare = bare.event(&format!("\"process\":1,\"type\":\"ok\",{},\"shard\":1", transfer(2)));
    read(bare, 1, &OPENED).is("bank", "invalid", "nothing tells its version");
}
