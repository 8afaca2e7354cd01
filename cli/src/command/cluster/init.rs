//! `steadfast cluster init`

use crate::api::cluster::{InitRequest, REPLICAS_DEFAULT, SHARDS_DEFAULT};
use crate::client::Client;
use crate::command::CommandError;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Founds a cluster of nodes that run and belong to none yet.

Examples:
  steadfast cluster init --node 127.0.0.1:7401 --node 127.0.0.1:7402 --node 127.0.0.1:7403
  steadfast cluster init --node a:7401 --node b:7401 --node c:7401 --endpoint http://a:7301
  steadfast cluster init --node a:7401 --node b:7401 --node c:7401 --shards 12

Name the peer addresses of all nodes, which must be running; the first becomes node 1, and so on.
The request goes to one of them, which dials the others. The same command again is harmless: it
says that the cluster exists, or goes on where an earlier call was cut off. Check the addresses
first: a node that was claimed under a wrong list takes no other.";

/// Founds a cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct Init {
    /// The peer address of a node, HOST:PORT, as in its --advertise-peer; once for each node
    #[arg(long = "node", value_name = "PEER_HOST:PORT", required = true, num_args = 1..)]
    nodes: Vec<String>,
    /// How many shards hold the keys; fixed from then on
    #[arg(long, value_name = "COUNT", default_value_t = SHARDS_DEFAULT)]
    shards: u32,
    /// How many replicas each shard has; an odd number, at most that of the nodes
    #[arg(long, value_name = "COUNT", default_value_t = REPLICAS_DEFAULT)]
    replicas: u32,
}

impl Init {
    /// Carries it out.
    pub(in crate::command) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        let Self { nodes, shards, replicas } = self;
        let count = nodes.len();
        let answer = client.init(&InitRequest { nodes, shards, replicas }).await?;
        Ok(Output::Founded { answer, count })
    }
}
