//! What shards see.

use super::*;

#[test]
fn entries_show_at_once_and_callbacks_come_after_the_sync() {
    run(1, async {
        let disk = SimDisk::new(1);
        let node = start(&disk, 1, SMALL).expect("it opens");
        let log = node.group(1);
        let (count, done) = counter();
        log.append(vec![entry(1, 0, "a"), entry(1, 1, "bb")], done()).await.expect("it runs");
        assert_eq!(log.entries(0..9).len(), 2);
        assert_eq!(log.state().last, Some(at(1, 1)));
        tokio::task::yield_now().await;
        let syncs = node.wal.counts().syncs;
        assert_eq!(count.load(Ordering::Relaxed), 0, "written, not synced");
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert_eq!(node.wal.counts().syncs, syncs + 1);
        assert_eq!(log.entries_limited(0..9, 0).len(), 1, "at least one");
        assert_eq!(log.entries_limited(0..9, 3).len(), 2);
        assert_eq!(log.entries(1..2), vec![entry(1, 1, "bb")]);
        node.stop().await;
        assert_eq!(log.truncate_after(Some(0)).await, Err(LogClosed));
    });
}

#[test]
fn what_comes_while_the_log_syncs_shares_the_next_sync() {
    run(2, async {
        let disk = SimDisk::new(2);
        let node = start(&disk, 1, SMALL).expect("it opens");
        append(&node.group(1), vec![entry(1, 0, "warm")]).await;
        let before = node.wal.counts();
        let (count, done) = counter();
        for shard in 1..=5 {
            let next = u64::from(shard == 1);
            for index in next..next + 20 {
                let log = node.group(shard);
                log.append(vec![entry(1, index, "x")], done()).await.expect("it runs");
            }
        }
        tokio::time::sleep(Duration::from_millis(9)).await;
        assert_eq!(count.load(Ordering::Relaxed), 100);
        let after = node.wal.counts();
        assert_eq!(after.records - before.records, 100);
        assert!(after.syncs - before.syncs <= 2, "{before:?} {after:?}");
        assert_eq!((after.queued_bytes, after.segments), (0, 1));
    });
}

#[test]
fn what_needs_no_sync_is_written_without_one() {
    run(3, async {
        let disk = SimDisk::new(3);
        let node = start(&disk, 1, SMALL).expect("it opens");
        let log = node.group(1);
        append(&log, (0..9).map(|i| entry(1, i, "x")).collect()).await;
        let before = node.wal.counts();
        log.save_committed(Some(at(1, 8))).await.expect("it runs");
        log.truncate_after(Some(8)).await.expect("nothing to do");
        log.purge(at(1, 4)).await.expect("it runs");
        log.purge(at(1, 3)).await.expect("nothing to do");
        log.raise_floor(at(1, 2)).await.expect("it runs");
        log.raise_floor(at(1, 1)).await.expect("it runs");
        tokio::time::sleep(Duration::from_millis(9)).await;
        let after = node.wal.counts();
        assert_eq!(after.syncs, before.syncs);
        assert_eq!(after.records, before.records + 4);
        node.kill(&disk).await;
        let node = start(&disk, 2, SMALL).expect("it opens");
        let state = node.group(1).state();
        assert_eq!((state.committed, state.purged), (Some(at(1, 8)), Some(at(1, 4))));
        assert_eq!(state.floor, Some(at(1, 2)));
        assert_eq!(node.group(1).entries(0..99).len(), 4);
        assert_eq!(node.wal.groups(), vec![group(1)]);
    });
}

#[test]
fn large_appends_are_split_and_called_back_once() {
    run(4, async {
        let disk = SimDisk::new(4);
        let node = start(&disk, 1, SMALL).expect("it opens");
        let (count, done) = counter();
        let entries = (0..40).map(|i| large(1, i, 3_000)).collect::<Vec<_>>();
        node.group(1).append(entries.clone(), done()).await.expect("it runs");
        while count.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(1 < node.wal.counts().segments, "{:?}", node.wal.counts());
        node.stop().await;
        let node = start(&disk, 2, SMALL).expect("it opens");
        assert_eq!(node.group(1).entries(0..99), entries);
    });
}

#[test]
#[should_panic(expected = "does not follow")]
fn a_hole_in_a_log_is_our_own_mistake() {
    run(5, async {
        let node = start(&SimDisk::new(5), 1, SMALL).expect("it opens");
        append(&node.group(1), vec![entry(1, 0, "a")]).await;
        append(&node.group(1), vec![entry(1, 2, "c")]).await;
    });
}

/// A log of entries 0 to 19, purged up to 15, with the floor at 9.
async fn purged(disk: &SimDisk) -> Node {
    let node = start(disk, 1, SMALL).expect("it opens");
    let log = node.group(1);
    append(&log, (0..20).map(|i| entry(1, i, "x")).collect()).await;
    log.purge(at(1, 15)).await.expect("it runs");
    log.raise_floor(at(1, 9)).await.expect("it runs");
    node
}

#[test]
fn an_older_snapshot_takes_purges_back() {
    run(6, async {
        let disk = SimDisk::new(6);
        let node = purged(&disk).await;
        node.stop().await;
        let node = start(&disk, 2, SMALL).expect("it opens");
        let log = node.group(1);
        assert!(log.follows(Some(at(1, 9))) && log.follows(Some(at(1, 99))));
        assert!(!log.follows(Some(at(1, 8))) && !log.follows(None));
        log.start_from(Some(at(1, 9))).await.expect("it reads");
        assert_eq!(log.state().purged, Some(at(1, 9)));
        assert_eq!(log.entries(0..99), (10..20).map(|i| entry(1, i, "x")).collect::<Vec<_>>());
        append(&log, vec![entry(1, 20, "x")]).await;
        node.kill(&disk).await;
        let node = start(&disk, 3, SMALL).expect("it opens");
        assert_eq!(node.group(1).entries(0..99).len(), 11, "and stays so");
        node.group(1).start_from(Some(at(1, 12))).await.expect("it reads");
        assert_eq!(node.group(1).state().purged, Some(at(1, 9)), "the lower of the two");
    });
}

#[test]
fn a_log_that_a_snapshot_has_overtaken_is_emptied() {
    run(7, async {
        let disk = SimDisk::new(7);
        let node = purged(&disk).await;
        append_vote(&node.group(1)).await;
        for (snapshot, kept) in [(at(1, 17), 4), (at(2, 18), 0), (at(2, 30), 0)] {
            let log = node.group(1);
            log.start_from(Some(snapshot)).await.expect("it runs");
            assert_eq!(log.entries(0..99).len(), kept, "{snapshot}");
            let state = log.state();
            assert_eq!(state.purged, Some(if kept == 0 { snapshot } else { at(1, 15) }));
            assert_eq!(state.vote, Some(vote(4)));
        }
        append(&node.group(1), vec![entry(2, 31, "y")]).await;
        node.stop().await;
        let node = start(&disk, 2, SMALL).expect("it opens");
        let log = node.group(1);
        assert_eq!(log.entries(0..99), vec![entry(2, 31, "y")]);
        assert!(!log.follows(Some(at(1, 29))), "what was before is gone");
        assert_eq!((log.state().purged, log.state().vote), (Some(at(2, 30)), Some(vote(4))));
    });
}

#[test]
fn another_entry_at_an_older_snapshot_empties_the_log() {
    run(8, async {
        let disk = SimDisk::new(8);
        let node = purged(&disk).await;
        node.group(1).start_from(Some(at(3, 12))).await.expect("it reads");
        assert_eq!(node.group(1).state().last, Some(at(3, 12)));
        let fresh = node.group(2);
        assert!(fresh.follows(None) && fresh.follows(Some(at(1, 5))));
        fresh.start_from(None).await.expect("nothing to do");
        assert_eq!(fresh.state(), GroupState::default());
    });
}

async fn append_vote(log: &GroupLog) {
    let (count, done) = counter();
    log.save_vote(vote(4), done()).await.expect("it runs");
    while count.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_dropped_group_keeps_its_vote() {
    run(9, async {
        let disk = SimDisk::new(9);
        let node = purged(&disk).await;
        append_vote(&node.group(1)).await;
        node.wal.drop_group(group(1)).await.expect("it runs");
        let expected = GroupState { vote: Some(vote(4)), ..GroupState::default() };
        assert_eq!(node.group(1).state(), expected);
        append(&node.group(1), vec![entry(5, 0, "again")]).await;
        node.stop().await;
        let node = start(&disk, 2, SMALL).expect("it opens");
        assert_eq!(node.group(1).state().vote, Some(vote(4)));
        assert_eq!(node.group(1).entries(0..9), vec![entry(5, 0, "again")]);
    });
}

#[test]
fn a_failed_sync_ends_the_log_and_calls_nobody_back() {
    run(10, async {
        let disk = SimDisk::new(10);
        let node = start(&disk, 1, SMALL).expect("it opens");
        append(&node.group(1), vec![entry(1, 0, "a")]).await;
        disk.fail_next_sync();
        let (count, done) = counter();
        node.group(1).append(vec![entry(1, 1, "b")], done()).await.expect("it still runs");
        assert!(node.writer.await.expect("no panic").is_err());
        assert_eq!(count.load(Ordering::Relaxed), 0);
        assert_eq!(node.wal.group(group(1)).save_committed(None).await, Err(LogClosed));
        disk.kill();
        // What the failed sync may have dropped is written again before anybody sees it.
        let node = start(&disk, 2, SMALL).expect("it opens");
        assert_eq!(node.group(1).entries(0..9).len(), 2);
        disk.power_cut();
        let node = start(&disk, 3, SMALL).expect("it opens");
        assert_eq!(node.group(1).entries(0..9).len(), 2);
    });
}

#[test]
fn the_thread_writes_to_a_real_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk: Arc<dyn Disk> = Arc::new(crate::disk::RealDisk);
    for boot in 1..=3 {
        let start = if boot == 1 { Start::First } else { Start::Again };
        let directory = directory.path().join("log");
        let place = Place { disk: Arc::clone(&disk), directory, id: ID, boot: Boot(boot) };
        let (wal, writer) = open(&place, start, SMALL).expect("it opens");
        let thread = writer.run_thread();
        run(boot, async {
            let log = wal.group(group(1));
            assert_eq!(log.entries(0..9).len() as u64, boot - 1);
            append(&log, vec![entry(1, boot - 1, "x")]).await;
        });
        drop(wal);
        thread.join().expect("the writer stops with the last handle");
    }
}
