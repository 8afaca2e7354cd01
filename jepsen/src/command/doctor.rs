//! `steadfast jepsen doctor`: what can be broken here, and what is missing for the rest.

use clap::ValueEnum;
use steadfast_cli::exit::Exit;

use super::{CommandError, print};
use crate::env::Kind;
use crate::env::probe::{Probe, probe};
use crate::nemesis::Nemesis;

/// What `--help` says first.
pub const HELP: &str = "\
Says which faults can be injected on this machine, and what to install for the others.

Examples:
  steadfast jepsen doctor
  sudo steadfast jepsen doctor

As root it tries: it makes two network namespaces and two small file systems, cuts a link, cuts a power
supply, fills and freezes a disk, takes hold of a process, and removes all of it. A fault that is missing is
skipped by `steadfast jepsen run`, which says so and exits with 13 at best.";

/// Says what can be broken here.
#[derive(Clone, Debug, clap::Args)]
pub struct Doctor {}

impl Doctor {
    /// Prints a line for each fault.
    pub(super) fn run(&self) -> Result<Exit, CommandError> {
        let found = probe();
        let kind = best(&found);
        let mut lines = vec![match &found.netns {
            None => {
                "netns          available: a network and a disk of its own for each node".to_owned()
            }
            Some(why) => format!("netns          missing: {why}; runs use --env local"),
        }];
        lines.push("local          available: loopback and folders".to_owned());
        for nemesis in Nemesis::value_variants() {
            let name = nemesis.name();
            lines.push(match found.missing(*nemesis, kind) {
                None => format!("{name:<14} available"),
                Some(why) => format!("{name:<14} missing: {why}"),
            });
        }
        print(&lines.join("\n"));
        Ok(Exit::Done)
    }
}

/// Returns where nodes live if nobody says.
fn best(found: &Probe) -> Kind {
    if found.netns.is_none() { Kind::Netns } else { Kind::Local }
}

/// Returns where nodes live, if it can be there, and what can be broken there.
pub(super) fn kind(asked: Option<Kind>) -> Result<(Kind, Probe), String> {
    if asked == Some(Kind::Local) {
        return Ok((Kind::Local, Probe::default()));
    }
    let found = probe();
    match (&found.netns, asked) {
        (Some(why), Some(Kind::Netns)) => {
            Err(format!("--env netns: {why}; `steadfast jepsen doctor` says more"))
        }
        _ => Ok((best(&found), found)),
    }
}
