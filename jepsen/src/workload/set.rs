//! A set: elements are added while things break, and counted when they are whole again.
//!
//! There is no list of keys yet, so the set is read key by key: every key that anybody tried to
//! add, through every node, linearizably. Those reads are one operation a node.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use steadfast_cli::client::Client;
use steadfast_cli::client::kv::Level;
use tokio::task::JoinSet;

use super::session::Session;
use super::{FINAL_ATTEMPTS, FINAL_READERS, FINAL_TIMEOUT, Shared};
use crate::history::{Answer, Call, End, Function, Mode, Value};

/// Works until told to stop.
pub(super) async fn run(mut session: Session) {
    while !session.shared.stopped() {
        let element = session.shared.next_value();
        let key = session.shared.key(element);
        // How it ended is in the history; the next element is another.
        session.add(&key, element).await;
    }
}

/// Reads the whole set through every node.
pub(super) async fn read_all(shared: &Arc<Shared>) {
    let elements = shared.values.load(Ordering::Relaxed);
    for node in &shared.nodes {
        let begun = shared.recorder.invoke(Call {
            process: shared.next_process(),
            function: Function::ReadAll,
            key: None,
            value: Value::Null,
            mode: Some(Mode::Linearizable),
            ttl_ms: None,
            node: Some(node.id),
            counts_on: None,
        });
        let mut readers = JoinSet::new();
        for reader in 0..FINAL_READERS as u64 {
            let (shared, endpoint) = (Arc::clone(shared), node.endpoint.clone());
            readers.spawn(async move {
                let mine = (reader..elements).step_by(FINAL_READERS);
                read(&shared, &endpoint, mine).await
            });
        }
        let read: Result<Vec<_>, String> = readers.join_all().await.into_iter().collect();
        let end = match read {
            Ok(parts) => {
                let elements: BTreeSet<_> = parts.into_iter().flatten().collect();
                End::Ok(Answer {
                    value: Value::Many(elements.into_iter().collect()),
                    mode: Some(Mode::Linearizable),
                    node: Some(node.id),
                    ..Answer::default()
                })
            }
            Err(why) => End::Fail(why),
        };
        shared.recorder.complete(begun, end);
    }
}

/// Returns which of the elements are there, by the word of one node.
async fn read(
    shared: &Shared,
    endpoint: &str,
    elements: impl Iterator<Item = u64>,
) -> Result<Vec<u64>, String> {
    let client = Client::new(&[endpoint.to_owned()], Some(FINAL_TIMEOUT));
    let client = client.map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for element in elements {
        let key = shared.key(element);
        let mut attempt = 1;
        loop {
            match client.get(key.as_bytes(), Level::Linearizable).await {
                Ok(read) => {
                    // An element is what its key says; another value is an element nobody added.
                    let value = read.found.map(|found| super::session::number(&found.value));
                    found.extend(value);
                    break;
                }
                Err(error) if attempt == FINAL_ATTEMPTS => {
                    return Err(format!("{key} cannot be read: {error}"));
                }
                Err(_) => attempt += 1,
            }
        }
    }
    Ok(found)
}
