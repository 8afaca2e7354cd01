//! Operations in words.

use crate::history::{Account, Function, History, Operation, Outcome, Value};

/// Returns an operation as one line.
pub fn operation(history: &History, operation: &Operation) -> String {
    let key = operation.key.map_or("", |key| history.key(key));
    let (asked, seen) = (value(&operation.value), operation.answer().map(|it| value(&it.value)));
    let what = match operation.function {
        Function::Read => format!("read {key}: {}", seen.unwrap_or("?".to_owned())),
        Function::Write => format!("write {key} := {asked}"),
        Function::Cas => format!("cas {key}: {asked}"),
        Function::Delete => format!("delete {key}"),
        Function::Add => format!("add {asked}"),
        Function::ReadAll => format!("read the set: {}", seen.unwrap_or("?".to_owned())),
        Function::List => format!("list after {asked}: {}", seen.unwrap_or("?".to_owned())),
        Function::Transfer => {
            format!("transfer {asked} in {key}: {}", accounts(&operation.accounts))
        }
        Function::Balances => {
            let seen = operation.told().map(|(_, answer)| accounts(&answer.accounts));
            format!("balances of {key}: {}", seen.unwrap_or("?".to_owned()))
        }
        Function::Fault | Function::Heal | Function::Compare | Function::End => String::new(),
    };
    let began = ms(operation.call.time_ns);
    let ended = operation.end().map_or("...".to_owned(), |end| ms(end.time_ns));
    let outcome = match &operation.outcome {
        Outcome::Ok(_, answer) => {
            let facts = [
                ("n", answer.node.map(u64::from)),
                ("shard ", answer.shard.map(u64::from)),
                ("revision ", answer.revision),
                ("applied ", answer.applied),
            ];
            let facts = facts.into_iter().filter_map(|(name, it)| Some(format!("{name}{}", it?)));
            facts.collect::<Vec<_>>().join(", ")
        }
        Outcome::Fail(_, why, _) => format!("refused: {why}"),
        Outcome::Open(_, why) => format!("unknown: {why}"),
    };
    let line = format!("{began} to {ended} ms  client {}  {what}  {outcome}", operation.process);
    line.trim_end().to_owned()
}

/// Returns a value in few words.
pub fn value(value: &Value) -> String {
    let one = |value: &Option<u64>| value.map_or("nothing".to_owned(), |value| value.to_string());
    match value {
        Value::Null => "nothing".to_owned(),
        Value::One(value) => value.to_string(),
        Value::Pair(old, new) => format!("{} -> {new}", one(old)),
        Value::Many(values) => format!("{} elements", values.len()),
    }
}

/// Returns what is in accounts: `#0 has 95 by 7`.
fn accounts(accounts: &[Account]) -> String {
    if accounts.is_empty() {
        return "nothing".to_owned();
    }
    let one = |it: &Account| format!("#{} has {} by {}", it.account, it.balance, it.by);
    accounts.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Returns a time in milliseconds.
pub fn ms(ns: u64) -> String {
    format!("{}.{}", ns / 1_000_000, ns / 100_000 % 10)
}

/// Returns text that is text in HTML too.
pub fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}
