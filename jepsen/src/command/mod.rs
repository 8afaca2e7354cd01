//! What was typed after `steadfast jepsen`. One file per command.

use std::process::ExitCode;

pub mod doctor;
pub mod run;

/// The commands.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Start a cluster, break it, and judge what its clients saw
    #[command(long_about = run::HELP)]
    Run(Box<run::Run>),
    /// Say which faults can be injected here
    #[command(long_about = doctor::HELP)]
    Doctor(doctor::Doctor),
}

impl Command {
    /// Carries out the command. `endpoints`: those that were typed.
    pub fn run(self, endpoints: Option<&[String]>) -> ExitCode {
        match self {
            Self::Run(run) => run.run(endpoints),
            Self::Doctor(doctor) => doctor.run(),
        }
    }
}
