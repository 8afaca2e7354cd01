//! How long it takes to judge a million operations: `cargo bench -p steadfast-jepsen`.
//!
//! A correct cluster is played, with clients that overlap and writes whose outcome is unknown. The
//! history is judged as it is, by witness, and again without revisions, by zones. Another count of
//! operations may follow as argument.

use std::time::Instant;

use steadfast_jepsen::checker::{Finding, Verdict};
use steadfast_jepsen::history::{
    Answer, Event, Function, History, Kind, Pairing, Process, Term, Value,
};
use steadfast_jepsen::judge::{Settings, judge};

const OPERATIONS: u64 = 1_000_000;
const CLIENTS: u64 = 50;
const KEYS: u64 = 100;

/// A key's value and version.
type Stored = Option<(u64, u64)>;

fn event(index: u64, process: u64, kind: Kind, function: Function, key: u64) -> Event {
    let line = format!(
        "{{\"index\":{index},\"time\":{},\"process\":{process},\"type\":\"info\",\"f\":\"read\"}}",
        index * 1_000
    );
    let event: Event = serde_json::from_str(&line).expect("it is an event");
    let process = Process::Client(process);
    Event { kind, function, process, key: Some(format!("k{key}")), ..event }
}

/// Plays `count` operations: of the clients in turn one begins, and the one that waits longest ends.
fn play(count: u64, claims: bool) -> History {
    let mut pairing = Pairing::default();
    let mut state: Vec<Stored> = vec![None; usize::try_from(KEYS).expect("a few")];
    let mut processes: Vec<u64> = (0..CLIENTS).collect();
    let (mut index, mut applied, mut fresh, mut random) = (0, 0, CLIENTS, 1_u64);
    for round in 0..count / CLIENTS {
        let mut ends = Vec::new();
        for process in &mut processes {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let (key, writes) = ((random >> 33) % KEYS, (random >> 20).is_multiple_of(2));
            let function = if writes { Function::Write } else { Function::Read };
            let value = if writes { Value::One(index) } else { Value::Null };
            let begun = event(index, *process, Kind::Invoke, function, key);
            pairing.take(Event { value: value.clone(), ..begun }).expect("it is idle");
            let stored = &mut state[usize::try_from(key).expect("a few")];
            if writes {
                applied += 1;
                *stored = Some((index, applied));
            }
            index += 1;
            let answer = Answer {
                value: stored.map_or(Value::Null, |(value, _)| Value::One(value)),
                shard: Some(1),
                revision: stored.map(|(_, revision)| revision).filter(|_| claims),
                applied: claims.then_some(applied),
                term: Some(Term { number: 1, node: 1 }),
                log_time_ms: Some(applied),
                ..Answer::default()
            };
            let is_open = writes && random.is_multiple_of(1_000);
            ends.push((*process, function, key, answer, is_open));
            if is_open {
                *process = fresh;
                fresh += 1;
            }
        }
        let turn = usize::try_from(round % CLIENTS).expect("a few");
        ends.rotate_left(turn);
        for (process, function, key, answer, is_open) in ends {
            let kind = if is_open { Kind::Info } else { Kind::Ok };
            let ended = event(index, process, kind, function, key);
            index += 1;
            let Answer { value, shard, revision, applied, term, log_time_ms, .. } = answer;
            let ended = Event { value, shard, revision, applied, term, log_time_ms, ..ended };
            pairing.take(ended).expect("it waits");
        }
    }
    pairing.finish()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
#[expect(clippy::print_stdout, reason = "a benchmark tells its results")]
fn main() {
    // Cargo adds `--bench`.
    let count = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(OPERATIONS);
    for (how, claims) in [("by witness", true), ("by zones", false)] {
        let history = play(count, claims);
        let began = Instant::now();
        let judgement = judge(&history, &Settings::default());
        let took = began.elapsed();
        println!("{} operations {how}: {took:?}", history.operations.len());
        for Finding { checker, verdict, grounds } in judgement.findings {
            println!("  {checker:12} {:8} {grounds}", verdict.word());
            assert!(!matches!(verdict, Verdict::Invalid(_)), "a correct cluster was played");
        }
    }
}
