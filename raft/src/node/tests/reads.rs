//! The kinds of reads: what each promises, while links are cut, nodes restart and machines sleep.

use std::sync::MutexGuard;

use rand::{RngExt, SeedableRng};

use super::*;
use crate::node::api::{Bound, Consistency, Found, Guarantee};
use crate::node::wait::Waiting;
use crate::shard::guard::tests::set_guards;
use crate::shard::waits::KeyWait;
use crate::words::Revision;

/// Long enough to see what happens inside of it.
const LEASE: Duration = Duration::from_secs(6);

/// A machine that can be restarted.
struct Machine {
    number: usize,
    fabric: Fabric,
    disk: SimDisk,
    clock: Arc<SimClock>,
    lease: Duration,
    running: Option<(Node, Weak<dyn Disk>)>,
}

impl Machine {
    fn new(fabric: &Fabric, number: usize, lease: Duration) -> Self {
        let disk = SimDisk::new(number as u64);
        disk.create_dir_all(Path::new("/data")).expect("there is room");
        let clock = Arc::new(SimClock::new(1_800_000_000_000));
        Self { number, fabric: fabric.clone(), disk, clock, lease, running: None }
    }

    async fn start(&mut self) {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let life = Arc::downgrade(&disk);
        let snapshots = PlainSnapshots::open(Arc::clone(&disk), Path::new("/data/snapshots"));
        let seams = Seams {
            clock: Arc::<SimClock>::clone(&self.clock),
            disk,
            net: Arc::new(self.fabric.host(&format!("m{}", self.number))),
            snapshots: Arc::new(snapshots.expect("there is room")),
        };
        let config = NodeConfig {
            data: PathBuf::from("/data"),
            peer_listen: address(self.number),
            peer_advertise: address(self.number),
            http_advertise: format!("http://m{}:7301", self.number),
            token: Default::default(),
            settings: Settings {
                segment_bytes: 1 << 20,
                election_min: self.lease / 2,
                election_max: self.lease,
                ..Settings::default()
            },
        };
        let node = Node::start(config, seams).await.expect("it starts");
        self.running = Some((node, life));
    }

    fn node(&self) -> &Node {
        &self.running.as_ref().expect("it runs").0
    }

    fn shard(&self) -> Shard {
        self.node().inner.shard(SHARD).expect("it has a replica")
    }

    /// Dies and comes back, as far as it ever told anyone and wrote down.
    async fn restart(&mut self) {
        let (node, life) = self.running.take().expect("it runs");
        self.fabric.crash(&format!("m{}", self.number));
        node.halt().await;
        drop(node);
        while 0 < life.strong_count() {
            sleep(Duration::from_millis(1)).await;
        }
        self.disk.kill();
        self.start().await;
    }

    async fn put(&self, value: &str, patience: Duration) -> Result<WriteAnswer, RequestError> {
        let value = Value::try_from(Bytes::from(value.to_owned())).expect("short");
        let put = Command::Put { key: key(), value, ttl: None, condition: Condition::Always };
        self.node().write(put, Instant::now() + patience).await
    }

    /// Reads the key at this very node: its value, and what that promises.
    async fn read(
        &self,
        consistency: Consistency,
        patience: Duration,
    ) -> Result<(String, Guarantee), RequestError> {
        let answer = self.node().get(key(), consistency, Instant::now() + patience).await?;
        let value = |found: Found| String::from_utf8(found.value.as_bytes().to_vec());
        let text = answer.found.map(value).transpose().expect("what was put");
        Ok((text.unwrap_or_default(), answer.guarantee))
    }

    async fn lease_read(&self) -> Result<(String, Guarantee), RequestError> {
        self.read(Consistency::Lease, Duration::from_millis(5)).await
    }
}

fn key() -> Key {
    Key::try_from(Bytes::from_static(b"key")).expect("short")
}

/// Runs `test` with a cluster in which `leases[n]` is how long machine `n` supports a leader. The
/// first machine leads, and "old" is stored.
fn with_cluster<F: Future<Output = ()>>(
    leases: [Duration; 3],
    test: impl FnOnce([Machine; 3], Fabric) -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    runtime.block_on(runtime::with_seed(1, async {
        let fabric = Fabric::new(1);
        let mut machines = std::array::from_fn(|n| Machine::new(&fabric, n, leases[n]));
        for machine in &mut machines {
            machine.start().await;
        }
        let one = InitRequest { shards: 1, ..request(&[0, 1, 2]) };
        let founded = machines[0].node().init(one, Instant::now() + PATIENCE);
        founded.await.expect("all are free");
        machines[0].put("old", PATIENCE).await.expect("it serves");
        // Whoever leads stands first from now on.
        let leader = machines.iter().position(|machine| machine.shard().leads());
        machines.swap(0, leader.expect("somebody just led"));
        sleep(Duration::from_secs(3)).await;
        test(machines, fabric).await;
    }));
}

/// Cuts what goes from one to the other.
fn silence(fabric: &Fabric, from: &Machine, to: &Machine) {
    fabric.cut(&format!("m{}", from.number), &format!("m{}", to.number));
}

/// Lets what `from` has sent arrive at `to`, and no more.
async fn deliver(fabric: &Fabric, from: &Machine, to: &Machine) {
    fabric.heal(&format!("m{}", from.number), &format!("m{}", to.number));
    sleep(Duration::from_millis(5)).await;
    silence(fabric, from, to);
}

fn cut(fabric: &Fabric, one: &Machine, other: &Machine) {
    fabric.partition(&format!("m{}", one.number), &format!("m{}", other.number));
}

#[test]
fn a_lease_answers_without_asking_anyone_and_ends_in_time() {
    with_cluster([LEASE; 3], |[a, b, c], fabric| async move {
        let old = Ok(("old".to_owned(), Guarantee::Lease));
        assert_eq!(a.lease_read().await, old);
        assert_eq!(b.read(Consistency::Lease, PATIENCE).await, old, "a follower asks the leader");
        cut(&fabric, &a, &b);
        cut(&fabric, &a, &c);
        sleep(LEASE * 2 / 3 - Duration::from_millis(500)).await;
        assert_eq!(a.lease_read().await, old);
        sleep(Duration::from_millis(500)).await;
        a.lease_read().await.expect_err("two thirds of the lease are over");
    });
}

#[test]
fn the_shortest_lease_that_a_voter_announced_counts() {
    with_cluster([LEASE, LEASE, Duration::from_secs(2)], |[a, b, c], fabric| async move {
        assert_eq!(a.lease_read().await, Ok(("old".to_owned(), Guarantee::Lease)));
        cut(&fabric, &a, &b);
        cut(&fabric, &a, &c);
        sleep(Duration::from_millis(1_400)).await;
        a.lease_read().await.expect_err("two thirds of the shortest are over");
    });
}

#[test]
fn a_sleep_voids_the_lease_until_the_next_round() {
    with_cluster([LEASE; 3], |[a, b, c], fabric| async move {
        a.clock.sleep(60_000);
        let confirmed = a.read(Consistency::Lease, PATIENCE).await;
        assert_eq!(confirmed, Ok(("old".to_owned(), Guarantee::Linearizable)), "it was confirmed");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(a.lease_read().await, Ok(("old".to_owned(), Guarantee::Lease)));
        cut(&fabric, &a, &b);
        cut(&fabric, &a, &c);
        assert_eq!(a.lease_read().await, Ok(("old".to_owned(), Guarantee::Lease)));
        a.clock.sleep(60_000);
        a.lease_read().await.expect_err("who knows who leads by now");
    });
}

/// Has the leader hear half a second late that its followers took a write, while nothing that it
/// sends reaches them. The second follower's answer comes after the commit has left for it.
async fn acknowledge_late([a, b, c]: &[Machine; 3], fabric: &Fabric) {
    fabric.set_latency(Duration::from_millis(5), Duration::from_millis(5));
    let before = a.shard().log().state().last;
    let schedule = async {
        while [b, c].iter().any(|follower| follower.shard().log().state().last == before) {
            sleep(Duration::from_millis(1)).await;
        }
        cut(fabric, a, b);
        cut(fabric, a, c);
        sleep(Duration::from_millis(500)).await;
        deliver(fabric, c, a).await;
        deliver(fabric, b, a).await;
    };
    let (written, ()) = tokio::join!(a.put("slow", PATIENCE), schedule);
    written.expect("two of three have it");
}

#[test]
fn a_late_answer_does_not_prolong_the_lease() {
    with_cluster([Duration::from_millis(600); 3], |machines, fabric| async move {
        let began = Instant::now();
        acknowledge_late(&machines, &fabric).await;
        let [a, b, _c] = &machines;
        while !b.shard().leads() {
            assert!(began.elapsed() < PATIENCE, "nobody is elected any more");
            b.shard().raft().trigger().elect(false).await.expect("it runs");
            sleep(Duration::from_millis(25)).await;
        }
        b.put("new", PATIENCE).await.expect("two of three are in touch");
        assert!(a.shard().leads(), "it has not heard of the other");
        assert!(began.elapsed() < Duration::from_millis(850), "{:?}: too late", began.elapsed());
        a.lease_read().await.expect_err("what it sent half a second ago is all they followed");
    });
}

/// Reads at a leader none of whose messages arrive any more, shortly before it hears of the last one
/// that did.
fn read_before_a_late_answer(consistency: Consistency) {
    with_cluster([Duration::from_millis(600); 3], |machines, fabric| async move {
        let read = async {
            sleep(Duration::from_millis(350)).await;
            machines[0].read(consistency, Duration::from_millis(300)).await
        };
        let (read, ()) = tokio::join!(read, acknowledge_late(&machines, &fabric));
        read.expect_err("nobody has followed the leader since the read began");
    });
}

#[test]
fn a_late_answer_does_not_confirm_a_read_that_came_after_the_question() {
    read_before_a_late_answer(Consistency::Linearizable);
}

#[test]
fn a_late_answer_does_not_make_a_state_fresh() {
    read_before_a_late_answer(stale(None));
}

/// Cuts the leader off while a follower restarts, once with each of these leases, has the other one
/// elected as soon as anyone votes for it, and returns what the old leader answers by its lease once
/// a new value is acknowledged.
async fn lease_read_after_restarts(
    [a, mut b, c]: [Machine; 3],
    fabric: Fabric,
    leases: &[Duration],
) -> Result<(String, Guarantee), RequestError> {
    // The lease that the third node gave runs out; the second still gives its own.
    cut(&fabric, &a, &c);
    sleep(2 * LEASE).await;
    assert_eq!(a.lease_read().await, Ok(("old".to_owned(), Guarantee::Lease)));
    assert!(a.shard().leads() && !c.shard().leads());
    cut(&fabric, &a, &b);
    for &lease in leases {
        b.lease = lease;
        b.restart().await;
    }
    let deadline = Instant::now() + 5 * LEASE;
    while !c.shard().leads() {
        assert!(Instant::now() < deadline, "nobody is elected any more");
        c.shard().raft().trigger().elect(false).await.expect("it runs");
        // Long enough to be elected before the next try.
        sleep(Duration::from_millis(200)).await;
    }
    c.put("new", PATIENCE).await.expect("two of three are in touch");
    a.lease_read().await
}

#[test]
fn without_the_guard_a_restart_lets_a_lease_lie() {
    set_guards(false);
    with_cluster([LEASE; 3], |machines, fabric| async move {
        let read = lease_read_after_restarts(machines, fabric, &[LEASE]).await;
        assert_eq!(read, Ok(("old".to_owned(), Guarantee::Lease)), "a hole that is closed");
    });
    set_guards(true);
}

#[test]
fn the_guard_keeps_what_was_promised_before_the_restart() {
    with_cluster([LEASE; 3], |machines, fabric| async move {
        let read = lease_read_after_restarts(machines, fabric, &[LEASE]).await;
        read.expect_err("the lease was over before anyone else could lead");
    });
}

#[test]
fn the_guard_outlives_a_restart_with_a_shorter_lease() {
    with_cluster([LEASE; 3], |machines, fabric| async move {
        let shorter = LEASE / 10;
        let read = lease_read_after_restarts(machines, fabric, &[shorter, shorter]).await;
        read.expect_err("the lease was over before anyone else could lead");
    });
}

#[test]
fn founding_waits_for_no_guard() {
    with_cluster([LEASE; 3], |[a, mut b, mut c], _fabric| async move {
        for shard in [a.shard(), b.shard(), c.shard()] {
            shard.check_guard().expect("a new replica has promised nothing");
        }
        b.restart().await;
        // The map says that it has this replica, and is known once it is applied again.
        while b.node().inner.shard(SHARD).is_none() {
            sleep(Duration::from_millis(1)).await;
        }
        b.shard().check_guard().expect_err("it may have promised");
        sleep(LEASE).await;
        b.shard().check_guard().expect("one lease is over");
        assert_eq!(
            b.read(Consistency::Linearizable, PATIENCE).await.map(|it| it.0),
            Ok("old".into())
        );
        c.restart().await;
    });
}

fn stale(max_ms: Option<u64>) -> Consistency {
    Consistency::Stale { max_staleness: max_ms.map(Duration::from_millis), min_applied: None }
}

/// Returns the age that a stale answer admits.
fn age(guarantee: &Guarantee) -> Duration {
    match guarantee {
        Guarantee::Stale { staleness } => *staleness,
        Guarantee::Linearizable | Guarantee::Lease => panic!("{guarantee:?} was not asked for"),
    }
}

#[test]
fn nothing_stale_is_answered_before_a_first_confirmation() {
    with_cluster([LEASE; 3], |[a, mut b, c], fabric| async move {
        let read = b.read(stale(None), PATIENCE).await.expect("the leader is in touch");
        assert_eq!(read.0, "old");
        assert!(age(&read.1) < Duration::from_millis(100), "{read:?}");
        cut(&fabric, &b, &a);
        cut(&fabric, &b, &c);
        let read = b.read(stale(None), PATIENCE).await.expect("it knows how old it is");
        assert_eq!(read.0, "old");
        b.restart().await;
        cut(&fabric, &b, &a);
        let error = b.read(stale(None), PATIENCE).await.expect_err("it knows nothing yet");
        let RequestError::NotApplied(Refusal::TooStale { staleness_ms, .. }) = error else {
            panic!("{error}")
        };
        assert_eq!(staleness_ms, None);
        fabric.heal_all();
        sleep(Duration::from_secs(5)).await;
        b.read(stale(None), PATIENCE).await.expect("the leader is in touch again");
    });
}

#[test]
fn a_stale_read_that_may_not_be_too_old_is_refused_when_it_is() {
    with_cluster([LEASE; 3], |[a, b, c], fabric| async move {
        b.read(stale(Some(100)), PATIENCE).await.expect("the leader is in touch");
        // A long silence later it gets fresh first.
        sleep(Duration::from_secs(60)).await;
        let read = b.read(stale(Some(100)), PATIENCE).await.expect("the leader is in touch");
        assert!(age(&read.1) <= Duration::from_millis(100), "{read:?}");
        b.clock.sleep(60_000);
        let read = b.read(stale(None), PATIENCE).await.expect("there is no bound");
        assert!(Duration::from_secs(60) <= age(&read.1), "a sleep counts: {read:?}");
        cut(&fabric, &b, &a);
        cut(&fabric, &b, &c);
        sleep(Duration::from_secs(1)).await;
        let error = b.read(stale(Some(500)), PATIENCE).await.expect_err("it cannot get fresh");
        assert!(matches!(error, RequestError::NotApplied(Refusal::TooStale { .. })), "{error}");
        b.read(stale(Some(180_000)), PATIENCE).await.expect("it is not that old");
    });
}

#[test]
fn a_stale_read_reflects_as_many_mutations_as_it_asks_for_or_is_refused() {
    with_cluster([Duration::from_millis(600); 3], |[a, b, c], fabric| async move {
        b.read(stale(None), PATIENCE).await.expect("the leader is in touch");
        cut(&fabric, &b, &a);
        cut(&fabric, &b, &c);
        let wanted = a.put("new", PATIENCE).await.expect("two of three").facts.applied;
        let with = |wanted| Consistency::Stale { max_staleness: None, min_applied: Some(wanted) };
        let missing = b.read(with(wanted), Duration::from_millis(100)).await;
        let RequestError::NotApplied(refusal) = missing.expect_err("it has not heard of it") else {
            panic!("no node may be asked instead")
        };
        let applied = Revision(wanted.0 - 1);
        let (shard, node) = (SHARD, b.node().inner.me());
        assert_eq!(refusal, Refusal::Behind { shard, node, applied, wanted });
        let read = b.read(with(applied), PATIENCE).await.expect("it has applied so many");
        assert_eq!(read.0, "old");
        let healing = async {
            sleep(Duration::from_millis(300)).await;
            fabric.heal_all();
        };
        let (read, ()) = tokio::join!(b.read(with(wanted), 3 * PATIENCE), healing);
        assert_eq!(read.expect("it waits until it has").0, "new");
    });
}

#[test]
fn who_waits_for_a_key_is_woken_at_any_replica_by_its_changes_alone() {
    use crate::command::transaction::{Step, Transaction};
    with_cluster([LEASE; 3], |[a, b, _c], _fabric| async move {
        let place = |machine: &Machine| match machine.node().wait_for(&key()) {
            Ok(Waiting::Here(place)) => place,
            other => panic!("it has a replica: {other:?}"),
        };
        let woken = async |place: &KeyWait| {
            let woken = timeout(Duration::from_secs(1), place.woken()).await;
            woken.is_ok()
        };
        let places = [place(&a), place(&b), place(&b)];
        let write = async |command| {
            a.node().write(command, Instant::now() + PATIENCE).await.expect("it leads");
        };
        write(put("other", 1)).await;
        for place in &places {
            assert!(!woken(place).await, "another key changed");
        }
        write(put("key", 1)).await;
        for place in &places {
            assert!(woken(place).await, "it changed");
            assert!(!woken(place).await, "once");
        }
        write(Command::Delete { key: key(), condition: Condition::RevisionIs(Revision(0)) }).await;
        assert!(!woken(&places[1]).await, "nothing came of it");
        write(Command::Delete { key: key(), condition: Condition::Always }).await;
        assert!(woken(&places[1]).await, "it is gone");
        let Command::Put { value, .. } = put("key", 2) else { panic!("it is a put") };
        let step = Step::Put { key: key(), value, ttl: None };
        let then = vec![step];
        let transaction = Transaction { then, ..Transaction::default() };
        write(Command::Transact(Box::new(transaction))).await;
        assert!(woken(&places[1]).await, "it is back");

        drop(places);
        let full: Vec<_> = (0..limits::KEY_WAITS_MAX).map(|_| place(&b)).collect();
        let refused = b.node().wait_for(&key()).expect_err("the lines are full");
        let bound = Refusal::Overloaded { bound: Bound::KeyWaits };
        assert_eq!(refused, RequestError::NotApplied(bound));
        drop(full);
        drop(place(&b));
    });
}

#[test]
fn a_leader_that_was_cut_off_admits_its_age() {
    with_cluster([Duration::from_millis(600); 3], |[a, b, c], fabric| async move {
        let read = a.read(stale(Some(200)), PATIENCE).await.expect("a majority confirms it");
        assert_eq!(read.0, "old");
        cut(&fabric, &a, &b);
        cut(&fabric, &a, &c);
        let began = Instant::now();
        let deadline = began + PATIENCE;
        while !(b.shard().leads() || c.shard().leads()) {
            assert!(Instant::now() < deadline, "nobody is elected any more");
            sleep(Duration::from_millis(10)).await;
        }
        b.put("new", PATIENCE).await.expect("two of three are in touch");
        let acknowledged = Instant::now();
        sleep(Duration::from_millis(1)).await;
        a.read(stale(Some(200)), PATIENCE).await.expect_err("it is older than that");
        let read = a.read(stale(None), PATIENCE).await.expect("there is no bound");
        assert!(read.0 == "new" || acknowledged.elapsed() < age(&read.1), "{read:?}");
    });
}

/// When each write was acknowledged, and the count of mutations right after it.
#[derive(Default)]
struct Acknowledged(Mutex<Vec<(Instant, Revision)>>);

impl Acknowledged {
    fn all(&self) -> MutexGuard<'_, Vec<(Instant, Revision)>> {
        self.0.lock().expect("no panic")
    }

    /// Returns what a state must reflect that misses nothing acknowledged before `instant`.
    fn before(&self, instant: Instant) -> Revision {
        let all = self.all();
        let before = all.iter().filter(|(at, _)| *at < instant).map(|(_, revision)| *revision);
        before.max().unwrap_or_default()
    }
}

/// The bound holds against the history: a write acknowledged at `t` shows in every answer given at
/// `a` with staleness `s` where `t < a - s`.
#[test]
fn the_admitted_age_is_never_exceeded() {
    for seed in 1..=3 {
        with_cluster([Duration::from_millis(600); 3], |machines, fabric| async move {
            let latency =
                Duration::from_millis([1, 5, 30][usize::try_from(seed).expect("small") % 3]);
            fabric.set_latency(Duration::ZERO, latency);
            let acknowledged = Acknowledged::default();
            let end = Instant::now() + Duration::from_secs(10);
            let writer = async {
                let mut next = 1;
                while Instant::now() < end {
                    let through = &machines[next % 3];
                    let put = through.put(&next.to_string(), Duration::from_secs(3)).await;
                    if let Ok(written) = put {
                        acknowledged.all().push((Instant::now(), written.facts.applied));
                    }
                    next += 1;
                    sleep(Duration::from_millis(7)).await;
                }
            };
            let faults = async {
                let mut random = rand::rngs::StdRng::seed_from_u64(seed);
                while Instant::now() < end {
                    let one = random.random_range(0..3_usize);
                    cut(&fabric, &machines[one], &machines[(one + 1) % 3]);
                    if random.random_bool(0.5) {
                        cut(&fabric, &machines[one], &machines[(one + 2) % 3]);
                    }
                    sleep(Duration::from_millis(random.random_range(100..2_000))).await;
                    fabric.heal_all();
                    sleep(Duration::from_millis(random.random_range(100..1_500))).await;
                }
            };
            let readers = machines.iter().map(|machine| async {
                let mut answers = 0;
                while Instant::now() < end {
                    let max_ms = [None, Some(100), Some(800)][answers % 3];
                    let deadline = Instant::now() + Duration::from_millis(300);
                    if let Ok(read) = machine.node().get(key(), stale(max_ms), deadline).await {
                        let age = age(&read.guarantee);
                        let due = acknowledged.before(Instant::now() - age);
                        assert!(due <= read.facts.applied, "seed {seed}: {due} is due in {read:?}");
                        assert!(max_ms.is_none_or(|ms| age.as_millis() <= ms.into()));
                        answers += 1;
                    }
                    sleep(Duration::from_millis(3)).await;
                }
                answers
            });
            let readers = futures_util::future::join_all(readers);
            let ((), (), answers) = tokio::join!(writer, faults, readers);
            let written = acknowledged.all().len();
            assert!(30 < written, "seed {seed}: {written} writes");
            assert!(answers.iter().all(|count| 50 < *count), "seed {seed}: {answers:?}");
        });
    }
}

/// A read that comes while a round is under way must not share it: what a new leader acknowledged
/// meanwhile would be missing.
#[test]
fn no_read_joins_a_round_that_is_under_way() {
    with_cluster([LEASE; 3], |[a, ..], fabric| async move {
        const ONE_WAY: Duration = Duration::from_millis(20);
        fabric.set_latency(ONE_WAY, ONE_WAY);
        sleep(Duration::from_secs(1)).await;
        for delay_ms in [1, 15, 25, 39] {
            let first = a.read(Consistency::Linearizable, PATIENCE);
            let second = async {
                sleep(Duration::from_millis(delay_ms)).await;
                let began = Instant::now();
                a.read(Consistency::Linearizable, PATIENCE).await.expect("it is confirmed");
                began.elapsed()
            };
            let (first, took) = tokio::join!(first, second);
            first.expect("it is confirmed");
            assert!(2 * ONE_WAY <= took, "after {delay_ms} ms: no round fits into {took:?}");
        }
    });
}

#[test]
fn one_frame_to_a_peer_confirms_without_a_heartbeat() {
    with_cluster([LEASE; 3], |[a, b, c], fabric| async move {
        let counts = a.shard().counts();
        for _ in 0..10 {
            let reads = (0..50).map(|_| a.read(Consistency::Linearizable, PATIENCE));
            for read in futures_util::future::join_all(reads).await {
                read.expect("it is confirmed");
            }
        }
        let after = a.shard().counts();
        assert_eq!(after.reads - counts.reads, 500);
        assert_eq!(after.fallbacks, counts.fallbacks, "no shard needed heartbeats of its own");
        assert!(after.rounds - counts.rounds <= 20, "{} rounds", after.rounds - counts.rounds);
        // One peer is enough, and none is too few.
        cut(&fabric, &a, &c);
        a.read(Consistency::Linearizable, PATIENCE).await.expect("two of three agree");
        assert_eq!(a.shard().counts().fallbacks, counts.fallbacks);
        cut(&fabric, &a, &b);
        a.read(Consistency::Linearizable, PATIENCE).await.expect_err("nobody agrees");
    });
}

#[test]
fn a_vote_above_the_leaders_is_no_confirmation() {
    with_cluster([LEASE; 3], |[a, b, _c], _fabric| async move {
        let reign = a.shard().reign().expect("it leads");
        let (shard, me) = (b.shard(), b.shard().me());
        assert!(shard.confirms(me, reign.vote));
        assert!(!shard.confirms(a.shard().me(), reign.vote), "another replica was asked");
        assert_eq!(b.shard().reign(), None, "it follows");
        // It votes for itself: it can no longer speak for the leader.
        shard.raft().trigger().elect(false).await.expect("it runs");
        sleep(Duration::from_millis(50)).await;
        assert!(reign.vote < shard.log().state().vote.expect("it voted"));
        assert!(!shard.confirms(me, reign.vote));
    });
}

/// A leader that restarts finds its own vote, elected, in its log: it does not lead for that, and
/// must not be confirmed by it.
#[test]
fn a_restarted_leader_does_not_reign() {
    with_cluster([LEASE; 3], |[mut a, ..], _fabric| async move {
        let before = a.shard().reign().expect("it leads");
        a.restart().await;
        sleep(Duration::from_millis(500)).await;
        assert_eq!(a.shard().log().state().vote, Some(before.vote), "nobody else is elected yet");
        assert_eq!(a.shard().reign(), None);
    });
}
