//! A set: elements are added while things break, and counted when they are whole again.
//!
//! The set is read by lists, page by page, each page an operation of its own: now and then while things
//! break, and in the end through every node. Where a node cannot list all of it in the end, as when one
//! shard has no leader, it is read key by key: every key that anybody tried to add, as one operation.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand::RngExt;
use steadfast_cli::api::list::PAGE_MAX;
use steadfast_cli::client::kv::Level;
use tokio::task::JoinSet;

use super::session::Session;
use super::{FINAL_ATTEMPTS, FINAL_READERS, FINAL_TIMEOUT, Shared, Target};
use crate::history::{Answer, Call, End, Function, Kind, Mode, Value};

#[cfg(test)]
mod tests;

/// Of so many acts of a client that lists one is a list.
const LIST_ONE_OF: u32 = 300;
/// And of so many after an addition in doubt: where writes are in doubt a reading may be behind.
const LIST_ONE_OF_DOUBTED: u32 = 3;
/// Keys of a page while things break: less than there may be, so that a list has many.
const PAGE_KEYS: u32 = 200;
/// Most pages of one list: more than any run has elements for.
const PAGES_MAX: usize = 100_000;

/// Works until told to stop.
pub(super) async fn run(mut session: Session) {
    let mut one_of = LIST_ONE_OF;
    while !session.shared.stopped() {
        if session.lists() && session.random.random_range(0..one_of) == 0 {
            // A page that was refused is in the history, and the list ends there.
            list(&mut session, PAGE_KEYS, 1).await;
            one_of = LIST_ONE_OF;
            continue;
        }
        let element = session.shared.next_value();
        let key = session.shared.key(element);
        // How it ended is in the history; the next element is another.
        let doubted = session.add(&key, element).await == Kind::Info;
        one_of = if doubted { LIST_ONE_OF_DOUBTED } else { LIST_ONE_OF };
    }
}

/// Lists the whole set. Returns whether its end was reached, where a page is asked for so often.
async fn list(session: &mut Session, limit: u32, attempts: usize) -> bool {
    let (mut after, mut cursor) = (Value::Null, None);
    for _ in 0..PAGES_MAX {
        let mut attempt = 1;
        let (last, next) = loop {
            match session.list(limit, after.clone(), cursor.as_deref()).await {
                Ok(page) => break page,
                Err(_) if attempt < attempts => attempt += 1,
                Err(_) => return false,
            }
        };
        if next.is_none() {
            return true;
        }
        after = last.map_or(after, Value::One);
        cursor = next;
    }
    false
}

/// Reads the whole set through every node.
pub(super) async fn read_all(shared: &Arc<Shared>) {
    for (number, node) in shared.nodes.iter().enumerate() {
        let mut session = Session::patient(shared, number, number, FINAL_TIMEOUT);
        if !list(&mut session, PAGE_MAX, FINAL_ATTEMPTS).await {
            read_by_key(shared, node).await;
        }
    }
}

/// Reads the whole set key by key through a node.
async fn read_by_key(shared: &Arc<Shared>, node: &Target) {
    let elements = shared.values.load(Ordering::Relaxed);
    let begun = shared.recorder.invoke(Call {
        process: shared.next_process(),
        function: Function::ReadAll,
        key: None,
        value: Value::Null,
        mode: Some(Mode::Linearizable),
        ttl_ms: None,
        node: Some(node.id),
        counts_on: None,
        accounts: Vec::new(),
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

/// Returns which of the elements are there, by the word of one node.
async fn read(
    shared: &Shared,
    endpoint: &str,
    elements: impl Iterator<Item = u64>,
) -> Result<Vec<u64>, String> {
    let endpoint = [endpoint.to_owned()];
    let client = super::client(&endpoint, Some(FINAL_TIMEOUT), shared.token.as_ref());
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
