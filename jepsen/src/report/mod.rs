//! What a person looks at: one HTML file that needs nothing but a browser.

use std::fmt::Write;

use crate::checker::{CounterExample, Finding, Verdict};
use crate::history::{Fault, History, faults};
use crate::judge::Judgement;

mod charts;
mod plot;
pub mod words;

#[cfg(test)]
mod tests;

use words::{escaped, ms};

const STYLE: &str = include_str!("page.css");

/// Returns the page. `run` is what the run wrote of itself, or null.
pub fn html(history: &History, judgement: &Judgement, run: &serde_json::Value) -> String {
    let faults = faults(history);
    let word = judgement.verdict.word();
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>{word}: steadfast jepsen</title><style>{STYLE}</style></head><body><main>\
         <header class=\"{word}\"><h1>{word}</h1><p>{}</p>{}</header>",
        summary(history, &faults),
        about(run)
    );
    page += &checkers(judgement);
    for finding in &judgement.findings {
        if let Verdict::Invalid(found) = &finding.verdict {
            page += &violation(history, &faults, finding, found);
        }
    }
    let mut section = |title: &str, legend: &str, svg: &str| {
        write!(page, "<section><h2>{title}</h2><p class=\"legend\">{legend}</p>{svg}</section>")
            .expect("text takes text");
    };
    let ends = "<i class=\"ok\"></i>acknowledged <i class=\"fail\"></i>refused \
                <i class=\"info\"></i>unknown <i class=\"shade\"></i>fault";
    section("Operations a second", ends, &charts::rates(history, &faults));
    let curves = "<i class=\"median\"></i>median <i class=\"most\"></i>99 of 100 \
                  <i class=\"longest\"></i>longest, of acknowledged operations";
    section("Latency", curves, &charts::latencies(history, &faults));
    if let Some(svg) = charts::leaders(history, &faults) {
        section("Leaders", "who led each shard, as answers say", &svg);
    }
    section("Clients", ends, &charts::clients(history, &faults));
    if !faults.is_empty() {
        section("Faults", "", &fault_table(&faults));
    }
    page + "</main></body></html>\n"
}

/// What tells this run from others: what was asked for, of which build, and what was skipped.
fn about(run: &serde_json::Value) -> String {
    let one =
        |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let text = |value: &serde_json::Value| {
        let all = value.as_array().map(|values| values.iter().map(one).collect::<Vec<_>>());
        all.map_or_else(|| one(value), |all| all.join(","))
    };
    let mut lines = Vec::new();
    let options = &run["options"];
    let names = [
        "workload",
        "seed",
        "env",
        "version",
        "nodes",
        "shards",
        "concurrency",
        "time_ms",
        "nemesis",
        "environment",
        "commit_s",
    ];
    let told = names.iter().filter(|name| !options[**name].is_null());
    let told: Vec<_> = told.map(|name| format!("{name} {}", text(&options[*name]))).collect();
    lines.push(told.join(", "));
    lines.extend(options["command"].as_str().map(str::to_owned));
    for (name, why) in run["outcome"]["skipped"].as_object().into_iter().flatten() {
        lines.push(format!("skipped, which is not passed: {name}: {}", text(why)));
    }
    let lines = lines.iter().filter(|line| !line.is_empty());
    lines.map(|line| format!("<p>{}</p>", escaped(line))).collect()
}

fn summary(history: &History, faults: &[Fault]) -> String {
    let acknowledged = history.operations.iter().filter(|one| one.answer().is_some()).count();
    let cut = history.cut_bytes.map_or_else(String::new, |bytes| {
        format!("; the last line was unfinished, {bytes} bytes of it were left out")
    });
    format!(
        "{} operations, {acknowledged} acknowledged, on {} keys in {} s, {} faults{cut}",
        history.operations.len(),
        history.keys.len(),
        history.last_ns / 1_000_000_000,
        faults.len()
    )
}

fn checkers(judgement: &Judgement) -> String {
    let mut rows = String::new();
    for finding in &judgement.findings {
        let why = match &finding.verdict {
            Verdict::Valid => String::new(),
            Verdict::Invalid(found) => found.why.clone(),
            Verdict::Unknown(why) => why.clone(),
        };
        let (word, grounds) = (finding.verdict.word(), escaped(&finding.grounds));
        let why = if why.is_empty() { why } else { format!("<b>{}</b><br>", escaped(&why)) };
        write!(
            rows,
            "<tr><th>{}</th><td><span class=\"verdict {word}\">{word}</span></td>\
             <td>{why}{grounds}</td></tr>",
            finding.checker
        )
        .expect("text takes text");
    }
    format!("<section><h2>Checkers</h2><table>{rows}</table></section>")
}

fn violation(
    history: &History,
    faults: &[Fault],
    finding: &Finding,
    found: &CounterExample,
) -> String {
    let key = found.key.as_ref().map_or_else(String::new, |key| format!("{}: ", escaped(key)));
    let minimal = if found.minimal { "none can be left out" } else { "not the fewest" };
    let mut text = format!(
        "<section class=\"violation\"><h2>{}: {key}{}</h2>",
        finding.checker,
        escaped(&found.why)
    );
    if let Some(svg) = charts::counter_example(history, faults, found) {
        let count = found.operations.len();
        write!(text, "<p class=\"legend\">{count} operations, {minimal}</p>{svg}<pre>")
            .expect("text takes text");
        for &place in &found.operations {
            let line = words::operation(history, &history.operations[place]);
            text += &format!("{}\n", escaped(&line));
        }
        text += "</pre>";
    }
    text + "</section>"
}

fn fault_table(faults: &[Fault]) -> String {
    let mut rows = String::new();
    for fault in faults {
        let nodes: Vec<String> = fault.nodes.iter().map(|node| format!("n{node}")).collect();
        let until = fault.until_ns.map_or_else(|| "not healed".to_owned(), ms);
        let bit = match fault.bit {
            Some(true) => "bit",
            Some(false) => "did nothing",
            None => "no evidence",
        };
        write!(
            rows,
            "<tr><th>{}</th><td>{}</td><td>{} to {until} ms</td><td>{bit}</td></tr>",
            escaped(&fault.name),
            nodes.join(" "),
            ms(fault.from_ns)
        )
        .expect("text takes text");
    }
    format!("<table>{rows}</table>")
}
