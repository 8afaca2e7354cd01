//! `steadfast jepsen export`: the history for other checkers.

use std::fmt::Write;
use std::path::PathBuf;

use steadfast_cli::command::Globals;
use steadfast_cli::exit::Exit;

use super::{CommandError, check, say};
use crate::folder;
use crate::history::{Account, Function, History, KeyId, Moment, Operation, Outcome, Value};

/// What `--help` says.
pub const HELP: &str = "\
Write the history of a run for other checkers.

Examples:
  steadfast jepsen export ./runs/7              writes ./runs/7/history.edn

As EDN it is Jepsen's: one map a line, the value of an operation on a key as [key value], so that
Knossos takes it with independent keys. Revisions and counts stay, under names of their own. Of accounts
there is [account balance transfer version]. The mark of the end is left out: it is no event of anybody's.";

/// The arguments.
#[derive(Clone, Debug, clap::Args)]
pub struct Export {
    /// In which form
    #[arg(long, value_name = "FORM", default_value = "edn")]
    format: Form,
    /// The folder of a run
    dir: PathBuf,
}

/// The forms that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// As Jepsen writes it, to DIR/history.edn
    Edn,
}

impl Export {
    pub(super) fn run(self, globals: &Globals) -> Result<Exit, CommandError> {
        let history = check::read(&self.dir)?;
        let (path, text) = match self.format {
            Form::Edn => (self.dir.join(folder::EDN), edn(&history)),
        };
        check::write(path.clone(), text.as_bytes())?;
        if !globals.quiet {
            say(&format!("{}: {} events", path.display(), history.events));
        }
        Ok(Exit::Done)
    }
}

/// Returns a history as EDN, one event a line, in their order.
pub fn edn(history: &History) -> String {
    let mut lines: Vec<(u64, String)> = Vec::new();
    for operation in &history.operations {
        lines.push((operation.call.index, line(history, operation, operation.call, "invoke")));
        let kind = match &operation.outcome {
            Outcome::Ok(..) => "ok",
            Outcome::Fail(..) => "fail",
            Outcome::Open(..) => "info",
        };
        if let Some(end) = operation.end() {
            lines.push((end.index, line(history, operation, end, kind)));
        }
    }
    for event in &history.faults {
        let (index, time) = (event.index, event.time_ns);
        let function = if event.function == Function::Heal { "heal" } else { "fault" };
        let said = event.fault.as_ref().map_or_else(String::new, ToString::to_string);
        let line = format!(
            "{{:index {index}, :time {time}, :process :nemesis, :type :info, :f :{function}, :value {said:?}}}"
        );
        lines.push((index, line));
    }
    for event in &history.comparisons {
        let (index, time) = (event.index, event.time_ns);
        let (shard, said) = (event.shard.unwrap_or_default(), serde_json::json!(event.replicas));
        let said = said.to_string();
        let line = format!(
            "{{:index {index}, :time {time}, :process :observer, :type :info, :f :compare, :value {said:?}, :shard {shard}}}"
        );
        lines.push((index, line));
    }
    lines.sort_unstable_by_key(|(index, _)| *index);
    lines.into_iter().fold(String::new(), |text, (_, line)| text + &line + "\n")
}

fn line(history: &History, operation: &Operation, at: Moment, kind: &str) -> String {
    let function = match operation.function {
        Function::Read => "read",
        Function::Write => "write",
        Function::Cas => "cas",
        Function::Delete => "delete",
        Function::Add => "add",
        Function::ReadAll => "read-all",
        Function::List => "list",
        Function::Transfer => "transfer",
        Function::Balances => "balances",
        Function::Fault | Function::Heal | Function::Compare | Function::End => "nemesis",
    };
    let answer = operation.answer().filter(|_| kind == "ok");
    let reads = matches!(operation.function, Function::Read | Function::ReadAll | Function::List);
    let value = answer.filter(|_| reads).map_or(&operation.value, |answer| &answer.value);
    let mut line = format!(
        "{{:index {}, :time {}, :process {}, :type :{kind}, :f :{function}, :value {}",
        at.index,
        at.time_ns,
        operation.process,
        with_key(history, operation.key, value, operation.function == Function::List)
    );
    let told = operation.told().filter(|_| kind != "invoke").map(|(_, answer)| &answer.accounts);
    let accounts = told.unwrap_or(&operation.accounts);
    if !accounts.is_empty() && (kind == "invoke" || told.is_some()) {
        let one =
            |it: &Account| format!("[{} {} {} {}]", it.account, it.balance, it.by, it.revision);
        let accounts: Vec<String> = accounts.iter().map(one).collect();
        write!(line, ", :accounts [{}]", accounts.join(" ")).expect("text takes text");
    }
    let mut add = |name: &str, value: Option<u64>| {
        if let Some(value) = value {
            write!(line, ", :{name} {value}").expect("text takes text");
        }
    };
    if let Some(answer) = answer {
        add("node", answer.node.map(u64::from));
        add("shard", answer.shard.map(u64::from));
        add("revision", answer.revision);
        add("applied", answer.applied);
        add("log-time-ms", answer.log_time_ms);
        add("staleness-ms", answer.staleness_ms);
    }
    if let Some(error) = operation.error().filter(|_| kind != "invoke") {
        write!(line, ", :error {error:?}").expect("text takes text");
    }
    line + "}"
}

/// Returns a value with its key. `ordered`: its elements are a list, which has an order.
fn with_key(history: &History, key: Option<KeyId>, value: &Value, ordered: bool) -> String {
    let number = |value: &Option<u64>| value.map_or("nil".to_owned(), |value| value.to_string());
    let value = match value {
        Value::Null => "nil".to_owned(),
        Value::One(value) => value.to_string(),
        Value::Pair(old, new) => format!("[{} {new}]", number(old)),
        Value::Many(values) => {
            let words: Vec<String> = values.iter().map(u64::to_string).collect();
            let words = words.join(" ");
            if ordered { format!("[{words}]") } else { format!("#{{{words}}}") }
        }
    };
    match key {
        Some(key) => format!("[{:?} {value}]", history.key(key)),
        None => value,
    }
}
