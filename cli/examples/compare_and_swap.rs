//! Changes a value that others change too, and loses nobody's change.
//!
//! The new value is stored only if the key is still at the version that was read. The change here, to
//! add an item to a set, may be made twice without harm, so an outcome that is unknown is settled by
//! trying again: the next read shows whether there is anything left to do.
//!
//! ```sh
//! steadfast dev &
//! cargo run -p steadfast-cli --example compare_and_swap
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use steadfast_cli::api::problem::{Outcome, code};
use steadfast_cli::client::kv::{Condition, Level};
use steadfast_cli::client::{Client, ClientError, ENDPOINTS_DEFAULT};

/// Most attempts: past them there is more wrong than a race.
const ATTEMPTS_MAX: usize = 100;

/// Adds `item` to the set at `key`, a line each, and returns the set.
pub(crate) async fn add(client: &Client, key: &[u8], item: &str) -> Result<String, ClientError> {
    let mut attempt = 1;
    loop {
        match try_to_add(client, key, item).await {
            Err(error) if attempt < ATTEMPTS_MAX && may_be_repeated(&error) => attempt += 1,
            ended => return ended,
        }
    }
}

async fn try_to_add(client: &Client, key: &[u8], item: &str) -> Result<String, ClientError> {
    let found = client.get(key, Level::Linearizable).await?.found;
    let (set, unchanged) = match found {
        Some(found) => {
            let set = String::from_utf8_lossy(&found.value).into_owned();
            (set, Condition::EtagIs(found.etag))
        }
        None => (String::new(), Condition::Absent),
    };
    if set.lines().any(|line| line == item) {
        return Ok(set);
    }
    let larger = format!("{set}{item}\n");
    client.put(key, larger.clone().into(), None, &unchanged).await?;
    Ok(larger)
}

/// Returns whether another attempt may do better: somebody else was quicker, nothing was applied, or
/// nobody knows, which this change bears.
fn may_be_repeated(error: &ClientError) -> bool {
    match error {
        ClientError::Problem { problem, .. } => {
            problem.code == code::PRECONDITION_FAILED
                || problem.outcome == Outcome::Unknown
                || problem.status == 503
        }
        ClientError::NoAnswer { .. } | ClientError::Unreachable { .. } => true,
        ClientError::BadEndpoint { .. } | ClientError::Strange { .. } => false,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ClientError> {
    let client = Client::new(&ENDPOINTS_DEFAULT.map(str::to_owned), None)?.routed();
    for item in ["milk", "bread", "milk"] {
        add(&client, b"shopping", item).await?;
    }
    let set = add(&client, b"shopping", "tea").await?;
    print!("{set}");
    Ok(())
}
