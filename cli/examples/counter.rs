//! Counts, and says how sure the count is.
//!
//! Adding one may not be done twice, so here an outcome that is unknown cannot be settled by trying
//! again. It is handed to the caller, who then knows that the count is one higher or not: never is a
//! step lost or counted twice behind anybody's back.
//!
//! ```sh
//! steadfast dev &
//! cargo run -p steadfast-cli --example counter
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use steadfast_cli::api::problem::{Outcome, code};
use steadfast_cli::client::kv::{Condition, Level};
use steadfast_cli::client::{Client, ClientError, ENDPOINTS_DEFAULT};

/// Most attempts: past them there is more wrong than a race.
const ATTEMPTS_MAX: usize = 100;

/// Adds one to the counter at `key`, and returns what it is then.
///
/// An error whose outcome is [`Outcome::Unknown`] may have added one all the same; any other has
/// not.
pub(crate) async fn increment(client: &Client, key: &[u8]) -> Result<u64, ClientError> {
    let mut attempt = 1;
    loop {
        match try_to_increment(client, key).await {
            Err(error) if attempt < ATTEMPTS_MAX && was_not_applied(&error) => attempt += 1,
            ended => return ended,
        }
    }
}

/// Returns the count.
pub(crate) async fn count(client: &Client, key: &[u8]) -> Result<u64, ClientError> {
    Ok(read(client, key).await?.0)
}

async fn try_to_increment(client: &Client, key: &[u8]) -> Result<u64, ClientError> {
    let (count, unchanged) = read(client, key).await?;
    let next = count + 1;
    client.put(key, next.to_string().into(), None, &unchanged).await?;
    Ok(next)
}

async fn read(client: &Client, key: &[u8]) -> Result<(u64, Condition), ClientError> {
    let found = client.get(key, Level::Linearizable).await?.found;
    Ok(match found {
        Some(found) => {
            let text = String::from_utf8_lossy(&found.value);
            (text.parse().expect("only counts are stored here"), Condition::EtagIs(found.etag))
        }
        None => (0, Condition::Absent),
    })
}

/// Returns whether nothing was applied, and another attempt may do better.
fn was_not_applied(error: &ClientError) -> bool {
    let passes = match error {
        ClientError::Problem { problem, .. } => {
            problem.code == code::PRECONDITION_FAILED || problem.status == 503
        }
        ClientError::NoAnswer { .. } | ClientError::Unreachable { .. } => true,
        ClientError::BadEndpoint { .. } | ClientError::Strange { .. } => false,
    };
    passes && error.outcome() == Outcome::NotApplied
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ClientError> {
    let client = Client::new(&ENDPOINTS_DEFAULT.map(str::to_owned), None)?.routed();
    increment(&client, b"visits").await?;
    println!("{} visits", count(&client, b"visits").await?);
    Ok(())
}
