//! A network of network namespaces, one per node, on a bridge. Clients are in the root namespace.
//!
//! ```text
//!   clients -- bridge .254 --+-- port n1 -- [namespace n1: eth0 .1]
//!                            +-- port n2 -- [namespace n2: eth0 .2]       sink: a pair of links
//!                            +-- port n3 -- [namespace n3: eth0 .3]       that leads nowhere
//! ```
//!
//! A cut from n1 to n2 is a rule at port n1: what comes in there for the address of n2 goes to the
//! sink. The sender sees what it sees when a cable breaks, which is nothing, and the rule counts the
//! packets, which is the evidence. Needs no more of the system than the links themselves do.

use std::net::Ipv4Addr;
use std::path::Path;

use super::Link;
use super::ledger::{FOLDER, Ledger, Made, turn};
use super::tool::{IP, TC, ToolError, off_the_runtime};
use super::{EnvError, cannot};

#[cfg(test)]
mod tests;

/// Addresses for measurements between networks (RFC 2544): nobody has them.
const NETWORKS: [u8; 2] = [198, 18];
/// The bridge's own.
const HOST: u8 = 254;

/// The network of a run.
#[derive(Debug)]
pub(super) struct Bridge {
    /// What the names of all links and namespaces begin with.
    name: String,
    network: u8,
}

impl Bridge {
    /// Makes the network for so many nodes. `name` has at most 11 characters.
    pub(super) async fn make(
        name: &str,
        nodes: u32,
        ledger: &mut Ledger,
    ) -> Result<Self, EnvError> {
        // Nobody else chooses until the address below says that this network is taken.
        let turn = off_the_runtime(|| turn(Path::new(FOLDER))).await;
        let turn = turn.map_err(|error| cannot(&format!("{FOLDER} cannot be locked"), error))?;
        let network = free_network().await?;
        let bridge = Self { name: name.to_owned(), network };
        let (trunk, sink) = (bridge.trunk(), bridge.sink());
        note(ledger, &Made::Link(trunk.clone()))?;
        IP.run(&["link", "add", &trunk, "type", "bridge"]).await?;
        let address = format!("{}/24", bridge.address_at(HOST));
        IP.run(&["address", "add", &address, "dev", &trunk]).await?;
        drop(turn);
        IP.run(&["link", "set", &trunk, "up"]).await?;
        note(ledger, &Made::Link(sink.clone()))?;
        let far = format!("{name}x");
        IP.run(&["link", "add", &sink, "type", "veth", "peer", "name", &far]).await?;
        IP.run(&["link", "set", &sink, "up"]).await?;
        IP.run(&["link", "set", &far, "up"]).await?;
        for node in 1..=nodes {
            bridge.add(node, ledger).await?;
        }
        Ok(bridge)
    }

    /// Makes the namespace of a node, and its link to the bridge.
    async fn add(&self, node: u32, ledger: &mut Ledger) -> Result<(), EnvError> {
        let (space, port) = (self.namespace(node), self.port(node));
        note(ledger, &Made::Namespace(space.clone()))?;
        IP.run(&["netns", "add", &space]).await?;
        note(ledger, &Made::Link(port.clone()))?;
        let pair = ["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &space];
        IP.run(&pair).await?;
        IP.run(&["link", "set", &port, "master", &self.trunk(), "up"]).await?;
        TC.run(&["qdisc", "add", "dev", &port, "clsact"]).await?;
        let address = format!("{}/24", self.address(node));
        IP.run(&["-n", &space, "address", "add", &address, "dev", "eth0"]).await?;
        IP.run(&["-n", &space, "link", "set", "lo", "up"]).await?;
        IP.run(&["-n", &space, "link", "set", "eth0", "up"]).await?;
        Ok(())
    }

    /// Returns the namespace of a node.
    pub(super) fn namespace(&self, node: u32) -> String {
        format!("{}n{node}", self.name)
    }

    /// Returns the address of a node.
    pub(super) fn address(&self, node: u32) -> Ipv4Addr {
        self.address_at(u8::try_from(node).expect("there are few nodes"))
    }

    /// Loses all that one node sends to another.
    pub(super) async fn cut(&self, link: Link) -> Result<(), ToolError> {
        let (port, priority) = (self.port(link.from), link.to.to_string());
        let address = format!("{}/32", self.address(link.to));
        let rule = ["filter", "add", "dev", &port, "ingress", "protocol", "ip", "prio", &priority];
        let matches = ["u32", "match", "ip", "dst", &address];
        let sink = self.sink();
        let action = ["action", "mirred", "egress", "redirect", "dev", &sink];
        TC.run(&[&rule[..], &matches, &action].concat()).await.map(drop)
    }

    /// Loses nothing more. Returns how many packets were lost.
    pub(super) async fn heal(&self, link: Link) -> Result<u64, ToolError> {
        let (port, priority) = (self.port(link.from), link.to.to_string());
        let rule = ["dev", &port, "ingress", "prio", &priority];
        let shown = TC.run(&[&["-s", "-j", "filter", "show"], &rule[..]].concat()).await?;
        TC.run(&[&["filter", "del"], &rule[..]].concat()).await?;
        Ok(packets(&shown))
    }

    fn trunk(&self) -> String {
        format!("{}b", self.name)
    }

    fn sink(&self) -> String {
        format!("{}s", self.name)
    }

    fn port(&self, node: u32) -> String {
        format!("{}p{node}", self.name)
    }

    fn address_at(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(NETWORKS[0], NETWORKS[1], self.network, host)
    }
}

/// Returns the number of a network that no link of this machine has.
async fn free_network() -> Result<u8, EnvError> {
    let addresses = IP.run(&["-o", "-4", "address", "show"]).await?;
    let prefix = |number: &u8| format!(" {}.{}.{number}.", NETWORKS[0], NETWORKS[1]);
    let mut free = (1..=u8::MAX).filter(|number| !addresses.contains(&prefix(number)));
    free.next().ok_or_else(|| EnvError::new("all networks of 198.18.0.0/16 are taken"))
}

/// Returns the sum of the packets that rules have seen, as `tc -j` prints them.
fn packets(shown: &str) -> u64 {
    let Ok(rules) = serde_json::from_str::<serde_json::Value>(shown) else { return 0 };
    let actions = rules.as_array().into_iter().flatten();
    let actions = actions.filter_map(|rule| rule["options"]["actions"].as_array()).flatten();
    actions.filter_map(|action| action["stats"]["packets"].as_u64()).sum()
}

fn note(ledger: &mut Ledger, made: &Made) -> Result<(), EnvError> {
    ledger.note(made).map_err(|error| cannot("the ledger cannot be written", error))
}
