//! `steadfast cluster init`

use crate::client::Client;
use crate::command::CommandError;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Founds a cluster of nodes that run and belong to none yet.

Examples:
  steadfast cluster init --node 127.0.0.1:7401 --node 127.0.0.1:7402 --node 127.0.0.1:7403
  steadfast cluster init --node a:7401 --node b:7401 --node c:7401 --endpoint http://a:7301

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
}

impl Init {
    /// Carries it out.
    pub(in crate::command) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        let count = self.nodes.len();
        let answer = client.init(self.nodes).await?;
        Ok(Output::Founded { answer, count })
    }
}
