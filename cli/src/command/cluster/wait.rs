//! `steadfast cluster wait`

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::goal::Goal;
use super::report::{Report, Witness};
use super::survey::survey;
use crate::api::duration;
use crate::client::Client;
use crate::output::Output;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Waits until the cluster is as it should be.

Examples:
  steadfast cluster wait --for healthy
  steadfast cluster wait --for leader --timeout 2m && ./load-test

leader: every shard has a leader that a majority confirmed just now, so all keys are served.
healthy: besides, every node is up and ready, so nothing is missing.

Exits with 8 if that is not so in time, and says what is missing.";

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Longest wait. Who waits longer should be told that nothing happens.
const WAIT_MS_MAX: u64 = 24 * 3_600_000;

/// Waits until the cluster is as it should be.
#[derive(Clone, Debug, clap::Args)]
pub struct Wait {
    /// What to wait for
    #[arg(long = "for", value_name = "GOAL")]
    goal: Goal,

    /// How long to wait, such as 30s or 10m
    // It takes the place of the client's option of this name, which bounds one request.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = patience)]
    timeout: Duration,
}

impl Wait {
    /// Carries it out.
    pub(in crate::command) async fn run(self, client: &Client) -> Output {
        let started = Instant::now();
        let deadline = started + self.timeout;
        let mut report = nothing_seen(client);
        loop {
            let Ok(seen) = timeout_at(deadline, survey(client)).await else { break };
            report = seen;
            if report.meets(self.goal) || deadline <= Instant::now() + LOOK_INTERVAL {
                break;
            }
            sleep(LOOK_INTERVAL).await;
        }
        Output::Waited { goal: self.goal, waited: started.elapsed(), report }
    }
}

/// Returns what is known before anyone answered.
fn nothing_seen(client: &Client) -> Report {
    let silent = |endpoint: &String| Witness {
        endpoint: endpoint.clone(),
        view: Err("no answer in time".to_owned()),
    };
    Report::of(client.endpoints().iter().map(silent).collect())
}

fn patience(text: &str) -> Result<Duration, String> {
    match duration::parse_ms(text).map_err(|error| error.to_string())? {
        0 => Err("a wait is at least 1ms".to_owned()),
        ms if WAIT_MS_MAX < ms => Err("a wait is at most 24h".to_owned()),
        ms => Ok(Duration::from_millis(ms)),
    }
}
