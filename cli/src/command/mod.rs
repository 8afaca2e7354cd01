//! The commands: what was typed becomes an [`Output`], or an error with an
//! exit code. One file per command.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::api::duration;
use crate::client::token::{TOKEN_FILE_ENV, Token, TokenError};
use crate::client::{Client, ClientError, ENDPOINTS_DEFAULT};
use crate::exit::Exit;
use crate::output::{Format, Output, Style};

pub mod batch;
pub mod cluster;
pub mod del;
pub mod export;
pub mod get;
pub mod import;
pub mod incr;
pub mod list;
pub mod mget;
pub mod put;
pub mod shard;
pub mod txn;
pub mod version;

#[cfg(test)]
mod tests;

/// What the help calls the options of [`Globals`].
pub const HEADING: &str = "Client options";

/// What every command of the client takes.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = HEADING)]
pub struct Globals {
    /// A node to ask, http://HOST:PORT; repeat it to name others for when it is down
    #[arg(
        long = "endpoint",
        value_name = "URL",
        global = true,
        env = "STEADFAST_ENDPOINTS",
        hide_env_values = true,
        value_delimiter = ',',
        default_values = ENDPOINTS_DEFAULT
    )]
    pub endpoints: Vec<String>,

    /// Show this file's token, without which a cluster may answer nothing
    #[arg(long, value_name = "FILE", global = true, env = TOKEN_FILE_ENV, hide_env_values = true)]
    pub token_file: Option<PathBuf>,

    /// Print the curl command of each request, too; a token stands in it as `$(cat FILE)`
    #[arg(long, global = true)]
    pub show_curl: bool,

    /// How to print results: for people, for programs, or the bare value
    #[arg(short, long, value_name = "FORMAT", global = true, default_value = "table")]
    pub output: Format,

    /// How long a request may take, such as 500ms or 10s; at most 30s
    #[arg(long, value_name = "DURATION", global = true, value_parser = timeout)]
    pub timeout: Option<Duration>,

    /// Print results and errors, and nothing else
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Print without colours, as NO_COLOR=1 does too
    #[arg(long, global = true)]
    pub no_color: bool,
}

impl Globals {
    /// Returns the client that they describe.
    pub fn client(&self) -> Result<Client, CommandError> {
        let mut client = Client::new(&self.endpoints, self.timeout)?;
        if let Some(path) = &self.token_file {
            client = client.with_token(Token::read(path)?);
        }
        if self.show_curl {
            client = client.showing_curl(self.token_file.clone(), say);
        }
        Ok(client)
    }
}

/// The commands that talk to a cluster.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Found a cluster, or look at it
    #[command(subcommand, long_about = cluster::HELP)]
    Cluster(cluster::Cluster),
    /// Look at single shards, move their leaders, snapshot them
    #[command(subcommand, long_about = shard::HELP)]
    Shard(shard::Shard),
    /// Read a key
    #[command(long_about = get::HELP)]
    Get(get::Get),
    /// Store a value under a key
    #[command(long_about = put::HELP)]
    Put(put::Put),
    /// Delete a key
    #[command(long_about = del::HELP)]
    Del(del::Del),
    /// List keys in order
    #[command(long_about = list::HELP)]
    List(list::List),
    /// Read many keys at once
    #[command(long_about = mget::HELP)]
    Mget(mget::Mget),
    /// Add to the number under a key
    #[command(long_about = incr::HELP)]
    Incr(incr::Incr),
    /// Change several keys at once, or none
    #[command(long_about = txn::HELP)]
    Txn(txn::Txn),
    /// Carry out many operations, each by itself
    #[command(long_about = batch::HELP)]
    Batch(batch::Batch),
    /// Export keys as lines of JSON
    #[command(long_about = export::HELP)]
    Export(export::Export),
    /// Import what was exported
    #[command(long_about = import::HELP)]
    Import(import::Import),
    /// Print the version of this program, and that of a node if one can be reached
    #[command(long_about = version::HELP)]
    Version(version::Version),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The call failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no token to show.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// What was typed cannot be used.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to type instead.
        advice: String,
    },
    /// No node of a cluster said anything about shards.
    #[error("{headline}")]
    Unseen {
        /// What was seen instead.
        headline: String,
    },
    /// An import stopped.
    #[error("the import stopped after line {lines}: {error}")]
    Import {
        /// Why.
        error: ClientError,
        /// All lines up to this one are imported.
        lines: u64,
    },
    /// A key did not change in time.
    #[error("the key is still version {etag} after {}", duration::format_ms(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)))]
    Unchanged {
        /// The version.
        etag: String,
        /// How long was waited for another.
        waited: Duration,
    },
    /// Lines are missing at the end of an export.
    #[error("{what}")]
    Cut {
        /// What is missing.
        what: String,
        /// How to get it.
        advice: String,
    },
    /// There is no such shard.
    #[error("there is no shard s{shard}; those who answered know {}", known.join(", "))]
    NoSuchShard {
        /// What was asked for.
        shard: u32,
        /// What there is.
        known: Vec<String>,
    },
}

impl Command {
    /// Carries out the command, prints its result, and returns what to exit with.
    pub fn run(self, globals: &Globals) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("this machine can make an event queue and a timer");
        let exit = match runtime.block_on(self.output(globals)) {
            Ok(output) => finish(&output, globals),
            Err(error) => {
                say(&error.to_text());
                error.exit()
            }
        };
        exit.into()
    }

    async fn output(self, globals: &Globals) -> Result<Output, CommandError> {
        let client = globals.client()?;
        match self {
            Self::Cluster(command) => command.run(&client).await,
            Self::Shard(command) => command.run(&client).await,
            Self::Get(command) => command.run(&client).await,
            Self::Put(command) => command.run(&client).await,
            Self::Del(command) => command.run(&client).await,
            Self::List(command) => command.run(&client).await,
            Self::Mget(command) => command.run(&client).await,
            Self::Incr(command) => command.run(&client).await,
            Self::Txn(command) => command.run(&client).await,
            Self::Batch(command) => command.run(&client).await,
            Self::Export(command) => command.run(&client, globals.quiet).await,
            Self::Import(command) => command.run(&client, globals.quiet).await,
            Self::Version(command) => Ok(command.run(&client).await),
        }
    }
}

impl CommandError {
    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(error) | Self::Import { error, .. } => error.exit(),
            Self::Cut { .. } => Exit::Unexpected,
            Self::Unchanged { .. } => Exit::WaitDeadline,
            Self::Usage { .. } | Self::Token(_) => Exit::Usage,
            Self::Unseen { .. } => Exit::Unavailable,
            Self::NoSuchShard { .. } => Exit::NotFound,
        }
    }

    /// Returns what failed and why, what state that leaves, and what to do next.
    pub fn to_text(&self) -> String {
        let (state, advice) = match self {
            Self::Client(error) => (state(error.exit()), error.advice()),
            Self::Import { error, .. } => {
                let in_doubt = error.exit() == Exit::OutcomeUnknown;
                let rest =
                    if in_doubt { "and some after it may be" } else { "and nothing after it" };
                let advice = "correct what it names, then the same command with --resume; of standard \
                              input send the lines from there on to POST /v1/import with first_line";
                return told(self, &format!("all up to that line is imported, {rest}"), advice);
            }
            Self::Cut { advice, .. } => ("what came is kept", advice.clone()),
            Self::Unchanged { .. } => {
                (state(Exit::WaitDeadline), "the same command waits again".to_owned())
            }
            Self::Usage { advice, .. } => (state(Exit::Usage), advice.clone()),
            Self::Token(_) => {
                (state(Exit::Usage), "--token-file with the file that the nodes have".to_owned())
            }
            Self::Unseen { .. } => {
                (state(Exit::Unavailable), "steadfast cluster status".to_owned())
            }
            Self::NoSuchShard { .. } => (state(Exit::NotFound), "steadfast shard list".to_owned()),
        };
        told(self, state, &advice)
    }
}

/// Returns an error with what state it leaves, and what to do next.
fn told(error: &CommandError, state: &str, advice: &str) -> String {
    let next = if advice.is_empty() { String::new() } else { format!("\n  next   {advice}") };
    format!("error: {error}\n  state  {state}{next}")
}

/// Returns what an error leaves behind.
fn state(exit: Exit) -> &'static str {
    match exit {
        Exit::OutcomeUnknown => "unknown: it may have taken effect, or may yet",
        Exit::Unavailable => "unchanged: nothing was applied; it is safe to try again",
        Exit::Done
        | Exit::Unexpected
        | Exit::Usage
        | Exit::NotFound
        | Exit::PreconditionFailed
        | Exit::NotAuthorised
        | Exit::WaitDeadline
        | Exit::Refused
        | Exit::Unhealthy
        | Exit::Violation
        | Exit::Undecided => "unchanged: nothing was applied",
    }
}

/// Prints a result.
fn finish(output: &Output, globals: &Globals) -> Exit {
    let mut stdout = std::io::stdout().lock();
    let style = Style::of_stdout(globals.no_color);
    let written = output.write(globals.output, style, &mut stdout).and_then(|()| stdout.flush());
    if let Some(talk) = output.talk().filter(|_| !globals.quiet) {
        say(&talk);
    }
    match written {
        Ok(()) => output.exit(),
        // The reader has seen enough, as `head` has.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => output.exit(),
        Err(error) => {
            say(&format!("error: the result cannot be printed: {error}"));
            Exit::Unexpected
        }
    }
}

/// Talks to the person, if someone listens.
fn say(text: &str) {
    drop(writeln!(std::io::stderr(), "{text}"));
}

/// Reads a key: any bytes.
fn key_bytes(key: OsString) -> Result<Vec<u8>, CommandError> {
    if key.is_empty() {
        return Err(CommandError::Usage {
            what: "the key is empty; a key has 1 to 1024 bytes".to_owned(),
            advice: "name a key, such as greeting".to_owned(),
        });
    }
    Ok(key.into_vec())
}

fn timeout(text: &str) -> Result<Duration, String> {
    match duration::parse_ms(text).map_err(|error| error.to_string())? {
        0 => Err("a timeout is at least 1ms".to_owned()),
        ms if 30_000 < ms => Err("a timeout is at most 30s".to_owned()),
        ms => Ok(Duration::from_millis(ms)),
    }
}

fn ttl(text: &str) -> Result<u64, String> {
    match duration::parse_ms(text).map_err(|error| error.to_string())? {
        0 => Err("a time to live is at least 1ms".to_owned()),
        ms => Ok(ms),
    }
}

/// Reads an ETag, with or without the quotes that shells eat.
fn etag(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if bare.is_empty() || !bare.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err("an ETag is what put and get --meta print, such as 7".to_owned());
    }
    Ok(format!("\"{bare}\""))
}
