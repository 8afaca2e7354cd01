//! All checkers over one history, and what they say as JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::checker::bank::bank;
use crate::checker::certificate::certificate;
use crate::checker::coverage::{Minima, coverage};
use crate::checker::linearizable::linearizable;
use crate::checker::liveness::liveness;
use crate::checker::monotonic::monotonic;
use crate::checker::register::registers;
use crate::checker::replicas::replicas;
use crate::checker::search::Budget;
use crate::checker::set::set;
use crate::checker::stale::stale;
use crate::checker::ttl::ttl;
use crate::checker::{Finding, Verdict};
use crate::history::{Function, History, Operation, Outcome, Value as Seen};

/// How to judge: what a run demands of itself, kept beside its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long the search for an order may take, over all keys.
    pub search_ms: u64,
    /// How much memory it may take.
    pub search_bytes: usize,
    /// How much two clocks may differ over the age of a stale answer.
    pub clock_allowance_ms: u64,
    /// How long a shard has to serve again after the healing.
    pub patience_ms: u64,
    /// The least that must have been done.
    pub minima: Minima,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            search_ms: 30_000,
            search_bytes: 1 << 30,
            clock_allowance_ms: 20,
            patience_ms: 30_000,
            minima: Minima::default(),
        }
    }
}

/// What all checkers found.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The gravest of all verdicts.
    pub verdict: Verdict,
    /// Each of them.
    pub findings: Vec<Finding>,
}

/// Judges a history by every checker that it gives work to.
pub fn judge(history: &History, settings: &Settings) -> Judgement {
    let time = Duration::from_millis(settings.search_ms);
    let budget = Budget { time, memory_bytes: settings.search_bytes };
    let registers = registers(history);
    let mut findings = Vec::new();
    let keyed = || history.operations.iter().filter(|it| it.key.is_some());
    // A bank is judged as a whole, not key by key.
    let is_bank = |it: &Operation| matches!(it.function, Function::Transfer | Function::Balances);
    let mut lies = Vec::new();
    if keyed().any(|it| !is_bank(it)) {
        let (finding, more) = linearizable(history, &registers, false, budget);
        findings.push(finding);
        lies.extend(more);
    }
    if registers.iter().any(|register| register.leased) {
        let (finding, more) = linearizable(history, &registers, true, budget);
        findings.push(finding);
        lies.extend(more);
    }
    if keyed().next().is_some() {
        findings.push(certificate(history, lies));
    }
    findings.extend(stale(history, Duration::from_millis(settings.clock_allowance_ms)));
    findings.extend(monotonic(history));
    findings.extend(ttl(history));
    findings.extend(set(history));
    findings.extend(bank(history));
    findings.extend(replicas(history));
    findings.extend(liveness(history, Duration::from_millis(settings.patience_ms)));
    findings.push(coverage(history, &settings.minima));
    let verdicts = findings.iter().map(|finding| finding.verdict.clone());
    let verdict = verdicts.fold(Verdict::Valid, Verdict::and);
    Judgement { verdict, findings }
}

impl Judgement {
    /// Returns what `results.json` holds.
    pub fn to_json(&self, history: &History, settings: &Settings) -> Value {
        let findings = self.findings.iter().map(|finding| finding_json(history, finding));
        json!({
            "verdict": self.verdict.word(),
            "checkers": findings.collect::<Vec<_>>(),
            "events": history.events,
            "operations": history.operations.len(),
            "cut_bytes": history.cut_bytes,
            "settings": settings,
        })
    }
}

fn finding_json(history: &History, finding: &Finding) -> Value {
    let mut json = json!({
        "checker": finding.checker,
        "verdict": finding.verdict.word(),
        "grounds": finding.grounds,
    });
    match &finding.verdict {
        Verdict::Valid => {}
        Verdict::Unknown(why) => json["why"] = json!(why),
        Verdict::Invalid(found) => {
            let operations = found.operations.iter().map(|&place| &history.operations[place]);
            let operations = operations.map(|operation| operation_json(history, operation));
            json["why"] = json!(found.why);
            json["key"] = json!(found.key);
            json["minimal"] = json!(found.minimal);
            json["operations"] = operations.collect();
        }
    }
    json
}

/// An operation as one object: its invocation's place and time, and what became of it.
fn operation_json(history: &History, operation: &Operation) -> Value {
    let mut json = json!({
        "process": operation.process,
        "f": operation.function,
        "key": operation.key.map(|key| history.key(key)),
        "call": operation.call.index,
        "call_ns": operation.call.time_ns,
    });
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            json[name] = value;
        }
    };
    set("value", json!(operation.value));
    set("mode", json!(operation.mode));
    set("ttl_ms", json!(operation.ttl_ms));
    set("end", json!(operation.end().map(|end| end.index)));
    set("end_ns", json!(operation.end().map(|end| end.time_ns)));
    set("error", json!(operation.error()));
    let kind = match &operation.outcome {
        Outcome::Ok(..) => "ok",
        Outcome::Fail(..) => "fail",
        Outcome::Open(..) => "info",
    };
    set("type", json!(kind));
    if let Some(answer) = operation.answer() {
        let whole = matches!(answer.value, Seen::Many(_));
        let is_read =
            matches!(operation.function, Function::Read | Function::ReadAll | Function::List);
        if is_read && !whole {
            json["value"] = json!(answer.value);
        }
        let facts = [
            ("node", json!(answer.node)),
            ("shard", json!(answer.shard)),
            ("revision", json!(answer.revision)),
            ("applied", json!(answer.applied)),
            ("term", json!(answer.term)),
            ("log_time_ms", json!(answer.log_time_ms)),
            ("staleness_ms", json!(answer.staleness_ms)),
        ];
        for (name, value) in facts.into_iter().filter(|(_, value)| !value.is_null()) {
            json[name] = value;
        }
    }
    json
}
