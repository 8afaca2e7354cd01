//! The one binary: a node's server, and the commands that talk to a cluster.
//!
//! ```text
//!   steadfast start ...     config -> server -> http -> steadfast_raft::node
//!   steadfast dev ...       dev -> processes of `steadfast start`
//!   steadfast jepsen ...    steadfast_jepsen -> processes of `steadfast start`
//!   steadfast completions   clap_complete
//!   steadfast anything else steadfast_cli
//! ```

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};
use steadfast_cli::exit::{self, Exit};

mod config;
mod dev;
mod http;
mod server;
mod telemetry;

/// The state of a node is millions of small allocations of which some are always replaced, beside the
/// large and short-lived ones of its log and snapshots. glibc's allocator keeps what the latter leave
/// behind; this one gives it back (ADR 18).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Two arenas, because a node has two threads that allocate much; and what is free goes back within
/// half a second, rather than ten.
#[expect(unsafe_code, reason = "it is how the allocator is configured: it reads this symbol")]
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: &[u8; 69] =
    b"background_thread:true,narenas:2,dirty_decay_ms:500,muzzy_decay_ms:0\0";

/// What it is.
const ABOUT: &str = "A strongly consistent, replicated cache: every acknowledged write survives, and \
                     every read is linearizable";

/// A first minute with it.
const EXAMPLES: &str = "\
Examples:
  steadfast dev                          a cluster on this machine, to try things out
  steadfast start --data ./n1            one node, as in production
  steadfast cluster init --node 127.0.0.1:7401 --node 127.0.0.1:7402 --node 127.0.0.1:7403
  steadfast put greeting hello
  steadfast get greeting
  steadfast cluster status";

/// What `completions --help` says first.
const COMPLETIONS: &str = "\
Prints what makes a shell complete these commands.

Examples:
  source <(steadfast completions bash)                                       this bash
  steadfast completions bash > /etc/bash_completion.d/steadfast
  steadfast completions zsh > \"${fpath[1]}/_steadfast\"
  steadfast completions fish > ~/.config/fish/completions/steadfast.fish";

/// What was typed.
#[derive(Debug, clap::Parser)]
#[command(
    name = "steadfast",
    version,
    about = ABOUT,
    long_about = format!("{ABOUT}\n\n{EXAMPLES}"),
    after_help = EXAMPLES,
    after_long_help = exit::HELP,
    arg_required_else_help = true
)]
struct Args {
    /// Say more on standard error; -vv says all
    #[arg(short, long, global = true, display_order = 900, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    client: steadfast_cli::command::Globals,
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run a node: the same command for the first start and each later one
    #[command(long_about = config::HELP)]
    Start(Box<config::Flags>),
    /// Run a whole cluster on this machine, in the foreground
    #[command(long_about = dev::HELP)]
    Dev(dev::Flags),
    /// Hold a temporary directory for `dev`, until standard input closes
    #[command(hide = true)]
    DevScratch,
    /// Break a cluster and see whether it keeps its promises
    #[command(subcommand, long_about = steadfast_jepsen::command::HELP)]
    Jepsen(steadfast_jepsen::command::Command),
    #[command(flatten)]
    Client(steadfast_cli::command::Command),
    /// Print what makes a shell complete these commands
    #[command(long_about = COMPLETIONS)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Returns the command line, without the client's options in the help of those that are none.
fn command_line() -> clap::Command {
    let mut command = Args::command();
    command.build();
    ["start", "dev", "completions"].into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |command| {
            command.mut_args(|arg| {
                let client = arg.get_help_heading() == Some(steadfast_cli::command::HEADING);
                if name != "completions" && arg.get_id() == "token_file" {
                    arg.help("Want this file's token of clients and of the other nodes")
                        .help_heading(None)
                } else if client {
                    arg.hide(true)
                } else {
                    arg
                }
            })
        })
    })
}

/// Prints completions.
fn complete(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command_line(), "steadfast", &mut script);
    std::io::stdout().write_all(&script).context("the completions cannot be printed")
}

fn main() -> ExitCode {
    let matches = command_line().get_matches();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let node = matches!(args.command, Command::Start(_));
    telemetry::init(node, args.verbose, args.client.no_color);
    if !node {
        // A node refuses them.
        config::misspelt(std::env::vars_os()).iter().for_each(|what| tracing::warn!("{what}"));
    }
    let ended = match args.command {
        Command::Client(command) => return command.run(&args.client),
        Command::Jepsen(command) => {
            // Only what was typed: a cluster that the environment names was not meant.
            let typed = matches.value_source("endpoints") == Some(ValueSource::CommandLine);
            return command.run(&args.client, typed.then_some(args.client.endpoints.as_slice()));
        }
        Command::Start(mut flags) => {
            flags.layer.token_file = args.client.token_file;
            server::run(*flags)
        }
        Command::Dev(flags) => dev::run(&flags, &args.client),
        Command::DevScratch => dev::serve_scratch(),
        Command::Completions { shell } => complete(shell),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            let usage = error.is::<config::ConfigError>()
                || error.is::<dev::PlaceError>()
                || error.is::<steadfast_raft::mutant::Refused>();
            if usage { Exit::Usage.into() } else { Exit::Unexpected.into() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn shells_complete_commands_and_flags() {
        for shell in
            [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish]
        {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command_line(), "steadfast", &mut script);
            let script = String::from_utf8(script).expect("text");
            for word in ["transfer-leader", "max-staleness", "linearizable"] {
                assert!(script.contains(word), "{word} for {shell}");
            }
        }
    }

    #[test]
    fn what_is_misspelt_is_told_what_was_meant() {
        for (typed, meant) in [
            (&["steadfast", "clutser", "status"][..], "cluster"),
            (&["steadfast", "cluster", "statsu"], "status"),
            (&["steadfast", "get", "k", "--consistancy", "stale"], "--consistency"),
            (&["steadfast", "get", "k", "--consistency", "stael"], "stale"),
        ] {
            let error = command_line().try_get_matches_from(typed).expect_err("misspelt");
            assert!(error.to_string().contains(meant), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    /// Returns the examples in the help of a command and of those below it, each as it is typed.
    fn examples(command: &clap::Command, found: &mut Vec<String>) {
        let help = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        let name = command.get_name();
        if !command.is_hide_set() && name != "help" {
            assert!(
                help.contains("\nExamples:\n  "),
                "{name} --help begins with no examples: {help}"
            );
        }
        let lines = help.replace("\\\n", " ");
        let lines =
            lines.lines().filter(|line| line.starts_with("  ") && line.contains("steadfast "));
        found.extend(lines.map(|line| line[line.find("steadfast").unwrap_or(0)..].to_owned()));
        let below = command.get_subcommands().filter(|below| !below.is_hide_set());
        below.filter(|below| below.get_name() != "help").for_each(|it| examples(it, found));
    }

    #[test]
    fn every_command_shows_examples_first_and_all_of_them_can_be_typed() {
        let mut found = Vec::new();
        examples(&command_line(), &mut found);
        assert!(40 < found.len(), "{found:?}");
        for example in found {
            // What comes behind is a shell's, or a remark.
            let ends = ["   ", " > ", " | ", " || ", " && ", ")", "  #"];
            let end =
                ends.iter().filter_map(|end| example.find(end)).min().unwrap_or(example.len());
            let words = example[..end].split_whitespace().map(|word| word.trim_matches('\''));
            let typed = command_line().try_get_matches_from(words);
            assert!(typed.is_ok(), "{example}: {}", typed.expect_err("it cannot be typed"));
        }
    }

    #[test]
    fn the_help_of_start_is_about_starting() {
        let mut command = command_line();
        let start = command.find_subcommand_mut("start").expect("there is one");
        let help = start.render_long_help().to_string();
        assert!(
            help.contains("--memory-max")
                && help.contains("--token-file")
                && !help.contains("--endpoint"),
            "{help}"
        );
        let matches = command_line().get_matches_from(["steadfast", "start", "-v", "--data", "d"]);
        let args = Args::from_arg_matches(&matches).expect("good flags");
        assert!(matches!(args.command, Command::Start(_)) && args.verbose == 1);
    }
    /// The harness is a black box, so it has a list of its own.
    #[test]
    fn every_mutant_that_there_is_is_hunted_and_no_other() {
        let there =
            steadfast_raft::mutant::Mutant::ALL.iter().map(|mutant| mutant.name()).collect();
        assert_eq!(steadfast_jepsen::mutants::matrix::names(), there);
        assert_eq!(steadfast_jepsen::mutants::ENV, steadfast_raft::mutant::ENV);
    }
}
