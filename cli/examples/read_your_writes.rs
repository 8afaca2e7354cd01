//! Reads at any node, cheaply, and never misses one's own writes.
//!
//! A stale read asks nobody, so it may be older than what this client wrote a moment ago. Each answer
//! says how many mutations its shard had seen, and a stale read can ask for as many. It says so itself
//! if it falls behind all the same, and the read is then made again, linearizably: the slot of the key
//! may be another shard's by now, which counts anew.
//!
//! ```sh
//! steadfast dev &
//! cargo run -p steadfast-cli --example read_your_writes
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use bytes::Bytes;
use steadfast_cli::api::slot;
use steadfast_cli::client::kv::{Condition, Facts, Level};
use steadfast_cli::client::{Client, ClientError, ENDPOINTS_DEFAULT};

/// What a client has written so far: the newest facts of each slot.
#[derive(Default)]
pub(crate) struct Session(Vec<(u16, Facts)>);

impl Session {
    /// Stores a value, and remembers how far its shard was.
    pub(crate) async fn put(
        &mut self,
        client: &Client,
        key: &[u8],
        value: Bytes,
    ) -> Result<(), ClientError> {
        let facts = client.put(key, value, None, &Condition::Always).await?.facts;
        let slot = slot::of(key);
        self.0.retain(|(known, _)| *known != slot);
        self.0.push((slot, facts));
        Ok(())
    }

    /// Reads a value that is at least as new as this client's own writes.
    pub(crate) async fn get(
        &self,
        client: &Client,
        key: &[u8],
    ) -> Result<Option<Bytes>, ClientError> {
        let written = self.0.iter().find(|(slot, _)| *slot == slot::of(key));
        let min_revision = written.map(|(_, known)| known.applied);
        let stale = Level::Stale { max_staleness_ms: Some(1_000), min_revision };
        if let Ok(read) = client.get(key, stale).await
            && self.covers(&read.facts)
        {
            return Ok(read.found.map(|found| found.value));
        }
        let read = client.get(key, Level::Linearizable).await?;
        Ok(read.found.map(|found| found.value))
    }

    /// Returns whether an answer reflects all that was written here to its shard.
    fn covers(&self, facts: &Facts) -> bool {
        let written = self.0.iter().filter(|(_, known)| known.shard == facts.shard);
        written.map(|(_, known)| known.applied).all(|applied| applied <= facts.applied)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), ClientError> {
    let client = Client::new(&ENDPOINTS_DEFAULT.map(str::to_owned), None)?.routed();
    let mut session = Session::default();
    session.put(&client, b"profile", "blue".into()).await?;
    let value = session.get(&client, b"profile").await?.expect("it was just written");
    println!("{}", String::from_utf8_lossy(&value));
    Ok(())
}
