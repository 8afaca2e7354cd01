//! Runs the scripts in `state/scripts/`, each as a test of its own.
//!
//! `UPDATE_GOLDENFILES=1 cargo test` rewrites what they expect; read the difference.
//!
//! ```text
//!   put KEY VALUE [ttl=MS] [if=COND]   \
//!   delete KEY [if=COND]                |
//!   incr KEY [BY] [initial=N] [min=N] [max=N] [ttl=MS|renew=MS] [if=COND]
//!   txn [if KEY absent|present|REVISION|=VALUE ...] then|else STEP ... [found_bytes_max=N], where a
//!     STEP is get KEY, put KEY VALUE, delete KEY or incr KEY BY
//!   own all|none|FIRST-LAST,... epoch=N | each an entry of its own [at=TIME] [expired_max=N],
//!   bootstrap CLUSTER PEER ...          | unless the block begins with
//!   activate SHARD attempt=N epoch=N    | entry at=TIME [expired_max=N]
//!   announce NODE PEER HTTP             |
//!   tick                               /
//!   get KEY
//!   dump
//!   map
//! ```
//!
//! `bootstrap` numbers the nodes from 1 and gives them three shards, 0 to 2. `COND` is `absent`, `present` or a revision. Without `at` the time stands still; without
//! `expired_max` an entry removes up to ten keys.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use goldenscript::{ArgumentConsumer, Block, Context, Runner};

use crate::command::codec::tests::{key, slots, value};
use crate::command::increment::{Counted, Increment, Life};
use crate::command::meta::{Addresses, Bootstrap, MetaCommand, Phase, ShardRecord};
use crate::command::transaction::{
    Aborted, Check, Got, Step, StepResult, Test, Transacted, Transaction,
};
use crate::command::{Command, CommandResult, Condition, Entry, Reply};
use crate::state::meta::{Meta, NodeRecord};
use crate::state::{NotOwner, State, Stored};
use crate::words::{
    ClusterId, Epoch, GroupId, LogTime, NodeId, ReplicaId, Revision, ShardId, Slot, TtlMs,
};

macro_rules! scripts {
    ($($name:ident),* $(,)?) => {
        const SCRIPTS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                let path = Path::new(DIRECTORY).join(stringify!($name));
                goldenscript::run(&mut Scripted::default(), path).expect("the script runs");
            }
        )*
    };
}

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/state/scripts");

scripts! {
    conditions,
    delete,
    expiry_bounded,
    expiry_by_log_time,
    increment,
    many_commands,
    map,
    ownership,
    put_get,
    put_moves_deadline,
    revisions,
    time_never_goes_back,
    transaction,
    ttl,
}

#[test]
fn every_script_is_run() {
    let files = std::fs::read_dir(DIRECTORY).expect("the directory is there");
    let mut names: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
    names.sort();
    assert_eq!(names, SCRIPTS);
}

#[derive(Default)]
struct Scripted {
    state: State,
    /// The entry that the commands of this block make up.
    open: Option<Entry>,
}

impl Runner for Scripted {
    type Command = goldenscript::Command;

    fn run(
        &mut self,
        command: &goldenscript::Command,
        _context: &Context,
    ) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let output = match command.name.as_str() {
            "get" => self.get(&mut args)?,
            "dump" => self.dump(),
            "map" => show_map(self.state.meta()),
            "entry" => {
                self.open = Some(self.entry(&mut args)?);
                String::new()
            }
            "tick" => self.apply(&self.entry(&mut args)?),
            name => {
                let parsed = parse(name, &mut args)?;
                self.add(parsed, &mut args)?
            }
        };
        args.reject_next()?;
        Ok(output)
    }

    fn end_block(&mut self, _block: &Block) -> Result<String, Box<dyn Error>> {
        let entry = self.open.take();
        Ok(entry.map(|entry| self.apply(&entry)).unwrap_or_default())
    }
}

impl Scripted {
    fn entry(&self, args: &mut ArgumentConsumer<'_>) -> Result<Entry, Box<dyn Error>> {
        let stamp = args.take_key("at").map(str::parse).transpose()?;
        let expired_max = args.take_key("expired_max").map(str::parse).transpose()?;
        Ok(Entry {
            stamp: stamp.map_or(self.state.now(), LogTime),
            expired_max: expired_max.unwrap_or(10),
            commands: vec![],
        })
    }

    fn add(
        &mut self,
        command: Command,
        args: &mut ArgumentConsumer<'_>,
    ) -> Result<String, Box<dyn Error>> {
        if let Some(entry) = &mut self.open {
            entry.commands.push(command);
            return Ok(String::new());
        }
        let mut entry = self.entry(args)?;
        entry.commands.push(command);
        Ok(self.apply(&entry))
    }

    fn apply(&mut self, entry: &Entry) -> String {
        self.state.apply(entry).iter().map(show_reply).collect()
    }

    fn get(&self, args: &mut ArgumentConsumer<'_>) -> Result<String, Box<dyn Error>> {
        let name = args.next_pos().ok_or("a key is missing")?;
        Ok(match self.state.get(&key(name)) {
            Ok(Some(stored)) => show_stored(name, stored),
            Ok(None) => "none".into(),
            Err(NotOwner { epoch }) => format!("not the owner, epoch={epoch}"),
        })
    }

    fn dump(&self) -> String {
        let state = &self.state;
        let mut out = format!(
            "now={} applied={} epoch={} keys={} bytes={}",
            state.now(),
            state.applied(),
            state.epoch(),
            state.keys(),
            state.bytes(),
        );
        if let Some(deadline) = state.next_deadline() {
            let overdue = if state.has_expired() { " (overdue)" } else { "" };
            write!(out, " next_deadline={deadline}{overdue}").expect("strings take all");
        }
        for stored in state.stored.iter() {
            let expired = if stored.exists_at(state.now()) { "" } else { " (expired)" };
            let name = stored.key().escape_ascii().to_string();
            write!(out, "\n{}{expired}", show_stored(&name, stored)).expect("strings take all");
        }
        out
    }
}

fn parse(name: &str, args: &mut ArgumentConsumer<'_>) -> Result<Command, Box<dyn Error>> {
    if name == "bootstrap" {
        return Ok(Command::Meta(MetaCommand::Bootstrap(bootstrap(args)?)));
    }
    if name == "txn" {
        return Ok(Command::Transact(Box::new(transaction_of(args)?)));
    }
    if name == "incr" {
        let increment = Box::new(parse_increment(args)?);
        return Ok(Command::Increment { increment, condition: condition(args)? });
    }
    let mut next = |what: &str| args.next_pos().ok_or_else(|| format!("{what} is missing"));
    Ok(match name {
        "put" => Command::Put {
            key: key(next("key")?),
            value: value(next("value")?),
            ttl: args.take_key("ttl").map(str::parse).transpose()?.map(TtlMs),
            condition: condition(args)?,
        },
        "delete" => Command::Delete { key: key(next("key")?), condition: condition(args)? },
        "own" => Command::Own {
            slots: match next("slots")? {
                "all" => slots(&[(0, Slot::COUNT - 1)]),
                "none" => vec![],
                list => slots(&list.split(',').map(range).collect::<Result<Vec<_>, _>>()?),
            },
            epoch: Epoch(args.take_key("epoch").ok_or("epoch is missing")?.parse()?),
        },
        "activate" => Command::Meta(MetaCommand::Activate {
            group: GroupId {
                shard: ShardId(next("shard")?.parse()?),
                attempt: args.take_key("attempt").ok_or("attempt is missing")?.parse()?,
            },
            epoch: Epoch(args.take_key("epoch").ok_or("epoch is missing")?.parse()?),
        }),
        "announce" => Command::Meta(MetaCommand::Announce {
            node: NodeId(next("node")?.parse()?),
            addresses: Addresses { peer: next("peer")?.to_owned(), http: next("http")?.to_owned() },
        }),
        other => return Err(format!("unknown command {other}").into()),
    })
}

fn parse_increment(args: &mut ArgumentConsumer<'_>) -> Result<Increment, Box<dyn Error>> {
    let key = key(args.next_pos().ok_or("key is missing")?);
    let by = args.next_pos().map_or(Ok(1), str::parse)?;
    let mut number = |name| args.take_key(name).map(str::parse).transpose();
    let (initial, min, max) = (number("initial")?.unwrap_or(0), number("min")?, number("max")?);
    let mut ttl = |name| args.take_key(name).map(str::parse).transpose();
    let life = match (ttl("ttl")?, ttl("renew")?) {
        (Some(ms), _) => Life::OfCreated(TtlMs(ms)),
        (None, Some(ms)) => Life::Renewed(TtlMs(ms)),
        (None, None) => Life::Kept,
    };
    Ok(Increment { key, by, initial, min, max, life })
}

fn transaction_of(args: &mut ArgumentConsumer<'_>) -> Result<Transaction, Box<dyn Error>> {
    let found_bytes_max = args.take_key("found_bytes_max").map_or(Ok(u32::MAX), str::parse)?;
    let mut transaction = Transaction { found_bytes_max, ..Transaction::default() };
    let mut section = "";
    while let Some(word) = args.next_pos() {
        if ["if", "then", "else"].contains(&word) {
            section = word;
            continue;
        }
        let mut next = || args.next_pos().ok_or_else(|| format!("{word} lacks something"));
        if section == "if" {
            let test = match next()? {
                "absent" => Test::Absent,
                "present" => Test::Present,
                other => match other.strip_prefix('=') {
                    Some(text) => Test::ValueIs(value(text)),
                    None => Test::RevisionIs(Revision(other.parse()?)),
                },
            };
            transaction.checks.push(Check { key: key(word), test });
            continue;
        }
        let key = key(next()?);
        let step = match word {
            "get" => Step::Get { key },
            "put" => Step::Put { key, value: value(next()?), ttl: None },
            "delete" => Step::Delete { key },
            "incr" => {
                let (by, life) = (next()?.parse()?, Life::Kept);
                Step::Increment(Increment { key, by, initial: 0, min: Some(0), max: None, life })
            }
            other => return Err(format!("unknown step {other}").into()),
        };
        match section {
            "then" => transaction.then.push(step),
            "else" => transaction.otherwise.push(step),
            _ => return Err("then or else is missing".into()),
        }
    }
    Ok(transaction)
}

fn show_step(result: &StepResult) -> String {
    match result {
        StepResult::Got(None) => "none".into(),
        StepResult::Got(Some(Got { value, revision, deadline })) => {
            format!("{value:?} @{revision}{}", show_until(*deadline))
        }
        StepResult::Stored { created: true, .. } => "created".into(),
        StepResult::Stored { created: false, .. } => "replaced".into(),
        StepResult::Deleted { existed: true } => "deleted".into(),
        StepResult::Deleted { existed: false } => "nothing to delete".into(),
        StepResult::Counted(counted) => format!("counted {}", counted.value),
    }
}

fn range(text: &str) -> Result<(u16, u16), Box<dyn Error>> {
    let (first, last) = text.split_once('-').ok_or("a range is FIRST-LAST")?;
    Ok((first.parse()?, last.parse()?))
}

fn condition(args: &mut ArgumentConsumer<'_>) -> Result<Condition, Box<dyn Error>> {
    Ok(match args.take_key("if") {
        None => Condition::Always,
        Some("absent") => Condition::Absent,
        Some("present") => Condition::Present,
        Some(revision) => Condition::RevisionIs(Revision(revision.parse()?)),
    })
}

fn show_stored(name: &str, stored: &Stored) -> String {
    format!("{name}={:?} @{}{}", stored.value(), stored.revision(), show_until(stored.deadline()))
}

fn show_until(deadline: Option<LogTime>) -> String {
    deadline.map(|deadline| format!(" until {deadline}")).unwrap_or_default()
}

fn show_reply(reply: &Reply) -> String {
    let Reply { result, applied, log_time } = reply;
    let result = match result {
        CommandResult::Stored { created, deadline } => {
            let what = if *created { "created" } else { "replaced" };
            format!("{what}{}", show_until(*deadline))
        }
        CommandResult::Deleted { existed: true } => "deleted".into(),
        CommandResult::Deleted { existed: false } => "nothing to delete".into(),
        CommandResult::ConditionFailed { current: Some(revision) } => {
            format!("refused, the key is @{revision}")
        }
        CommandResult::ConditionFailed { current: None } => "refused, no such key".into(),
        CommandResult::WrongShard { epoch } => format!("wrong shard, epoch={epoch}"),
        CommandResult::Owned { epoch } => format!("owned, epoch={epoch}"),
        CommandResult::Meta { version, changed: true } => format!("changed, version={version}"),
        CommandResult::Meta { version, changed: false } => format!("void, version={version}"),
        CommandResult::Counted(Counted { value, created, deadline }) => {
            let what = if *created { "created" } else { "counted" };
            format!("{what} {value}{}", show_until(*deadline))
        }
        CommandResult::Uncounted(uncounted) => format!("not counted: {uncounted}"),
        CommandResult::Transacted(transacted) => {
            let Transacted { succeeded, changed, results } = &**transacted;
            let taken = if *succeeded { "then" } else { "else" };
            let changed = if *changed { ", changed" } else { "" };
            let results: Vec<_> = results.iter().map(show_step).collect();
            format!("{taken}{changed} [{}]", results.join(", "))
        }
        CommandResult::Aborted(Aborted { succeeded, step, why }) => {
            let taken = if *succeeded { "then" } else { "else" };
            format!("aborted at {taken}[{step}]: {why}")
        }
    };
    format!("{result} (applied={applied} now={log_time})\n")
}

fn bootstrap(args: &mut ArgumentConsumer<'_>) -> Result<Bootstrap, Box<dyn Error>> {
    let cluster = ClusterId(args.next_pos().ok_or("cluster is missing")?.parse()?);
    let peers = std::iter::from_fn(|| args.next_pos());
    let addresses = |peer: &str| Addresses { peer: peer.to_owned(), http: String::new() };
    let nodes: Vec<_> = (1..).map(NodeId).zip(peers.map(addresses)).collect();
    let shards = (0..3).map(|shard| ShardRecord {
        group: GroupId::first(ShardId(shard)),
        phase: Phase::Creating,
        replicas: nodes.iter().map(|(node, _)| ReplicaId::new(*node, 1)).collect(),
        slots: vec![],
        epoch: Epoch(1),
    });
    Ok(Bootstrap { cluster, shards: shards.collect(), nodes })
}

fn show_map(meta: &Meta) -> String {
    let mut out = format!("cluster={} version={}\n", meta.cluster().0, meta.version());
    for (node, NodeRecord { addresses: Addresses { peer, http }, counter }) in meta.nodes() {
        writeln!(out, "{node} peer={peer:?} http={http:?} counter={counter}").expect("a string");
    }
    for record in meta.shards().values() {
        let replicas: Vec<String> = record.replicas.iter().map(ToString::to_string).collect();
        let (group, phase, epoch) = (record.group, record.phase, record.epoch);
        writeln!(out, "{group} {phase:?} epoch={epoch} on {}", replicas.join(" "))
            .expect("a string");
    }
    out
}
