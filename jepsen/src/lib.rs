//! Fault injection and consistency checking: a real cluster of real processes, driven by clients,
//! broken in the ways that machines break, and judged by what the clients saw.
//!
//! ```text
//!   command    what was typed
//!     run      environment up -> workload and nemesis -> heal -> final reads -> judge -> report
//!       env        processes, networks and disks of the nodes
//!       nemesis    faults, each with evidence that it bit
//!       workload   clients: what they do, and what an answer means
//!     judge    checkers over a history: valid, invalid or unknown
//!     report   what a person looks at
//!   history    what was done and seen, one line an event
//!   folder     the files of a run
//!   mutants    nodes that are broken on purpose, and what catches them
//! ```
//!
//! It is a black box: it starts the product's own binary and uses its public client, and links
//! neither the server nor the consensus. So a history means the same wherever it comes from, and
//! `jepsen check` judges those of any cluster.

pub mod checker;
pub mod command;
pub mod env;
pub mod folder;
pub mod history;
pub mod judge;
pub mod mutants;
pub mod nemesis;
pub mod report;
pub mod run;
mod stopwatch;
pub mod workload;
