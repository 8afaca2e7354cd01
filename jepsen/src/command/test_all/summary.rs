//! What came of all cells: a table, a file for programs, and one for services that show tests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde::Serialize;
use steadfast_cli::exit::Exit;

/// What came of a cell.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ran {
    /// What it is called.
    pub(super) cell: String,
    /// `valid`, `invalid` or `unknown`; `skipped`; `failed`: it did not come to its end.
    pub(super) verdict: &'static str,
    /// What it would exit with by itself.
    pub(super) exit: u8,
    /// Why, if it is not valid.
    pub(super) why: String,
    /// Faults that were left out, and why.
    pub(super) skipped: BTreeMap<&'static str, String>,
    /// Operations that were done.
    pub(super) ok: u64,
    /// Faults with evidence.
    pub(super) faults: u64,
    /// How long it took.
    pub(super) seconds: u64,
    /// How often it was run: once more if too little was done.
    pub(super) attempts: u32,
    /// Where it is kept, the last time that it was run.
    pub(super) folder: Option<PathBuf>,
}

/// What came of all.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    /// Which cells they are.
    pub(super) profile: String,
    /// What everything was drawn from.
    pub(super) seed: u64,
    /// The gravest of all verdicts.
    pub(super) verdict: &'static str,
    /// What it exits with.
    pub(super) exit: u8,
    /// Faults that cannot be done on this machine, of all cells.
    pub(super) skipped: BTreeMap<&'static str, String>,
    /// Each of them.
    pub(super) cells: Vec<Ran>,
}

/// The exits of a cell, the gravest first, and what they are called.
const GRAVEST: [(Exit, &str); 5] = [
    (Exit::Violation, "invalid"),
    (Exit::Unexpected, "failed"),
    (Exit::Unhealthy, "failed"),
    (Exit::Undecided, "unknown"),
    (Exit::Done, "valid"),
];

impl Summary {
    /// Sums up. `lenient`: what cannot be done on this machine is named, and does not fail it.
    pub(super) fn of(profile: String, seed: u64, lenient: bool, cells: Vec<Ran>) -> Self {
        let mut skipped = BTreeMap::new();
        for cell in &cells {
            skipped.extend(cell.skipped.clone());
        }
        let mut exits: Vec<u8> = cells.iter().map(|cell| cell.exit).collect();
        let nothing_ran = cells.iter().all(|cell| cell.verdict == "skipped");
        if nothing_ran || (!lenient && !skipped.is_empty()) {
            exits.push(Exit::Undecided as u8);
        }
        let gravest = GRAVEST.iter().find(|(exit, _)| exits.contains(&(*exit as u8)));
        let (exit, verdict) = gravest.copied().unwrap_or((Exit::Unexpected, "failed"));
        Self { profile, seed, verdict, exit: exit as u8, skipped, cells }
    }

    /// Returns what to exit with.
    pub(super) fn exit(&self) -> Exit {
        let found = GRAVEST.iter().find(|(exit, _)| *exit as u8 == self.exit);
        found.map_or(Exit::Unexpected, |(exit, _)| *exit)
    }

    /// Returns it for people.
    pub(super) fn table(&self) -> String {
        let width = self.cells.iter().map(|cell| cell.cell.len()).max().unwrap_or_default().max(4);
        let mut text = format!(
            "{:width$}  {:<8}  {:>8}  {:>6}  {:>5}  why",
            "cell", "verdict", "ok", "faults", "time"
        );
        for cell in &self.cells {
            let Ran { cell: name, verdict, ok, faults, seconds, .. } = cell;
            let mut why = cell.why.clone();
            if 1 < cell.attempts {
                why = format!("run {} times; {why}", cell.attempts);
            }
            let line =
                format!("{name:width$}  {verdict:<8}  {ok:>8}  {faults:>6}  {seconds:>3} s  {why}");
            write!(text, "\n{}", line.trim_end()).expect("text takes text");
        }
        let without: Vec<_> = self.skipped.keys().copied().collect();
        let skipped = match &without[..] {
            [] => String::new(),
            names => format!(", without {}, which this machine cannot do", names.join(", ")),
        };
        write!(text, "\n{}{skipped} (seed {})", self.verdict, self.seed).expect("text takes text");
        text
    }

    /// Returns it as JUnit has it.
    pub(super) fn junit(&self) -> String {
        let count = |verdicts: &[&str]| {
            self.cells.iter().filter(|cell| verdicts.contains(&cell.verdict)).count()
        };
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"jepsen {}\" tests=\"{}\" \
             failures=\"{}\" skipped=\"{}\">\n",
            self.profile,
            self.cells.len(),
            count(&["invalid", "unknown", "failed"]),
            count(&["skipped"]),
        );
        for cell in &self.cells {
            let inner = match cell.verdict {
                "valid" => String::new(),
                "skipped" => format!("<skipped message=\"{}\"/>", escaped(&cell.why)),
                other => format!("<failure type=\"{other}\" message=\"{}\"/>", escaped(&cell.why)),
            };
            let (name, seconds) = (&cell.cell, cell.seconds);
            writeln!(text, "<testcase name=\"{name}\" time=\"{seconds}\">{inner}</testcase>")
                .expect("text takes text");
        }
        text + "</testsuite>\n"
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
