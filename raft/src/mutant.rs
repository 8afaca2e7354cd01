//! Faults on purpose: each breaks one promise at the one decision that keeps it.
//!
//! A test bench that finds nothing may be blind. So a build with the feature `mutants` can be made
//! to lie in one of the ways below, chosen for a process by `STEADFAST_MUTANT`, and `steadfast jepsen
//! mutants` must catch each. What is named here is all that there is: nothing else of the product
//! changes with the feature, and without it [`Mutant::is_on`] is `false` where it is compiled, so that
//! the compiler removes the lie with its switch.
//!
//! A release build refuses the feature: nobody is to serve data with it. Tests are mutants too where
//! the environment says so, which shows what a test is worth that no client could replace.

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!(
    "the feature `mutants` makes a node lie about its data and is refused in release builds: \
     build it with `cargo build --features mutants`"
);

/// The environment variable that chooses one.
pub const ENV: &str = "STEADFAST_MUTANT";

/// Defines the mutants with their names and what each does.
macro_rules! mutants {
    ($($mutant:ident $name:literal $lie:literal)*) => {
        /// A promise that is broken on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $lie] $mutant,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$mutant),*];

            /// Returns what it is called.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$mutant => $name),* }
            }

            /// Returns what it does wrong, in a line.
            pub const fn lie(self) -> &'static str {
                match self { $(Self::$mutant => $lie),* }
            }
        }
    };
}

mutants! {
    FollowerRead "follower-read" "a follower answers a linearizable read from its own state"
    NoReadIndex "no-read-index" "a leader answers linearizable reads without asking a majority"
    ReadJoinsRound "read-joins-round" "a read joins a round of confirmation that is on its way"
    LeaseTooLong "lease-too-long" "a leader trusts its lease for ten times as long as it was given"
    NoRestartGuard "no-restart-guard" "a node that restarts votes at once, whatever it promised before"
    AckBeforeQuorum "ack-before-quorum" "a leader acknowledges a write before a majority has it"
    AckBeforeFsync "ack-before-fsync" "what is written is answered for, and synced once in 32 batches"
    NoFsync "no-fsync" "the log is never synced"
    VoteNotPersisted "vote-not-persisted" "a vote is given before it is on disk"
    NoDirectoryFsync "no-directory-fsync" "directories are never synced, so a renamed file may go back"
    SnapshotMissesLast "snapshot-misses-last" "a snapshot lacks the last entry that it claims to cover"
    SnapshotNoRename "snapshot-no-rename" "a snapshot is written to its place unsynced, not renamed there"
    WallClockInApply "wall-clock-in-apply" "each replica applies entries by its own wall clock"
    DamagedLogAccepted "damaged-log-accepted" "a log that is damaged in the middle ends there, in silence"
    FsyncErrorIgnored "fsync-error-ignored" "a sync that failed is tried again and reported as good"
    CasBeforeReplication "cas-before-replication" "a condition is decided by the leader before replication"
    TimeoutAsFailure "timeout-as-failure" "a write whose outcome is unknown is reported as not applied"
    WipedNodeReturns "wiped-node-returns" "a node that lost its log is taken back under its old id"
    StaleSlotMap "stale-slot-map" "a shard answers for slots that it does not own"
}

/// Why a process cannot be the mutant that it was asked to be. It must not start then: whoever asked
/// would take a sound node for a broken one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is none of that name.
    #[error(
        "there is no mutant \"{asked}\", so nothing was started; set {ENV} to one of these, or \
         unset it:{}",
        list()
    )]
    Unknown {
        /// The name.
        asked: String,
    },
    /// This build has none at all.
    #[error(
        "{ENV} asks for the mutant \"{asked}\", but this build has none, so nothing was started; \
         build one that has by `cargo build --features mutants`, or unset the variable"
    )]
    NotBuilt {
        /// The name.
        asked: String,
    },
}

fn list() -> String {
    let line = |it: &Mutant| format!("\n  {:<24} {}", it.name(), it.lie());
    Mutant::ALL.iter().map(line).collect()
}

impl Mutant {
    /// Returns the one that the environment names, if it names one.
    ///
    /// # Errors
    ///
    /// [`Refused`], if there is none of that name.
    pub fn chosen() -> Result<Option<Self>, Refused> {
        match std::env::var_os(ENV) {
            Some(name) => Self::named(&name.to_string_lossy()).map(Some),
            None => Ok(None),
        }
    }

    fn named(name: &str) -> Result<Self, Refused> {
        let asked = name.to_owned();
        if !cfg!(feature = "mutants") {
            return Err(Refused::NotBuilt { asked });
        }
        let found = Self::ALL.iter().find(|mutant| mutant.name() == name);
        found.copied().ok_or(Refused::Unknown { asked })
    }

    /// Returns whether this process is to do that wrong. The environment is read once.
    #[cfg(feature = "mutants")]
    pub fn is_on(self) -> bool {
        static CHOSEN: std::sync::LazyLock<Option<Mutant>> =
            std::sync::LazyLock::new(|| Mutant::chosen().unwrap_or(None));
        *CHOSEN == Some(self)
    }

    /// Returns whether this process is to do that wrong: it is not.
    #[cfg(not(feature = "mutants"))]
    pub const fn is_on(self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_an_unknown_one_lists_them() {
        let names: std::collections::BTreeSet<_> = Mutant::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(names.len(), Mutant::ALL.len());
        let error = Refused::Unknown { asked: "nonsense".to_owned() }.to_string();
        assert!(error.contains("\"nonsense\""), "{error}");
        assert!(names.iter().all(|name| error.contains(name)), "{error}");
    }

    #[test]
    fn a_name_that_is_none_is_refused_by_every_build() {
        let refused = Mutant::named("nonsense").expect_err("there is none").to_string();
        let built = cfg!(feature = "mutants");
        assert_eq!(refused.contains("there is no mutant \"nonsense\""), built, "{refused}");
        assert_eq!(refused.contains("cargo build --features mutants"), !built, "{refused}");
    }
}
