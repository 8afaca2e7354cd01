//! Each judge of whole histories, on the shortest ones that it must tell apart.

use std::collections::BTreeSet;

use crate::checker::coverage::Minima;
use crate::checker::{Finding, Verdict};
use crate::history::{Event, History, Mode, Pairing};
use crate::judge::{Settings, judge};

/// A history, written down operation by operation.
#[derive(Default)]
pub(super) struct Script {
    pairing: Pairing,
    index: u64,
    ms: u64,
}

impl Script {
    /// Goes on at this time.
    pub(super) fn at(mut self, ms: u64) -> Self {
        self.ms = ms;
        self
    }

    /// Adds an event; the time goes on by 1 ms.
    pub(super) fn event(mut self, members: &str) -> Self {
        let (index, time) = (self.index, self.ms * 1_000_000);
        let line = format!("{{\"index\":{index},\"time\":{time},{members}}}");
        let event: Event = serde_json::from_str(&line).expect(&line);
        self.pairing.take(event).expect(&line);
        (self.index, self.ms) = (self.index + 1, self.ms + 1);
        self
    }

    /// Adds an operation that is done at once: what both its events say, and the end alone.
    pub(super) fn ok(self, both: &str, end: &str) -> Self {
        let invoked = self.event(&format!("\"process\":1,\"type\":\"invoke\",{both}"));
        // The value that was read replaces the one that was asked with.
        let comma = if end.is_empty() { "" } else { "," };
        invoked.event(&format!("\"process\":1,\"type\":\"ok\",{both}{comma}{end}"))
    }

    fn fault(self, function: &str, fault: &str) -> Self {
        self.event(&format!(
            "\"process\":\"nemesis\",\"type\":\"info\",\"f\":\"{function}\",\"fault\":{fault}"
        ))
    }

    fn history(self) -> History {
        self.pairing.finish()
    }

    /// What one checker says.
    pub(super) fn says(self, checker: &str) -> Option<Finding> {
        let judgement = judge(&self.history(), &Settings::default());
        judgement.findings.into_iter().find(|finding| finding.checker == checker)
    }

    #[track_caller]
    pub(super) fn is(self, checker: &str, word: &str, why: &str) {
        let found = self.says(checker).expect("it has something to say");
        assert_eq!(found.verdict.word(), word, "{found:?}");
        let said = match &found.verdict {
            Verdict::Valid => "",
            Verdict::Invalid(found) => &found.why,
            Verdict::Unknown(why) => why,
        };
        assert!(said.contains(why), "{said}");
    }
}

pub(super) fn begin() -> Script {
    Script::default()
}

const WRITE_1: &str = r#""f":"write","key":"k","value":1"#;
const WRITE_2: &str = r#""f":"write","key":"k","value":2"#;
const READ: &str = r#""f":"read","key":"k""#;
const LEASE: &str = r#""f":"read","key":"k","mode":"lease""#;
const STALE: &str = r#""f":"read","key":"k","mode":"stale""#;

/// The facts of an answer of shard 1.
fn facts(revision: u64, applied: u64, log_time: u64) -> String {
    let revision = if revision == 0 { String::new() } else { format!("\"revision\":{revision},") };
    format!("\"shard\":1,{revision}\"applied\":{applied},\"log_time_ms\":{log_time}")
}

fn read(value: u64, revision: u64, applied: u64, log_time: u64) -> String {
    let value = if value == 0 { "null".to_owned() } else { value.to_string() };
    format!("\"value\":{value},{}", facts(revision, applied, log_time))
}

#[test]
fn lease_reads_are_judged_apart() {
    let written = || begin().ok(WRITE_1, &facts(1, 1, 10)).ok(WRITE_2, &facts(2, 2, 20));
    let right = || written().ok(LEASE, &read(2, 2, 2, 21));
    right().is("lease", "valid", "");
    let wrong = || written().ok(LEASE, &read(1, 1, 1, 11));
    wrong().is("lease", "invalid", "a read missed a write");
    wrong().is("linearizable", "valid", "");
    wrong().is("monotonic", "invalid", "the count of shard 1 goes back from 2 to 1");
    // An answer that promises more is held to that.
    let invoke = format!("\"process\":2,\"type\":\"invoke\",{LEASE}");
    let facts = read(1, 1, 1, 11);
    let ok = format!("\"process\":2,\"type\":\"ok\",{READ},\"mode\":\"linearizable\",{facts}");
    written().event(&invoke).event(&ok).is("linearizable", "invalid", "a read missed a write");
}

#[test]
fn an_answer_promises_no_less_than_was_asked_for() {
    let invoke = r#""process":1,"type":"invoke","f":"read","key":"k","mode":"linearizable""#;
    let ok = r#""process":1,"type":"ok","f":"read","key":"k","value":null,"mode":"stale""#;
    begin().event(invoke).event(ok).is("linearizable", "invalid", "promises less");
}

#[test]
fn a_lease_read_that_was_answered_with_less_is_found_though_none_promises_a_lease() {
    let answered = |mode: &str| {
        let invoke = format!("\"process\":2,\"type\":\"invoke\",{LEASE}");
        let (written, facts) = (facts(1, 1, 10), read(1, 1, 1, 10));
        let ok = format!(
            "\"process\":2,\"type\":\"ok\",{READ},\"mode\":\"{mode}\",\"staleness_ms\":5,{facts}"
        );
        begin().ok(WRITE_1, &written).event(&invoke).event(&ok)
    };
    answered("stale").is("lease", "invalid", "promises less than was asked for");
    answered("linearizable").is("lease", "valid", "");
}

#[test]
fn versions_that_lie_are_found_where_the_values_are_right() {
    let written = || begin().ok(WRITE_1, &facts(1, 1, 10)).ok(WRITE_2, &facts(2, 2, 20));
    written().is("certificate", "valid", "");
    let lied = || written().ok(READ, &read(2, 1, 2, 21));
    lied().is("linearizable", "valid", "");
    lied().is("certificate", "invalid", "different versions of one value");
    let twice = begin()
        .ok(WRITE_1, &facts(1, 1, 10))
        .ok(r#""f":"write","key":"other","value":9"#, &facts(1, 1, 11));
    twice.is("certificate", "invalid", "two mutations of shard 1 have the revision 1");
    let deleted = |end: &str| {
        let other = r#""f":"write","key":"other","value":9"#;
        let deleted = begin().ok(WRITE_1, &facts(1, 1, 10)).ok(r#""f":"delete","key":"k""#, end);
        deleted.ok(other, &facts(2, 2, 12))
    };
    deleted(&facts(2, 2, 11)).is(
        "certificate",
        "invalid",
        "mutations of shard 1 have the revision 2",
    );
    // One that found nothing is no mutation.
    deleted(&facts(0, 2, 11)).is("certificate", "valid", "");
    begin().ok(WRITE_1, &facts(2, 1, 10)).is("certificate", "invalid", "its revision is 2");
    begin().ok(WRITE_1, "").is("certificate", "unknown", "no answer names a revision");
}

#[test]
fn a_stale_answer_is_as_old_as_it_admits() {
    let aged = |at: u64, age: u64, read: String| {
        let written = begin().ok(WRITE_1, &facts(1, 1, 10)).ok(WRITE_2, &facts(2, 2, 20)).at(at);
        written.ok(STALE, &format!("{read},\"staleness_ms\":{age}"))
    };
    aged(1_000, 980, read(1, 1, 1, 10)).is("stale", "valid", "");
    aged(1_000, 900, read(1, 1, 1, 10)).is("stale", "invalid", "admits 900 ms misses");
    aged(1_000, 900, read(0, 0, 1, 10)).is("stale", "invalid", "admits 900 ms misses");
    // Without counts it is the values that tell.
    aged(1_000, 900, "\"value\":1".to_owned()).is("stale", "invalid", "admits 900 ms misses");
    aged(1_000, 980, "\"value\":1".to_owned()).is("stale", "valid", "");
    aged(1_000, 0, read(2, 2, 2, 20)).is("stale", "valid", "");
    aged(1_000, 0, read(7, 2, 2, 20)).is("stale", "invalid", "nobody wrote");
    let early = begin().ok(STALE, r#""value":1,"staleness_ms":5"#).ok(WRITE_1, &facts(1, 1, 10));
    early.is("stale", "invalid", "before its write had begun");
    begin().ok(STALE, &read(0, 0, 0, 1)).is("stale", "unknown", "do not say how old");
    // It is no matter of the others.
    let finding = aged(1_000, 980, read(1, 1, 1, 10)).says("linearizable").expect("writes are");
    assert_eq!(finding.verdict, Verdict::Valid);
}

#[test]
fn a_stale_absence_misses_what_nothing_can_have_removed() {
    // Every count is as it should be: it is the values that tell.
    let gone = |before: Script| {
        let written = before.at(20).ok(WRITE_2, &facts(2, 2, 20)).at(1_000);
        written.ok(STALE, &format!("{},\"staleness_ms\":900", read(0, 0, 9, 20)))
    };
    let delete = r#""f":"delete","key":"k""#;
    let for_a_while = &format!("{WRITE_1},\"ttl_ms\":100");
    let open = |what: &str| begin().event(&format!("\"process\":2,\"type\":\"invoke\",{what}"));
    gone(begin()).is("stale", "invalid", "admits 900 ms misses");
    gone(open(WRITE_1)).is("stale", "invalid", "admits 900 ms misses");
    // What had ended before the write began was overwritten.
    gone(begin().ok(delete, &facts(1, 1, 10))).is("stale", "invalid", "admits 900 ms misses");
    gone(begin().ok(for_a_while, &facts(1, 1, 10))).is("stale", "invalid", "admits 900 ms misses");
    for what in [delete, for_a_while] {
        gone(open(what)).is("stale", "valid", "");
        let grounds = gone(open(what)).says("stale").expect("it says something").grounds;
        assert!(grounds.contains("1 absences that a deletion or a ttl may explain"), "{grounds}");
    }
    // What began later explains nothing.
    let late = gone(begin()).ok(delete, &facts(10, 10, 30));
    late.is("stale", "invalid", "admits 900 ms misses");
    let written = begin().ok(WRITE_2, &facts(1, 1, 10)).ok(delete, &facts(2, 2, 20)).at(1_000);
    let deleted = written.ok(STALE, &format!("{},\"staleness_ms\":900", read(0, 0, 2, 20)));
    deleted.is("stale", "valid", "");
}

#[test]
fn a_shards_clock_never_goes_back() {
    let back = begin().ok(WRITE_1, &facts(1, 1, 10)).ok(READ, &read(1, 1, 1, 9));
    back.is("monotonic", "invalid", "the clock of shard 1 goes back from 10 to 9");
    // Those that overlap have no order.
    let invoke = r#""process":2,"type":"invoke","f":"read","key":"k""#;
    let ok =
        format!("\"process\":2,\"type\":\"ok\",\"f\":\"read\",\"key\":\"k\",{}", read(0, 0, 0, 9));
    let overlap = begin().event(invoke).ok(WRITE_1, &facts(1, 1, 10)).event(&ok);
    overlap.is("monotonic", "valid", "");
}

#[test]
fn keys_expire_by_log_time() {
    let with_ttl = format!("{WRITE_1},\"ttl_ms\":100");
    let written = || begin().ok(&with_ttl, &facts(1, 1, 1_000));
    let gone = || written().ok(READ, &read(0, 0, 1, 1_100));
    gone().is("ttl", "valid", "");
    gone().is("linearizable", "valid", "");
    let seen = |log_time| written().ok(READ, &read(1, 1, 1, log_time));
    seen(1_099).is("ttl", "unknown", "no key was read after it had expired");
    seen(1_100).is("ttl", "invalid", "0 ms past its deadline");
    let early = written().ok(READ, &read(0, 0, 1, 1_050));
    early.is("ttl", "invalid", "gone 50 ms before its deadline");
    let deleted = written().ok(r#""f":"delete","key":"k""#, &facts(2, 2, 1_010));
    let deleted = deleted.ok(READ, &read(0, 0, 2, 1_050));
    deleted.is("ttl", "unknown", "no key was read");
    // Of an open write nobody knows the deadline; that it comes back is wrong all the same.
    let open = format!("\"process\":2,\"type\":\"invoke\",{with_ttl}");
    let risen = begin().event(&open).ok(READ, &read(1, 1, 1, 1_000));
    let risen = risen.ok(READ, &read(0, 0, 1, 1_200)).ok(READ, &read(1, 1, 1, 1_300));
    risen.is("ttl", "invalid", "it was absent, and then it was there again");
}

#[test]
fn what_may_have_been_written_explains_an_absence_only_if_it_goes() {
    let with_ttl = format!("{WRITE_1},\"ttl_ms\":100");
    let written = || begin().ok(&with_ttl, &facts(1, 1, 1_000));
    let open = |what: &str| written().event(&format!("\"process\":2,\"type\":\"invoke\",{what}"));
    let early = |what: &str| open(what).ok(READ, &read(0, 0, 1, 1_050));
    early(WRITE_2).is("ttl", "invalid", "gone 50 ms before its deadline");
    early(r#""f":"delete","key":"k""#).is("ttl", "unknown", "no key was read");
    early(&format!("{WRITE_2},\"ttl_ms\":9")).is("ttl", "unknown", "no key was read");
    // A write for good drops the deadline.
    let dropped = || written().ok(WRITE_2, &facts(2, 2, 1_010));
    let kept = dropped().ok(READ, &read(2, 2, 2, 9_000));
    kept.is("ttl", "unknown", "no key was read after it had expired");
    let gone = dropped().ok(READ, &read(0, 0, 2, 9_000));
    gone.is("ttl", "invalid", "it was gone, although it had no deadline");
}

#[test]
fn an_open_write_explains_an_absence_only_once_it_can_have_expired() {
    let with_ttl =
        |value: u64, ms: u64| format!(r#""f":"write","key":"k","value":{value},"ttl_ms":{ms}"#);
    let open = |script: Script, what: &str| {
        script.event(&format!("\"process\":2,\"type\":\"invoke\",{what}"))
    };
    // One key expires as it should, so that there is something to judge by.
    let begun = || {
        let written = begin().ok(&with_ttl(7, 10), &facts(1, 1, 900));
        written.ok(READ, &read(0, 0, 1, 910))
    };
    let gone = |what: &str, at: u64| {
        let written = open(begun(), what).ok(WRITE_2, &facts(2, 2, 1_000));
        written.ok(READ, &read(0, 0, 2, at))
    };
    let for_3475_ms = with_ttl(9, 3_475);
    gone(&for_3475_ms, 1_283).is("ttl", "invalid", "it was gone, although it had no deadline");
    gone(&for_3475_ms, 4_474).is("ttl", "invalid", "it was gone, although it had no deadline");
    gone(&for_3475_ms, 4_475).is("ttl", "valid", "");
    gone(r#""f":"delete","key":"k""#, 1_283).is("ttl", "valid", "");
    // What began after the absence does not count.
    let delete = r#""process":3,"type":"invoke","f":"delete","key":"k""#;
    let late = gone(WRITE_1, 1_283).event(delete);
    late.is("ttl", "invalid", "it was gone");
    // Where most of it may be explained by what nobody knows it is not proven.
    let often = || gone(&for_3475_ms, 4_475).ok(READ, &read(0, 0, 2, 4_476));
    often().is("ttl", "unknown", "of 3 absences operations in doubt may explain 2");
    let grounds = often().says("ttl").expect("it says something").grounds;
    assert!(grounds.contains("of 3 absences 2 not judged"), "{grounds}");
}

#[test]
fn what_is_said_to_be_left_ends_by_the_deadline() {
    let with_ttl = format!("{WRITE_1},\"ttl_ms\":100");
    let written = || begin().ok(&with_ttl, &facts(1, 1, 1_000));
    let left = |ms: u64| format!("{},\"ttl_ms\":{ms}", read(1, 1, 1, 1_040));
    let gone = |script: Script| script.ok(READ, &read(0, 0, 1, 1_100));
    gone(written().ok(READ, &left(60))).is("ttl", "valid", "");
    gone(written().ok(READ, &left(1))).is("ttl", "valid", "");
    gone(written().ok(READ, &left(61))).is("ttl", "invalid", "61 ms are said to be left, where");
    gone(written().ok(READ, &left(0))).is("ttl", "invalid", "0 ms are said to be left");
    let for_good = written().ok(WRITE_2, &facts(2, 2, 1_010));
    let said = for_good.ok(READ, &format!("{},\"ttl_ms\":5", read(2, 2, 2, 1_020)));
    said.is("ttl", "invalid", "5 ms are said to be left of what has no deadline");
}

#[test]
fn a_refusal_shows_what_the_key_is() {
    let cas = |counts_on: u64, old: &str| {
        let cas = format!("\"f\":\"cas\",\"key\":\"k\",\"value\":[{old},9]");
        let revision =
            if counts_on == 0 { String::new() } else { format!(",\"revision\":{counts_on}") };
        (format!("\"process\":2,\"type\":\"invoke\",{cas}{revision}"), cas)
    };
    let refused = |script: Script, (invoke, cas): (String, String), facts: &str| {
        let shown = if facts.is_empty() { String::new() } else { format!(",{facts}") };
        script.event(&invoke).event(&format!("\"process\":2,\"type\":\"fail\",{cas}{shown}"))
    };
    let written = || begin().ok(WRITE_1, &facts(1, 1, 10)).ok(WRITE_2, &facts(2, 2, 20));
    let right = || refused(written(), cas(1, "1"), &facts(2, 2, 21));
    for checker in ["linearizable", "certificate", "monotonic"] {
        right().is(checker, "valid", "");
    }
    // It is a read: of what was replaced, of what is gone again, of what nobody wrote.
    let old = || refused(written(), cas(2, "2"), &facts(1, 1, 11));
    old().is("linearizable", "invalid", "a read missed a write");
    old().is("monotonic", "invalid", "the count of shard 1 goes back from 2 to 1");
    let absent = || refused(written(), cas(2, "2"), &facts(0, 2, 21));
    absent().is("linearizable", "invalid", "a read missed a write");
    // Refused with the version that it counted on, or as absent although that was asked for.
    let why = "it was refused, although the key had the very version";
    refused(written(), cas(2, "2"), &facts(2, 2, 21)).is("certificate", "invalid", why);
    refused(begin(), cas(0, "null"), &facts(0, 0, 21)).is("certificate", "invalid", why);
    refused(written(), cas(2, "2"), &facts(3, 2, 21)).is("certificate", "invalid", "its revision");
    // Of a version whose write nobody saw acknowledged, and of nothing, it says nothing.
    let open = written().event(&format!(
        "\"process\":3,\"type\":\"invoke\",{}",
        r#""f":"write","key":"k","value":3"#
    ));
    refused(open, cas(2, "2"), &facts(3, 3, 21)).is("linearizable", "valid", "");
    refused(written(), cas(2, "2"), "").is("certificate", "valid", "");
}

#[test]
fn a_set_keeps_what_was_added() {
    let add = |value: u64| format!("\"f\":\"add\",\"key\":\"e{value}\",\"value\":{value}");
    let all = |seen: &str| format!("\"value\":{seen}");
    let added = || begin().ok(&add(1), "").ok(&add(2), "");
    let reading = r#""f":"read-all""#;
    added().ok(reading, &all("[2,1]")).is("set", "valid", "");
    added().ok(reading, &all("[2]")).is("set", "invalid", "the element 1 is lost");
    let stale = added().ok(reading, &all("[2]")).ok(reading, &all("[1,2]"));
    stale.is("set", "invalid", "the element 1 is missing, and there again later");
    added().ok(reading, &all("[1,2,3]")).is("set", "invalid", "nobody added 3");
    added().ok(reading, &all("[1,2,2]")).is("set", "invalid", "the element 2 is doubled");
    let unread = begin().ok(&add(1), "").ok(reading, &all("[1]")).ok(&add(2), "");
    unread.is("set", "unknown", "1 elements were known to nobody");
    let open = format!("\"process\":2,\"type\":\"invoke\",{}", add(3));
    let refused = format!("\"process\":2,\"type\":\"fail\",{}", add(3));
    added().event(&open).ok(reading, &all("[1,2]")).is("set", "valid", "");
    added().event(&open).ok(reading, &all("[1,2,3]")).is("set", "valid", "");
    let seen = added().event(&open).ok(reading, &all("[1,2,3]")).ok(reading, &all("[1,2]"));
    seen.is("set", "invalid", "the element 3 is lost");
    let back = added().event(&open).event(&refused).ok(reading, &all("[1,2,3]"));
    back.is("set", "invalid", "although its addition was refused");
    added().ok(reading, &all("[1,2,3]")).event(&open).is("set", "invalid", "before it was added");
}

#[test]
fn what_is_healed_serves_again() {
    let broken = || {
        let written = begin().ok(WRITE_1, &facts(1, 1, 10));
        written.fault("fault", r#"{"name":"kill","nodes":[2],"bit":true}"#)
    };
    broken().is("liveness", "unknown", "nothing was healed");
    let healed = || broken().at(2_000).fault("heal", r#"{"name":"kill"}"#);
    healed().ok(READ, &read(1, 1, 1, 11)).is("liveness", "valid", "");
    healed().is("liveness", "unknown", "the history ends before");
    let late = || healed().at(40_000);
    late().ok(READ, &read(1, 1, 1, 11)).is("liveness", "invalid", "shard 1 did not answer within");
    // A stale answer needs no majority.
    let stale = || healed().ok(STALE, &format!("{},\"staleness_ms\":1", read(1, 1, 1, 11)));
    stale().is("liveness", "unknown", "shard 1 answered nothing");
    assert!(begin().ok(WRITE_1, "").says("liveness").is_none());
}

#[test]
fn green_needs_work_and_evidence() {
    let worked = |fault: &str| {
        let begun = begin().ok(WRITE_1, &facts(1, 1, 10)).fault("fault", fault);
        let worked = (0..100).fold(begun, |script, _| script.ok(READ, &read(1, 1, 1, 10)));
        let healed = worked.fault("heal", r#"{"name":"kill"}"#);
        healed.ok(READ, &read(1, 1, 1, 10))
    };
    worked(r#"{"name":"kill","bit":true}"#).is("coverage", "valid", "");
    let toothless = "nothing shows that the kill at 2 ms did anything";
    worked(r#"{"name":"kill","bit":false}"#).is("coverage", "unknown", toothless);
    worked(r#"{"name":"kill"}"#).is("coverage", "unknown", toothless);
    begin().ok(WRITE_1, "").is("coverage", "unknown", "acknowledged operations: 1 where 100");
    let whole = judge(&worked(r#"{"name":"kill","bit":true}"#).history(), &Settings::default());
    assert_eq!(whole.verdict, Verdict::Valid);
    let mut settings = Settings::default();
    settings.minima.faults.insert("kill".to_owned(), 1);
    let whole = judge(&worked(r#"{"name":"kill","bit":true}"#).history(), &settings);
    assert_eq!(whole.verdict, Verdict::Valid);
    // One that was asked for and never done is missed.
    settings.minima.faults.insert("power-cut".to_owned(), 1);
    let whole = judge(&worked(r#"{"name":"kill","bit":true}"#).history(), &settings);
    let missed = "power-cut with evidence: 0 where 1 are the least";
    assert_eq!(whole.verdict, Verdict::Unknown(missed.to_owned()));
    settings.minima.faults.clear();
    settings.minima.leader_changes = 1;
    let whole = judge(&worked(r#"{"name":"kill","bit":true}"#).history(), &settings);
    assert!(matches!(whole.verdict, Verdict::Unknown(_)), "{whole:?}");
}

#[test]
fn a_fault_without_evidence_is_seen_though_another_of_its_kind_lasts() {
    let fault = |step: u32, bit: bool| format!(r#"{{"name":"kill","step":{step},"bit":{bit}}}"#);
    let healed = |step: u32| format!(r#"{{"name":"kill","step":{step}}}"#);
    let both = |second: bool| {
        let broken = begin().fault("fault", &fault(0, true)).fault("fault", &fault(1, second));
        let healed = broken.fault("heal", &healed(0)).fault("heal", &healed(1));
        (0..100).fold(healed, |script, _| script.ok(READ, &read(0, 0, 0, 10)))
    };
    both(true).is("coverage", "valid", "");
    both(false).is("coverage", "unknown", "nothing shows that the kill at 1 ms did anything");
}

#[test]
fn what_a_history_lacks_is_missed() {
    let mark = r#""process":"observer","type":"info","f":"end""#;
    let compared = |node: u32| {
        let told = r#""as_of":[7,"1.1"],"hash":"aa""#;
        let event = r#""process":"observer","type":"info","f":"compare","shard":1"#;
        format!("{event},\"replicas\":[{{\"node\":{node},{told}}},{{\"node\":3,{told}}}]")
    };
    let said = |script: Script, minima: Minima| {
        let settings = Settings { minima, ..Settings::default() };
        let found = judge(&script.history(), &settings).findings;
        let coverage = found.into_iter().find(|finding| finding.checker == "coverage");
        match coverage.expect("it always says something").verdict {
            Verdict::Unknown(why) => why,
            Verdict::Valid | Verdict::Invalid(_) => "decided".to_owned(),
        }
    };
    let work = || begin().ok(WRITE_1, &facts(1, 1, 10)).ok(LEASE, &read(1, 1, 1, 10));
    let few = || Minima { ok: 1, ..Minima::default() };
    let whole = || work().event(&compared(1)).event(mark);
    let nodes = BTreeSet::from([1, 3]);
    let all = || Minima { shards: 1, modes: BTreeSet::from([Mode::Lease]), ended: true, ..few() };
    assert_eq!(said(whole(), Minima { nodes: nodes.clone(), ..all() }), "decided");
    let shards = said(whole(), Minima { shards: 2, ..all() });
    assert_eq!(shards, "acknowledged by shard 2: 0 where 1 are the least");
    let modes = said(whole(), Minima { modes: BTreeSet::from([Mode::Stale]), ..all() });
    assert_eq!(modes, "answered stale reads: 0 where 1 are the least");
    let silent = work().event(&compared(2)).event(mark);
    let silent = said(silent, Minima { nodes: nodes.clone(), ..all() });
    assert_eq!(silent, "hashes of states told by n1 in the end: 0 where 1 are the least");
    // What was told before the healing is not of the end.
    let early = work().event(&compared(1)).at(1_000);
    let early = early.fault("heal", r#"{"name":"kill"}"#).event(mark);
    assert!(said(early, Minima { nodes, ..all() }).contains("told by n1 in the end"));
    assert_eq!(said(work(), all()), "the history was cut: it lacks the mark of its end");
    let after = said(whole().ok(READ, &read(1, 1, 1, 10)), all());
    assert_eq!(after, "the history was cut: it lacks the mark of its end");
    assert_eq!(said(work(), few()), "decided");
    let mut torn = work();
    torn.pairing.cut(9);
    assert!(said(torn, few()).contains("its last line is unfinished"));
}

#[test]
fn replicas_of_one_entry_have_one_state() {
    let look = |script: Script, seen: &str| {
        let event = "\"process\":\"observer\",\"type\":\"info\",\"f\":\"compare\",\"shard\":1";
        script.event(&format!("{event},\"replicas\":[{seen}]"))
    };
    let n = |node: u32, index: u64, term: u64, hash: &str| {
        format!(r#"{{"node":{node},"as_of":[{index},"{term}.1"],"hash":"{hash}"}}"#)
    };
    let both = |one: String, other: String| look(begin(), &format!("{one},{other}"));
    both(n(1, 7, 2, "aa"), n(2, 7, 2, "aa")).is("replicas", "valid", "");
    both(n(1, 7, 2, "aa"), n(2, 7, 2, "ab")).is("replicas", "invalid", "differ as of entry 7");
    both(n(1, 7, 2, "aa"), n(2, 7, 3, "aa")).is("replicas", "invalid", "of term 3.1");
    // Other entries have other states, and who was compared with nobody is not proven right.
    let apart = || both(n(1, 7, 2, "aa"), n(2, 8, 2, "ab"));
    apart().is("replicas", "unknown", "2 of 2 replicas were compared with no other");
    look(apart(), &n(1, 8, 2, "ab")).is("replicas", "valid", "");
    look(apart(), &n(1, 8, 2, "aa")).is("replicas", "invalid", "differ as of entry 8");
    // What a restart left of a state is held against what it was before.
    look(apart(), &n(1, 7, 2, "ac")).is("replicas", "invalid", "n1 has aa of term 2.1, n1 ac");
    let silent = format!("{},{},{{\"node\":3}}", n(1, 7, 2, "aa"), n(2, 7, 2, "aa"));
    look(begin(), &silent).is("replicas", "unknown", "shard 1 on n3");
    // What was equal before the healing says nothing of later.
    let healed = || {
        let equal = both(n(1, 7, 2, "aa"), n(2, 7, 2, "aa"));
        equal.fault("heal", r#"{"name":"kill"}"#)
    };
    healed().is("replicas", "unknown", "no replica was looked at in the end");
    look(healed(), &n(1, 9, 2, "aa")).is("replicas", "unknown", "1 of 1 replicas");
    assert!(begin().ok(WRITE_1, "").says("replicas").is_none());
}
