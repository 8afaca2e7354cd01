//! The one binary: a node's server, and the commands that talk to a cluster.
//!
//! ```text
//!   steadfast start ...     config -> server -> http -> steadfast_raft::node
//!   steadfast anything else steadfast_cli
//! ```

use std::process::ExitCode;

use clap::Parser;

mod config;
mod http;
mod server;
mod telemetry;

/// What was typed.
#[derive(Debug, clap::Parser)]
#[command(
    name = "steadfast",
    version,
    about = "A strongly consistent, sharded cache: every acknowledged write survives, and every \
             read is linearizable",
    after_help = concat!("\
Examples:
  steadfast start --data ./n1            one node on this machine; see `steadfast start --help`
  steadfast cluster init --node 127.0.0.1:7401 --node 127.0.0.1:7402 --node 127.0.0.1:7403
  steadfast put greeting hello
  steadfast get greeting
  steadfast cluster status"),
    after_long_help = steadfast_cli::exit::HELP,
    propagate_version = false,
    arg_required_else_help = true
)]
struct Args {
    /// Say more on standard error; -vv says all
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    client: steadfast_cli::command::Globals,
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run a node: the same command for the first start, a restart and a replacement
    Start(Box<config::Flags>),
    #[command(flatten)]
    Client(steadfast_cli::command::Command),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let node = matches!(args.command, Command::Start(_));
    telemetry::init(node, args.verbose, args.client.no_color);
    match args.command {
        Command::Client(command) => command.run(&args.client),
        Command::Start(flags) => match server::run(*flags) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
