//! Pages of a list over all shards: each shard is asked for its stretch, in parallel, and what all
//! have seen is merged.
//!
//! ```text
//!   s1: a d g . . upto g      |
//!   s2: b c e f m   (all)     |   page: a b c d e f g, next after g: s1 was not asked beyond
//! ```
//!
//! A page is linearizable in each shard, and no snapshot over them.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::future::try_join_all;
use tokio::time::Instant;

use super::api::{Answer, Facts, Operation, Refusal, RequestError};
use super::{Inner, Node};
use crate::limits;
use crate::shard::scan::{Listed, Scan, Stretch};
use crate::words::{ClusterId, ShardId};

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The keys, ascending.
    pub keys: Vec<Listed>,
    /// The last key up to which this is all there is. `None`: there are no more.
    pub upto: Option<Bytes>,
    /// Where it comes from, by shard.
    pub facts: Vec<Facts>,
}

impl Node {
    /// Lists keys of all shards, at most [`limits::PAGE_KEYS_MAX`].
    pub async fn list(&self, scan: Scan, deadline: Instant) -> Result<Page, RequestError> {
        let shards = self.inner.data_shards().map_err(RequestError::NotApplied)?;
        let keys_max = usize::try_from(scan.keys_max).unwrap_or(usize::MAX);
        let share = limits::PAGE_BYTES_MAX / shards.len().max(1);
        let share = share.min(limits::STRETCH_BYTES_MAX);
        let scan = Scan { bytes_max: u32::try_from(share).expect("a few MiB"), ..scan };
        let ask = async |shard| {
            let operation = Operation::Scan { shard, scan: scan.clone() };
            match Box::pin(self.inner.serve(operation, self.route, deadline)).await? {
                Answer::Scanned(scanned) => Ok(*scanned),
                Answer::Read(_) | Answer::Write(_) | Answer::Owned { .. } | Answer::Map { .. } => {
                    unreachable!("a scan is answered as a scan")
                }
            }
        };
        let stretches = try_join_all(shards.into_iter().map(ask)).await?;
        Ok(merge(stretches, keys_max))
    }

    /// Returns the cluster that the node belongs to, if it does.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.inner.directory.member().map(|member| member.cluster)
    }

    /// Returns the wall clock, in Unix milliseconds: for deadlines that leave the cluster or come from
    /// outside.
    pub fn wall_ms(&self) -> u64 {
        self.inner.seams.clock.wall_ms()
    }
}

impl Inner {
    /// Returns the shards that hold keys, as far as the map is known.
    fn data_shards(&self) -> Result<Vec<ShardId>, Refusal> {
        let table = self.table();
        if !table.is_known() {
            return Err(self.no_replica());
        }
        let shards = table.meta().shards().keys().copied();
        Ok(shards.filter(|shard| *shard != ShardId::META).collect())
    }
}

/// What came of the scan of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Where it comes from.
    pub facts: Facts,
    /// What there is.
    pub stretch: Stretch,
}

/// Merges what the shards said, as far as all of them have looked.
fn merge(scanned: Vec<Scanned>, keys_max: usize) -> Page {
    let horizon = scanned.iter().filter_map(|it| it.stretch.upto.clone()).min();
    let (mut facts, mut all) = (Vec::new(), BTreeMap::new());
    for it in scanned {
        facts.push(it.facts);
        all.extend(it.stretch.keys.into_iter().map(|listed| (listed.key.clone(), listed)));
    }
    let mut keys: Vec<Listed> = all
        .into_values()
        .filter(|listed| horizon.as_ref().is_none_or(|horizon| listed.key <= *horizon))
        .collect();
    let mut upto = horizon;
    if keys_max < keys.len() {
        keys.truncate(keys_max);
        upto = keys.last().map(|listed| listed.key.clone());
    }
    Page { keys, upto, facts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Epoch, LogTime, NodeId, Revision, Term};

    fn scanned(keys: &[&'static str], upto: Option<&'static str>) -> Scanned {
        let listed = |key: &&'static str| Listed {
            key: Bytes::from_static(key.as_bytes()),
            value: None,
            revision: Revision(1),
            expires_in: None,
        };
        let facts = Facts {
            shard: ShardId(1),
            node: NodeId(1),
            leader: None,
            term: Term::default(),
            applied: Revision(1),
            log_time: LogTime(1),
            map_epoch: Epoch(1),
        };
        let stretch = Stretch {
            keys: keys.iter().map(listed).collect(),
            upto: upto.map(|key| Bytes::from_static(key.as_bytes())),
            applied: Revision(1),
            log_time: LogTime(1),
            epoch: Epoch(1),
        };
        Scanned { facts, stretch }
    }

    #[track_caller]
    fn check(scanned: Vec<Scanned>, keys_max: usize, expected: &[&str], upto: Option<&str>) {
        let page = merge(scanned, keys_max);
        let keys: Vec<_> = page.keys.iter().map(|listed| &listed.key[..]).collect();
        assert_eq!(keys, expected.iter().map(|key| key.as_bytes()).collect::<Vec<_>>());
        assert_eq!(page.upto.as_deref(), upto.map(str::as_bytes));
    }

    #[test]
    fn a_page_ends_where_the_first_shard_stopped_looking() {
        let shards = || vec![scanned(&["a", "d", "g"], Some("g")), scanned(&["b", "f", "m"], None)];
        check(shards(), 9, &["a", "b", "d", "f", "g"], Some("g"));
        check(shards(), 2, &["a", "b"], Some("b"));
        check(vec![scanned(&["b"], None), scanned(&["a"], None)], 9, &["a", "b"], None);
        // A shard whose keys have all expired still says how far it has looked.
        check(vec![scanned(&[], Some("c")), scanned(&["b", "d"], None)], 9, &["b"], Some("c"));
        check(vec![scanned(&["a"], Some("a")), scanned(&["b"], Some("b"))], 9, &["a"], Some("a"));
        check(vec![], 9, &[], None);
    }
}
