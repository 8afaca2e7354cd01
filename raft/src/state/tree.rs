//! What is stored, in an order: a persistent B+tree.
//!
//! ```text
//!   branch      | from "a"  | from "k"  | from "t"  |     copies of keys
//!                  /             |            \
//!   leaves   | a c f |      | k m p |      | t z |        hashes, and pointers to what is stored
//! ```
//!
//! A clone shares all nodes with its origin, and either copies a node before it changes one that
//! both still have. So a clone costs nothing, and a tree beside a clone pays once for each node it
//! changes.
//!
//! It is not a map of a library's, for two reasons, both measured (ADR 7): a leaf has room for many
//! keys and takes only the room it needs; and branches hold copies of keys, where a tree whose keys
//! *are* the stored things would have its branches keep alive what was long replaced.
//!
//! # Invariants
//!
//! 1. What is in a leaf, and in all leaves from left to right, ascends.
//! 2. All leaves are equally deep. No node but the root is empty; a root that is a branch has two
//!    children at least.
//! 3. `from` of a child is at or below all in it and above those of the children before it. The
//!    first child takes whatever lies below the second, so its `from` means nothing.
//! 4. A node has at most [`WIDTH`] members.
//! 5. A node that shrinks to a quarter of that is joined with a neighbour wherever the two fit into
//!    a half.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::slice;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::stored::Stored;
use crate::words::LogTime;

/// Most members of a node. Wider nodes take less memory and more time to copy.
pub(super) const WIDTH: usize = 64;
/// Members that a node makes room for at once.
const ROOM: usize = 8;

/// An order of what is stored, by places that can be compared as bytes.
pub(super) trait Order {
    /// Returns the place of `stored`.
    fn place(stored: &Stored) -> Cow<'_, [u8]>;
    /// Compares the place of `stored` to `place`.
    fn compare(stored: &Stored, place: &[u8]) -> Ordering;
}

/// By key.
#[derive(Clone, Debug, Default)]
pub(super) struct ByKey;

/// By deadline, then by key. For those that have a deadline.
#[derive(Clone, Debug, Default)]
pub(super) struct ByDeadline;

impl Order for ByKey {
    fn place(stored: &Stored) -> Cow<'_, [u8]> {
        stored.key().into()
    }

    fn compare(stored: &Stored, place: &[u8]) -> Ordering {
        stored.key().cmp(place)
    }
}

impl ByDeadline {
    fn deadline(stored: &Stored) -> [u8; 8] {
        let LogTime(deadline) = stored.deadline().expect("without one it has no place here");
        deadline.to_be_bytes()
    }
}

impl Order for ByDeadline {
    fn place(stored: &Stored) -> Cow<'_, [u8]> {
        [&Self::deadline(stored), stored.key()].concat().into()
    }

    fn compare(stored: &Stored, place: &[u8]) -> Ordering {
        let (deadline, key) = place.split_at(8);
        Self::deadline(stored)[..].cmp(deadline).then_with(|| stored.key().cmp(key))
    }
}

/// What is stored, in the order `O`. Each place is taken once.
#[derive(Clone)]
pub(super) struct Tree<O> {
    pub(super) root: Arc<Node>,
    len: usize,
    order: PhantomData<O>,
}

#[derive(Clone)]
pub(super) enum Node {
    Leaf(Vec<Slot>),
    Branch(Vec<Child>),
}

/// Something stored, and the hash of its place: a lookup touches only what has the hash it wants,
/// for each touch of memory that is not at hand costs more than all comparisons of hashes.
#[derive(Clone)]
pub(super) struct Slot {
    hash: u64,
    pub(super) stored: Stored,
}

#[derive(Clone)]
pub(super) struct Child {
    pub(super) from: Arc<[u8]>,
    pub(super) node: Arc<Node>,
}

impl<O: Order> Tree<O> {
    /// Returns how many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns what is at `place`.
    pub(super) fn get(&self, place: &[u8]) -> Option<&Stored> {
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Branch(children) => node = &children[child_at(children, place)].node,
                Node::Leaf(slots) => {
                    let at = find::<O>(slots, place, xxh3_64(place))?;
                    return Some(&slots[at].stored);
                }
            }
        }
    }

    /// Returns the lowest.
    pub(super) fn first(&self) -> Option<&Stored> {
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Branch(children) => node = &children.first()?.node,
                Node::Leaf(slots) => return Some(&slots.first()?.stored),
            }
        }
    }

    /// Returns the highest.
    pub(super) fn last(&self) -> Option<&Stored> {
        let mut node = &self.root;
        loop {
            match &**node {
                Node::Branch(children) => node = &children.last()?.node,
                Node::Leaf(slots) => return Some(&slots.last()?.stored),
            }
        }
    }

    /// Returns all, ascending.
    pub(super) fn iter(&self) -> Iter<'_> {
        let mut iter = Iter { path: Vec::new(), leaf: [].iter() };
        iter.enter(&self.root);
        iter
    }

    /// Returns those at `place` and above, ascending.
    pub(super) fn iter_from(&self, place: &[u8]) -> Iter<'_> {
        let (mut path, mut node) = (Vec::new(), &self.root);
        loop {
            match &**node {
                Node::Branch(children) => {
                    let at = child_at(children, place);
                    path.push(children[at + 1..].iter());
                    node = &children[at].node;
                }
                Node::Leaf(slots) => {
                    let is_below = |slot: &Slot| O::compare(&slot.stored, place).is_lt();
                    return Iter { path, leaf: slots[slots.partition_point(is_below)..].iter() };
                }
            }
        }
    }

    /// Puts it in its place, and returns what was there.
    pub(super) fn insert(&mut self, stored: Stored) -> Option<Stored> {
        let place = O::place(&stored).into_owned();
        let slot = Slot { hash: xxh3_64(&place), stored };
        let (replaced, upper) = Arc::make_mut(&mut self.root).insert::<O>(&place, slot);
        if let Some(upper) = upper {
            let lower = Child { from: [].into(), node: Arc::clone(&self.root) };
            self.root = Arc::new(Node::Branch(vec![lower, upper]));
        }
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Takes out what is at `place`.
    pub(super) fn remove(&mut self, place: &[u8]) -> Option<Stored> {
        self.get(place)?;
        let removed = Arc::make_mut(&mut self.root).remove::<O>(place);
        self.len -= 1;
        while let Node::Branch(children) = &*self.root
            && let [only] = &children[..]
        {
            self.root = Arc::clone(&only.node);
        }
        Some(removed)
    }
}

impl Node {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Leaf(slots) => slots.len(),
            Self::Branch(children) => children.len(),
        }
    }

    /// Inserts into this subtree. Returns what was replaced, and the upper part of the node if it
    /// had to be split.
    fn insert<O: Order>(&mut self, place: &[u8], slot: Slot) -> (Option<Stored>, Option<Child>) {
        match self {
            Self::Leaf(slots) => {
                if let Some(at) = find::<O>(slots, place, slot.hash) {
                    return (Some(std::mem::replace(&mut slots[at], slot).stored), None);
                }
                let is_below = |slot: &Slot| O::compare(&slot.stored, place).is_lt();
                let upper = insert_at(slots, slots.partition_point(is_below), slot);
                let from = |upper: &Vec<Slot>| O::place(&upper[0].stored).into();
                (None, upper.map(|upper| Child::new(from(&upper), Self::Leaf(upper))))
            }
            Self::Branch(children) => {
                let at = child_at(children, place);
                let below = Arc::make_mut(&mut children[at].node).insert::<O>(place, slot);
                let (replaced, Some(new)) = below else { return below };
                let upper = insert_at(children, at + 1, new);
                let from = |upper: &Vec<Child>| Arc::clone(&upper[0].from);
                (replaced, upper.map(|upper| Child::new(from(&upper), Self::Branch(upper))))
            }
        }
    }

    /// Removes from this subtree, where `place` is taken.
    fn remove<O: Order>(&mut self, place: &[u8]) -> Stored {
        match self {
            Self::Leaf(slots) => {
                let at = find::<O>(slots, place, xxh3_64(place));
                let removed = slots.remove(at.expect("the caller has seen it"));
                trim(slots);
                removed.stored
            }
            Self::Branch(children) => {
                let at = child_at(children, place);
                let removed = Arc::make_mut(&mut children[at].node).remove::<O>(place);
                tidy(children, at);
                removed
            }
        }
    }

    /// Appends the members of the right neighbour, whose place in the parent was `from`.
    fn append(&mut self, right: Self, from: Arc<[u8]>) {
        match (self, right) {
            (Self::Leaf(slots), Self::Leaf(more)) => slots.extend(more),
            (Self::Branch(children), Self::Branch(mut more)) => {
                // It is no longer the first, so it must be known from where on it takes places.
                more[0].from = from;
                children.extend(more);
            }
            (Self::Leaf(_), Self::Branch(_)) | (Self::Branch(_), Self::Leaf(_)) => {
                unreachable!("neighbours are equally deep")
            }
        }
    }
}

impl Child {
    fn new(from: Arc<[u8]>, node: Node) -> Self {
        Self { from, node: Arc::new(node) }
    }
}

/// Returns where in a leaf `place`, which has this hash, is taken.
fn find<O: Order>(slots: &[Slot], place: &[u8], hash: u64) -> Option<usize> {
    let is_there = |slot: &Slot| slot.hash == hash && O::compare(&slot.stored, place).is_eq();
    slots.iter().position(is_there)
}

/// Returns the child that `place` belongs to. The first child is not asked: its `from` means nothing.
fn child_at(children: &[Child], place: &[u8]) -> usize {
    children[1..].partition_point(|child| *child.from <= *place)
}

/// Inserts a member. A full node is split, and its upper part is returned. Where members come in
/// order, as from a snapshot, the lower part stays full.
fn insert_at<T>(members: &mut Vec<T>, at: usize, member: T) -> Option<Vec<T>> {
    if members.len() < WIDTH {
        grow(members);
        members.insert(at, member);
        return None;
    }
    let middle = if at == WIDTH { WIDTH } else { WIDTH / 2 };
    let mut upper = members.split_off(middle);
    members.shrink_to_fit();
    let (part, at) = if at < middle { (members, at) } else { (&mut upper, at - middle) };
    grow(part);
    part.insert(at, member);
    Some(upper)
}

/// Makes room for a member, but not for as many again as there are.
fn grow<T>(members: &mut Vec<T>) {
    if members.len() == members.capacity() {
        members.reserve_exact(ROOM.min(WIDTH - members.len()));
    }
}

/// Gives back room that is not needed.
fn trim<T>(members: &mut Vec<T>) {
    if members.len() + 2 * ROOM <= members.capacity() {
        members.shrink_to(members.len() + ROOM);
    }
}

/// Drops the child that lost a member if it is empty, and joins it with a neighbour if both are
/// small.
fn tidy(children: &mut Vec<Child>, at: usize) {
    let len = children[at].node.len();
    if len == 0 {
        children.remove(at);
    } else if len <= WIDTH / 4 {
        let fits = |left: &usize| {
            let pair = children.get(*left..left + 2);
            pair.is_some_and(|pair| pair[0].node.len() + pair[1].node.len() <= WIDTH / 2)
        };
        let Some(left) = [at.checked_sub(1), Some(at)].into_iter().flatten().find(fits) else {
            return;
        };
        let Child { from, node } = children.remove(left + 1);
        Arc::make_mut(&mut children[left].node).append(Arc::unwrap_or_clone(node), from);
    } else {
        return;
    }
    trim(children);
}

/// Walks a tree in order.
pub(super) struct Iter<'a> {
    /// What is left of the branches above the leaf.
    path: Vec<slice::Iter<'a, Child>>,
    leaf: slice::Iter<'a, Slot>,
}

impl<'a> Iter<'a> {
    fn enter(&mut self, node: &'a Node) {
        match node {
            Node::Leaf(slots) => self.leaf = slots.iter(),
            Node::Branch(children) => self.path.push(children.iter()),
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Stored;

    fn next(&mut self) -> Option<&'a Stored> {
        loop {
            if let Some(slot) = self.leaf.next() {
                return Some(&slot.stored);
            }
            match self.path.last_mut()?.next() {
                Some(child) => self.enter(&child.node),
                None => drop(self.path.pop()),
            }
        }
    }
}

impl<O> Default for Tree<O> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0, order: PhantomData }
    }
}

impl<O: Order> PartialEq for Tree<O> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<O: Order> Eq for Tree<O> {}

impl<O: Order> fmt::Debug for Tree<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
