//! A cluster on this machine, in the foreground, for trying things out: `steadfast dev` (D12).
//!
//! ```text
//!   the terminal -- dev --+-- start --data .../n1 --parent PID
//!                         +-- start --data .../n2 --parent PID    the same program, as anywhere
//!                         +-- start --data .../n3 --parent PID
//!                         +-- dev-scratch                         holds the temporary directory
//! ```
//!
//! However dev ends (a key, a signal, an error, a panic, `kill -9`):
//! - no node outlives it: the system kills them with it (`--parent`), stopped ones too;
//! - the temporary directory goes: it belongs to a process that waits for dev's end;
//! - the terminal is as it was, unless dev was killed with `kill -9`.
//!
//! All of them are in process groups of their own, so Ctrl-C reaches dev alone, which decides.
//!
//! ```text
//!   place      the directory: temporary, or kept with the shape of its cluster
//!   scratch    who makes a temporary directory, and removes it
//!   process    one node: started, signalled, reaped; its last words
//!   raise      ports, processes, founding, healthy
//!   session    keys, signals and deaths, until the end
//!   terminal   single keys, and the terminal's mode
//! ```

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use steadfast_cli::command::Globals;
use tokio::signal::unix::{Signal, SignalKind, signal};

mod place;
mod process;
mod raise;
mod scratch;
mod session;
mod terminal;

pub(crate) use place::PlaceError;
pub(crate) use scratch::serve as serve_scratch;

/// What `--help` says first.
pub(crate) const HELP: &str = "\
Runs a whole cluster on this machine, in the foreground, to try things out.

Examples:
  steadfast dev
  steadfast dev --data ./cluster            keeps the data; the same command goes on with it
  steadfast dev --nodes 5 --shards 12
  steadfast dev --base-port 9300            HTTP at 9301, 9302, ..., peers at 9401, 9402, ...

On a terminal single keys kill the leader (k), restart it (r), stop and continue it as a broken
network would (p), show the status (s) and quit (q). Without one it runs until SIGTERM or SIGINT.

Without --data everything is in a temporary directory that goes when dev ends. The nodes are
processes of this program, with STEADFAST_SEGMENT_BYTES=16MiB so that they start fast; every other
variable is handed on to them, such as STEADFAST_MEMORY_MAX=64MiB or STEADFAST_LOG=debug.";

/// The flags of `steadfast dev`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Flags {
    /// How many nodes, 3 to 9 [default: 3]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(3..=9))]
    nodes: Option<u16>,

    /// How many shards the keys are spread over [default: 6]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    shards: Option<u32>,

    /// Keep the data in this directory, which is made if need be [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Node n listens at this port + n for clients and at this port + 100 + n for peers
    /// [default: 7300]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65_000))]
    base_port: Option<u16>,
}

/// Runs a cluster until told to end.
pub(crate) fn run(flags: &Flags, client: &Globals) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the system gives no event queue")?;
    runtime.block_on(live(flags, client))
}

async fn live(flags: &Flags, client: &Globals) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let program = std::env::current_exe().context("this program does not know where it is")?;
    // The order matters: what is declared first is dropped last, so the nodes die before their
    // directory goes.
    let (place, shape) = place::prepare(flags, &program)?;
    let mut nodes = raise::nodes(&place, shape, &program, client.token_file.as_deref())?;
    let raised = tokio::select! {
        raised = raise::raise(&mut nodes, shape) => raised?,
        name = signals.ending.next() => {
            say(&format!("{name}: ending before the cluster was up"));
            return Ok(());
        }
    };
    say(&raise::welcome(&nodes, &raised, &place));
    session::run(&mut nodes, &mut signals, client.no_color).await;
    if place.is_kept() {
        session::stop(&mut nodes, &mut signals).await;
        say(&format!("the data is kept: `{}` goes on with it", place.again()));
    }
    Ok(())
}

/// Tells the person something, if someone listens.
fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
}

/// Returns what the person typed to start this program.
fn typed_program() -> String {
    std::env::args().next().unwrap_or_else(|| "steadfast".to_owned())
}

/// The signals that dev listens to.
struct Signals {
    ending: Ending,
    /// A child has ended.
    child: Signal,
}

/// The signals that ask dev to end.
struct Ending {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("the system lets no signal be handled");
        let ending = Ending {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
            quit: listen(SignalKind::quit())?,
        };
        Ok(Self { ending, child: listen(SignalKind::child())? })
    }
}

impl Ending {
    /// Waits for the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
            _ = self.quit.recv() => "SIGQUIT",
        }
    }
}
