//! One source of settings: flags, environment or file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ConfigError;
use super::keys::hint;
use super::size::{Number, Size};

/// What a variable of ours begins with.
pub(super) const PREFIX: &str = "STEADFAST_";
/// The variable that names the settings file.
pub(super) const CONFIG_ENV: &str = "STEADFAST_CONFIG";
/// Variables that other parts of the program read.
pub(super) const OTHERS: [&str; 3] =
    [crate::telemetry::ENV, "STEADFAST_ENDPOINTS", steadfast_raft::mutant::ENV];

/// What `--help` says first.
pub(crate) const HELP: &str = "\
Runs a node: the same command for the first start and each later one.

Examples:
  steadfast start --data ./n1
  steadfast start --data ./n2 --http 127.0.0.1:7302 --peer 127.0.0.1:7402
  steadfast start --data /var/lib/steadfast --config /etc/steadfast.toml
  steadfast start --data /data --http 0.0.0.0:7301 --peer 0.0.0.0:7401 \\
      --advertise-http db1.example:7301 --advertise-peer db1.example:7401 \\
      --token-file /etc/steadfast.token

A new node waits for `steadfast cluster init`. After that, what it belongs to is on its disk: the
command stays the same for ever.

Every flag is also a variable and a key of the settings file: --memory-max 512MiB is
STEADFAST_MEMORY_MAX=512MiB and memory_max = \"512MiB\". Flags go before the environment, and the
environment before the file. Without a flag, in these two alone: heartbeat_ms (100),
election_ms_min (400), election_ms_max (600), segment_bytes (64MiB), segments_max (8),
log_memory_bytes_max (192MiB).
STEADFAST_LOG says what to trace, such as info,openraft=debug.

SIGTERM hands leadership over and stops within 8 seconds; a second one stops at once.";

/// The flags of `steadfast start`.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Flags {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Die with this process, which started this one
    #[arg(long, value_name = "PID", hide = true)]
    pub(crate) parent: Option<i32>,
    #[command(flatten)]
    pub(crate) layer: Layer,
}

/// What one source says. `None`: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layer {
    /// Keep all data in this directory; it is made if the one above it exists
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// Listen for clients here [default: 127.0.0.1:7301]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<String>,

    /// Listen for the other nodes here [default: 127.0.0.1:7401]
    #[arg(long, value_name = "ADDR")]
    pub(crate) peer: Option<String>,

    /// Tell clients to reach this node at this HOST:PORT [default: as --http]
    #[arg(long, value_name = "ADDR")]
    pub(crate) advertise_http: Option<String>,

    /// Tell the other nodes to reach this one at this HOST:PORT [default: as --peer]
    #[arg(long, value_name = "ADDR")]
    pub(crate) advertise_peer: Option<String>,

    /// Listen on addresses that other machines reach, without a token
    #[arg(long, num_args = 0, default_missing_value = "true")]
    #[serde(default, deserialize_with = "bool_or_text")]
    pub(crate) insecure: Option<bool>,

    /// What clients and nodes must know: a file. The flag is one of all commands.
    #[arg(skip)]
    pub(crate) token_file: Option<PathBuf>,

    /// Refuse writes that would make the data larger than this, such as 512MiB [default: none]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_max: Option<Size>,

    /// Milliseconds between a leader's heartbeats.
    #[arg(skip)]
    pub(crate) heartbeat_ms: Option<Number>,
    /// Least milliseconds without a leader before a follower campaigns.
    #[arg(skip)]
    pub(crate) election_ms_min: Option<Number>,
    /// Most such milliseconds.
    #[arg(skip)]
    pub(crate) election_ms_max: Option<Number>,
    /// Bytes of a segment of the log.
    #[arg(skip)]
    pub(crate) segment_bytes: Option<Size>,
    /// Segments past which shards are made to snapshot.
    #[arg(skip)]
    pub(crate) segments_max: Option<Number>,
    /// Bytes of log entries kept in memory.
    #[arg(skip)]
    pub(crate) log_memory_bytes_max: Option<Size>,
}

impl Layer {
    /// Reads a TOML file.
    pub(super) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|why| ConfigError::Unreadable { path: path.to_owned(), why })?;
        toml::from_str(&text).map_err(|error| ConfigError::Malformed {
            origin: format!("the settings file {}", path.display()),
            why: format!("{error}{}", hint(error.message())),
        })
    }

    /// Reads our variables, each by itself, so that an error names its variable. Returns the
    /// settings file too, if they name one.
    pub(super) fn from_environment(
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(Self, Option<PathBuf>), ConfigError> {
        let mut layer = Self::default();
        let mut config = None;
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| ours(name)) else { continue };
            let refuse = |why: String| ConfigError::Malformed { origin: name.to_owned(), why };
            let value = value.into_string();
            let value = value.map_err(|raw| refuse(format!("{} is no UTF-8", raw.display())))?;
            if name == CONFIG_ENV {
                config = Some(PathBuf::from(value));
                continue;
            }
            let mut table = toml::Table::new();
            table.insert(name[PREFIX.len()..].to_lowercase(), value.into());
            let one = table
                .try_into::<Self>()
                .map_err(|error| refuse(format!("{}{}", error.message(), hint(error.message()))))?;
            layer = layer.over(one);
        }
        Ok((layer, config))
    }

    /// Returns what this source says, and where it says nothing, what `below` does.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            data: self.data.or(below.data),
            http: self.http.or(below.http),
            peer: self.peer.or(below.peer),
            advertise_http: self.advertise_http.or(below.advertise_http),
            advertise_peer: self.advertise_peer.or(below.advertise_peer),
            insecure: self.insecure.or(below.insecure),
            token_file: self.token_file.or(below.token_file),
            memory_max: self.memory_max.or(below.memory_max),
            heartbeat_ms: self.heartbeat_ms.or(below.heartbeat_ms),
            election_ms_min: self.election_ms_min.or(below.election_ms_min),
            election_ms_max: self.election_ms_max.or(below.election_ms_max),
            segment_bytes: self.segment_bytes.or(below.segment_bytes),
            segments_max: self.segments_max.or(below.segments_max),
            log_memory_bytes_max: self.log_memory_bytes_max.or(below.log_memory_bytes_max),
        }
    }
}

/// Returns whether a variable is a setting of ours.
///
/// Kubernetes gives the pods of a service called steadfast variables of its own, such as
/// `STEADFAST_SERVICE_HOST` and `STEADFAST_PORT_7301_TCP`; those are none.
fn ours(name: &str) -> bool {
    let Some(key) = name.strip_prefix(PREFIX) else { return false };
    let service = key.split('_').any(|word| word == "SERVICE" || word == "PORT");
    !service && !OTHERS.contains(&name)
}

/// Reads a truth value that a file has as such and a variable as text.
fn bool_or_text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "it must be true or false")]
    enum BoolOrText {
        Bool(bool),
        Text(Truth),
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Truth {
        True,
        False,
    }
    Ok(Some(match BoolOrText::deserialize(from)? {
        BoolOrText::Bool(truth) => truth,
        BoolOrText::Text(Truth::True) => true,
        BoolOrText::Text(Truth::False) => false,
    }))
}
