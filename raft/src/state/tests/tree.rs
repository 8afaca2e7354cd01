//! The tree against a plain sorted map, and its own invariants.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::command::codec::tests::{key, value};
use crate::state::stored::Stored;
use crate::state::tree::{ByDeadline, ByKey, Child, Node, Order, Tree, WIDTH};
use crate::words::{LogTime, Revision};

fn stored(number: u64, revision: u64) -> Stored {
    let deadline = Some(LogTime(number % 7));
    Stored::new(&key(&format!("k{number}")), &value("v"), Revision(revision), deadline)
}

/// Checks invariants 1 to 4 of a subtree, whose places lie within these bounds. Returns how many
/// it holds, and how deep it is.
fn check<O: Order>(
    node: &Node,
    low: Bound<&[u8]>,
    high: Bound<&[u8]>,
    is_root: bool,
) -> (usize, u32) {
    let members = node.len();
    assert!(members <= WIDTH && (is_root || 0 < members), "a node of {members}");
    match node {
        Node::Leaf(records) => {
            assert!(records.capacity() <= WIDTH);
            let records: Vec<_> = records.iter().map(|slot| slot.stored.clone()).collect();
            assert!(records.windows(2).all(|pair| O::place(&pair[0]) < O::place(&pair[1])));
            for stored in &records {
                let place = O::place(stored);
                let within = std::ops::RangeBounds::<[u8]>::contains(&(low, high), &*place);
                assert!(within, "{place:?} is not within {low:?} and {high:?}");
            }
            (records.len(), 0)
        }
        Node::Branch(children) => {
            assert!(!is_root || 2 <= members, "a root with one child");
            let mut depths = Vec::new();
            let mut total = 0;
            for (at, Child { from, node }) in children.iter().enumerate() {
                let low = if at == 0 { low } else { Bound::Included(&**from) };
                let next = children.get(at + 1);
                let high = next.map_or(high, |next| Bound::Excluded(&*next.from));
                let (count, depth) = check::<O>(node, low, high, false);
                total += count;
                depths.push(depth);
            }
            assert!(depths.windows(2).all(|pair| pair[0] == pair[1]), "{depths:?}");
            (total, depths[0] + 1)
        }
    }
}

fn check_tree<O: Order>(tree: &Tree<O>, expected: &BTreeMap<Vec<u8>, Stored>) {
    let (count, _) = check::<O>(&tree.root, Bound::Unbounded, Bound::Unbounded, true);
    assert_eq!((count, tree.len()), (expected.len(), expected.len()));
    assert!(tree.iter().eq(expected.values()));
    assert_eq!(tree.first(), expected.values().next());
    assert_eq!(tree.last(), expected.values().next_back());
    // From what is there, from right behind it, and from the ends.
    let some = expected.keys().step_by(97).flat_map(|it| [it.clone(), [&it[..], &[0]].concat()]);
    let lowest = expected.keys().next().map(|it| it[..8.min(it.len())].to_vec());
    for place in some.chain(lowest).chain([vec![0xff; 20]]) {
        let ahead = expected.range(place.clone()..).map(|(_, stored)| stored);
        assert!(tree.iter_from(&place).take(200).eq(ahead.take(200)));
    }
}

/// Grows and shrinks a tree by turns, beside clones that must not change.
fn churn<O: Order + Clone>(seed: u64) {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut tree, mut expected) = (Tree::<O>::default(), BTreeMap::new());
    let numbers = 6_000;
    for round in 0..8_u64 {
        let (clone, before) = (tree.clone(), expected.clone());
        for step in 0..5_000 {
            let number = match round {
                // In order, as from a snapshot; then in none.
                0 => step,
                _ => random.random_range(0..numbers),
            };
            let new = stored(number, round * 5_000 + step);
            let place = O::place(&new).into_owned();
            assert_eq!(tree.get(&place), expected.get(&place));
            if round % 3 == 2 || random.random_ratio(1, 8) {
                assert_eq!(tree.remove(&place), expected.remove(&place));
            } else {
                assert_eq!(tree.insert(new.clone()), expected.insert(place, new));
            }
        }
        check_tree(&tree, &expected);
        check_tree(&clone, &before);
    }
    let places: Vec<_> = expected.keys().cloned().collect();
    for place in places {
        assert_eq!(tree.remove(&place), expected.remove(&place));
        if expected.len() % 500 == 0 {
            check_tree(&tree, &expected);
        }
    }
    assert_eq!(tree, Tree::default());
}

#[test]
fn a_tree_is_a_sorted_map() {
    churn::<ByKey>(rand::random());
    churn::<ByDeadline>(rand::random());
}

/// Invariant 5: what is left after most was removed takes little room.
#[test]
fn a_tree_that_shrank_is_joined() {
    let mut tree = Tree::<ByKey>::default();
    let all: Vec<_> = (0..20_000).map(|number| stored(number, 1)).collect();
    all.iter().for_each(|stored| drop(tree.insert(stored.clone())));
    for (at, stored) in all.iter().enumerate() {
        if at % 50 != 0 {
            tree.remove(stored.key());
        }
    }
    let nodes = |node: &Node| leaves(node);
    assert!(nodes(&tree.root) <= 8 * tree.len() / WIDTH + 1, "{} leaves", nodes(&tree.root));
}

fn leaves(node: &Node) -> usize {
    match node {
        Node::Leaf(_) => 1,
        Node::Branch(children) => children.iter().map(|child| leaves(&child.node)).sum(),
    }
}

/// What was replaced or removed is gone, wherever the tree had been split at it.
#[test]
fn nothing_replaced_is_kept() {
    let mut tree = Tree::<ByKey>::default();
    let old: Vec<_> = (0..5_000).map(|number| stored(number, 1)).collect();
    old.iter().for_each(|stored| drop(tree.insert(stored.clone())));
    for (at, gone) in old.iter().enumerate() {
        if at % 2 == 0 {
            tree.insert(stored(at as u64, 2));
        } else {
            tree.remove(gone.key());
        }
    }
    assert!(old.iter().all(|stored| Arc::strong_count(&stored.0) == 1));
}
