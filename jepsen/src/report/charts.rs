//! What a run looked like: rates, latencies, leaders, clients.

use std::collections::BTreeMap;

use super::plot::Plot;
use super::words;
use crate::checker::CounterExample;
use crate::checker::coverage::verb;
use crate::history::{Fault, History, Operation, Outcome};

/// How many points a curve has.
const POINTS: u64 = 120;
/// How many operations the picture of all clients shows at most.
const BARS_MAX: usize = 4_000;
const ROW: f64 = 12.0;
const NAMED_ROW: f64 = 24.0;

fn class(operation: &Operation) -> &'static str {
    match operation.outcome {
        Outcome::Ok(..) => "ok",
        Outcome::Fail(..) => "fail",
        Outcome::Open(..) => "info",
    }
}

/// Operations a second, by how they ended.
#[expect(clippy::cast_precision_loss, reason = "a drawing has few places")]
pub(super) fn rates(history: &History, faults: &[Fault]) -> String {
    let mut plot = Plot::new(0, history.last_ns, 150.0);
    let width_ns = (history.last_ns / POINTS).max(1);
    let mut counts: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for operation in &history.operations {
        let Some(end) = operation.end() else { continue };
        let points = usize::try_from(POINTS).unwrap_or_default() + 1;
        let curve = counts.entry(class(operation)).or_insert_with(|| vec![0; points]);
        curve[usize::try_from(end.time_ns / width_ns).unwrap_or_default().min(points - 1)] += 1;
    }
    let per_second = 1e9 / width_ns as f64;
    let most = counts.values().flatten().max().copied().unwrap_or(1).max(1) as f64;
    plot.shade(faults);
    plot.name(faults);
    for part in [0.0, 0.5, 1.0] {
        plot.rule(part, &format!("{:.0}/s", most * part * per_second));
    }
    for (class, curve) in counts {
        // The last is what is left beyond the whole points.
        let points = curve.iter().zip(0..POINTS);
        let points = points.map(|(count, i)| (i * width_ns, Some(*count as f64 / most)));
        plot.line(class, &points.collect::<Vec<_>>());
    }
    plot.finish()
}

/// How long acknowledged operations took: the median, 99 of 100, and the longest.
#[expect(clippy::cast_precision_loss, reason = "a drawing has few places")]
pub(super) fn latencies(history: &History, faults: &[Fault]) -> String {
    let mut plot = Plot::new(0, history.last_ns, 150.0);
    let width_ns = (history.last_ns / POINTS).max(1);
    let mut took: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for operation in &history.operations {
        let Outcome::Ok(end, _) = operation.outcome else { continue };
        let one_us = (end.time_ns - operation.call.time_ns) / 1_000;
        took.entry(end.time_ns / width_ns).or_default().push(one_us.max(10));
    }
    took.values_mut().for_each(|all| all.sort_unstable());
    // From 10 us to 10 s, by powers of ten.
    let part = |us: u64| ((us as f64).log10() - 1.0) / 6.0;
    plot.shade(faults);
    plot.name(faults);
    for (us, label) in [(10, "10us"), (100, "0.1ms"), (1_000, "1ms"), (10_000, "10ms")] {
        plot.rule(part(us), label);
    }
    for (us, label) in [(100_000, "0.1s"), (1_000_000, "1s"), (10_000_000, "10s")] {
        plot.rule(part(us), label);
    }
    for (class, per_cent) in [("longest", 100), ("most", 99), ("median", 50)] {
        let points = (0..POINTS).map(|i| {
            let all = took.get(&i).filter(|all| !all.is_empty());
            let one = all.map(|all| all[(all.len() - 1) * per_cent / 100]);
            (i * width_ns, one.map(part))
        });
        plot.line(class, &points.collect::<Vec<_>>());
    }
    plot.finish()
}

/// Who led each shard, by the terms of answers.
pub(super) fn leaders(history: &History, faults: &[Fault]) -> Option<String> {
    // Of each shard, by their ends: the terms that answers named.
    let mut seen: BTreeMap<u32, BTreeMap<_, (u64, u64)>> = BTreeMap::new();
    for operation in &history.operations {
        let Outcome::Ok(end, answer) = &operation.outcome else { continue };
        let Some((shard, term)) = answer.shard.zip(answer.term) else { continue };
        let terms = seen.entry(shard).or_default();
        let span = terms.entry(term).or_insert((end.time_ns, end.time_ns));
        *span = (span.0.min(end.time_ns), span.1.max(end.time_ns));
    }
    if seen.is_empty() {
        return None;
    }
    let whole = height(seen.len(), 22.0);
    let mut plot = Plot::new(0, history.last_ns, whole);
    plot.shade(faults);
    let mut y = 3.0;
    for (shard, terms) in seen {
        plot.rule(1.0 - (y + 8.0) / whole, &format!("s{shard}"));
        for (term, (from_ns, until_ns)) in terms {
            let class = format!("leader n{}", term.node % 8);
            let title = format!("shard {shard}: node {} leads in term {term}", term.node);
            plot.bar(&class, (from_ns, until_ns), (y, 16.0), &title);
            if 24.0 < plot.x(until_ns) - plot.x(from_ns) {
                plot.text(from_ns, y + 12.0, &format!("n{}", term.node));
            }
        }
        y += 22.0;
    }
    Some(plot.finish())
}

/// What the clients were at. A new client takes the row of one that is done.
pub(super) fn clients(history: &History, faults: &[Fault]) -> String {
    let step = history.operations.len().div_ceil(BARS_MAX).max(1);
    let mut rows: Vec<u64> = Vec::new();
    let mut bars = Vec::new();
    for (i, operation) in history.operations.iter().enumerate() {
        let (from_ns, end) = (operation.call.time_ns, operation.end());
        let until_ns = end.map_or(history.last_ns, |end| end.time_ns);
        let free = rows.iter().position(|free_ns| *free_ns <= from_ns);
        let row = free.unwrap_or_else(|| {
            rows.push(0);
            rows.len() - 1
        });
        rows[row] = until_ns.max(from_ns + 1);
        if i % step == 0 || (class(operation) == "info" && bars.len() < 2 * BARS_MAX) {
            bars.push((operation, until_ns, row));
        }
    }
    let mut plot = Plot::new(0, history.last_ns, height(rows.len().max(1), ROW));
    plot.shade(faults);
    for (operation, until_ns, row) in bars {
        let time = (operation.call.time_ns, until_ns);
        let class = format!("op {}", class(operation));
        let title = words::operation(history, operation);
        plot.bar(&class, time, (height(row, ROW) + 1.0, ROW - 2.0), &title);
    }
    plot.finish()
}

/// The operations of a counter-example, each in a row.
pub(super) fn counter_example(
    history: &History,
    faults: &[Fault],
    found: &CounterExample,
) -> Option<String> {
    let shown: Vec<&Operation> =
        found.operations.iter().map(|&place| &history.operations[place]).take(100).collect();
    let from_ns = shown.iter().map(|operation| operation.call.time_ns).min()?;
    let last = shown.iter().map(|operation| operation.end().unwrap_or(operation.call).time_ns);
    let until_ns = last.max()?;
    let margin_ns = (until_ns - from_ns) / 20 + 1_000;
    let span = (from_ns.saturating_sub(margin_ns), until_ns + 4 * margin_ns);
    let mut plot = Plot::new(span.0, span.1, height(shown.len(), NAMED_ROW));
    plot.shade(faults);
    for (row, operation) in shown.into_iter().enumerate() {
        // One that is open goes on.
        let is_open = class(operation) == "info";
        let end_ns = operation.end().filter(|_| !is_open).map_or(span.1, |end| end.time_ns);
        let y = height(row, NAMED_ROW);
        let bar = format!("op {}", class(operation));
        let title = words::operation(history, operation);
        plot.bar(&bar, (operation.call.time_ns, end_ns), (y + 1.0, NAMED_ROW - 2.0), &title);
        let seen = operation.answer().map_or(&operation.value, |answer| &answer.value);
        let text = format!("{} {}", verb(operation.function), words::value(seen));
        plot.text(operation.call.time_ns, y + 16.0, &text);
    }
    Some(plot.finish())
}

fn height(rows: usize, row: f64) -> f64 {
    f64::from(u32::try_from(rows).unwrap_or(u32::MAX)) * row
}
