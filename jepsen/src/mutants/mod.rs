//! Nodes that are broken on purpose, and what catches them.
//!
//! A green run says something only if a broken cluster would not have been green. So the product can
//! be built with the feature `mutants`: each breaks one promise, where the promise is kept, when the
//! environment names it. [`matrix`] says for each under which clients and which faults it must be
//! caught. [`hunt`] starts a cluster of such nodes, judges it as any other, and says what caught it;
//! and it does the same to nodes that are whole, of which nothing may be caught.
//!
//! A mutant is caught by
//!
//! - a checker that says `invalid`;
//! - a node that ended or panicked although nobody killed it, or does not serve again: then the
//!   product saw by itself that something is wrong;
//! - a fault that a node must answer by ending, and did not: see [`Nemesis::must_end`].
//!
//! `unknown` catches nothing.
//!
//! Mutants of what is on disk are hunted twice: power cuts must catch them, and `kill -9` must not,
//! for what was written is in the page cache, which survives a process. That shows that it is the
//! disk which was missed, and that `kill -9` proves nothing about disks.
//!
//! It is a black box still: a mutant is a name in the environment of a node. That the names here are
//! those of the product is for a test of the crate that links both.
//!
//! [`Nemesis::must_end`]: crate::nemesis::Nemesis::must_end

pub mod hunt;
pub mod matrix;

#[cfg(test)]
mod tests;

/// The environment variable that names the mutant that a node is to be.
pub const ENV: &str = "STEADFAST_MUTANT";
