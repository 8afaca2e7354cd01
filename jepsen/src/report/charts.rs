//! What a run looked like: rates, latencies, leaders, clients.

use std::collections::BTreeMap;

use super::plot::Plot;
use super::words;
use crate::checker::CounterExample;
use crate::history::{Fault, History, Operation, Outcome};

/// How many points a curve has.
const POINTS: u64 = 120;
/// How many operations the picture of all clients shows at most.
const BARS_MAX: usize = 4_000;
const ROW: f64 = 12.0;

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
    let height = f64::from(u32::try_from(seen.len()).unwrap_or(u32::MAX)) * 22.0;
    let mut plot = Plot::new(0, history.last_ns, height);
    plot.shade(faults);
    let mut y = 3.0;
    for (shard, terms) in seen {
        plot.rule(1.0 - (y + 8.0) / height, &format!("s{shard}"));
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

/// What each client was at. A new client takes the row of one that is done.
pub(super) fn clients(history: &History, faults: &[Fault]) -> String {
    let step = history.operations.len().div_ceil(BARS_MAX).max(1);
    let all = history.operations.iter().enumerate();
    let shown: Vec<&Operation> = all
        .filter(|(i, operation)| i % step == 0 || class(operation) == "info")
        .map(|(_, operation)| operation)
        .take(2 * BARS_MAX)
        .collect();
    draw(history, faults, &shown, (0, history.last_ns), &[])
}

/// The operations of a counter-example.
pub(super) fn counter_example(
    history: &History,
    faults: &[Fault],
    found: &CounterExample,
) -> Option<String> {
    let shown: Vec<&Operation> =
        found.operations.iter().map(|&place| &history.operations[place]).take(100).collect();
    let from_ns = shown.iter().map(|operation| operation.call.time_ns).min()?;
    let ends = shown.iter().filter_map(|operation| operation.end());
    let until_ns = ends.map(|end| end.time_ns).max().unwrap_or(history.last_ns).max(from_ns);
    let margin_ns = (until_ns - from_ns) / 20 + 1_000;
    let span = (from_ns.saturating_sub(margin_ns), until_ns + 4 * margin_ns);
    Some(draw(history, faults, &shown, span, &shown))
}

fn draw(
    history: &History,
    faults: &[Fault],
    shown: &[&Operation],
    span: (u64, u64),
    named: &[&Operation],
) -> String {
    let row_height = if named.is_empty() { ROW } else { 24.0 };
    let until = |operation: &Operation| match operation.end() {
        Some(end) if class(operation) != "info" || named.is_empty() => end.time_ns,
        _ => span.1,
    };
    let mut rows: Vec<u64> = Vec::new();
    let mut placed: Vec<(usize, &Operation)> = Vec::new();
    for operation in shown {
        let free = rows.iter().position(|free_ns| *free_ns <= operation.call.time_ns);
        let row = free.unwrap_or_else(|| {
            rows.push(0);
            rows.len() - 1
        });
        rows[row] = until(operation).max(operation.call.time_ns + 1);
        placed.push((row, operation));
    }
    let y = |row: usize| f64::from(u32::try_from(row).unwrap_or(u32::MAX)) * row_height;
    let mut plot = Plot::new(span.0, span.1, y(rows.len()).max(row_height));
    plot.shade(faults);
    for (row, operation) in placed {
        let title = words::operation(history, operation);
        let time = (operation.call.time_ns, until(operation));
        let class = format!("op {}", class(operation));
        plot.bar(&class, time, (y(row) + 1.0, row_height - 2.0), &title);
        if !named.is_empty() {
            let seen = operation.answer().map_or(&operation.value, |answer| &answer.value);
            let what = crate::checker::coverage::verb(operation.function);
            let text = format!("{what} {}", words::value(seen));
            plot.text(operation.call.time_ns, y(row) + 16.0, &text);
        }
    }
    plot.finish()
}
