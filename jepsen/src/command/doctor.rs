//! `steadfast jepsen doctor`: what can be broken here, and what is missing for the rest.

use clap::ValueEnum;
use steadfast_cli::exit::Exit;

use super::{CommandError, print};
use crate::env::{Kind, NEEDED};
use crate::nemesis::Nemesis;

/// What `--help` says first.
pub const HELP: &str = "\
Says which faults can be injected on this machine, and what to install for the others.

Nothing is changed. A fault that is missing is skipped by `steadfast jepsen run`, which says so.";

/// Says what can be broken here.
#[derive(Clone, Debug, clap::Args)]
pub struct Doctor {}

impl Doctor {
    /// Prints a line for each fault.
    pub(super) fn run(&self) -> Result<Exit, CommandError> {
        let kind = best();
        let mut lines = vec![match missing_for_netns() {
            None => {
                "netns        available: a network and a disk of its own for each node".to_owned()
            }
            Some(why) => format!("netns        missing: {why}; runs use --env local"),
        }];
        lines.push("local        available: loopback and folders".to_owned());
        for nemesis in Nemesis::value_variants() {
            let name = nemesis.name();
            lines.push(match nemesis.missing(kind) {
                None => format!("{name:<12} available"),
                Some(why) => format!("{name:<12} missing: {why}"),
            });
        }
        print(&lines.join("\n"));
        Ok(Exit::Done)
    }
}

/// Returns where nodes live if nobody says.
pub(super) fn best() -> Kind {
    if missing_for_netns().is_none() { Kind::Netns } else { Kind::Local }
}

/// Returns where nodes live, if it can be there.
pub(super) fn kind(asked: Option<Kind>) -> Result<Kind, String> {
    let kind = asked.unwrap_or_else(best);
    match missing_for_netns().filter(|_| kind == Kind::Netns) {
        Some(why) => Err(format!("--env netns: {why}; `steadfast jepsen doctor` says more")),
        None => Ok(kind),
    }
}

/// Returns why nodes cannot have namespaces and disks of their own here, if they cannot.
pub(super) fn missing_for_netns() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    NEEDED.iter().find_map(|tool| tool.path().err()).map(|error| error.to_string())
}
