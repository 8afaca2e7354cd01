//! Memory and disk stay within their bounds, and what cannot be refused always finds room.

use super::*;

/// Appends `bytes` to a group, if there is room, and lets it snapshot all of it twice.
async fn append_and_purge(node: &Node, shard: u32, index: u64, bytes: usize) {
    let room = node.wal.admit(bytes as u64).expect("there is room");
    append(&node.group(shard), vec![large(1, index, bytes)]).await;
    drop(room);
    node.group(shard).purge(at(1, index)).await.expect("it runs");
    node.group(shard).raise_floor(at(1, index)).await.expect("it runs");
}

#[test]
fn files_are_used_again() {
    run(21, async {
        let disk = SimDisk::new(21);
        let node = start(&disk, 1, SMALL).expect("it opens");
        for index in 0..200 {
            append_and_purge(&node, 1, index, 3_000).await;
            let counts = node.wal.counts();
            assert!(counts.segments <= 3 && counts.disk_bytes <= 5 * SMALL.segment_bytes);
        }
        assert!(files(&disk).len() <= 5, "{:?}", files(&disk));
    });
}

#[test]
fn a_quiet_group_does_not_pin_the_log() {
    run(22, async {
        let disk = SimDisk::new(22);
        let node = start(&disk, 1, SMALL).expect("it opens");
        // Of the quiet group's entries, some are purged and must be read back from the disk.
        append(&node.group(1), (0..9).map(|i| entry(1, i, "quiet")).collect()).await;
        node.group(1).purge(at(1, 5)).await.expect("it runs");
        node.group(1).raise_floor(at(1, 2)).await.expect("it runs");
        for index in 0..300 {
            append_and_purge(&node, 2, index, 3_000).await;
            assert!(node.wal.counts().segments <= 4, "{:?}", node.wal.counts());
        }
        assert_eq!(*node.wal.pressure().borrow(), vec![]);
        node.stop().await;
        let node = start(&disk, 2, SMALL).expect("it opens");
        let quiet = node.group(1);
        assert_eq!(quiet.entries(0..99).len(), 3);
        quiet.start_from(Some(at(1, 2))).await.expect("they were written again");
        let expected: Vec<_> = (3..9).map(|i| entry(1, i, "quiet")).collect();
        assert_eq!(quiet.entries(0..99), expected);
    });
}

#[test]
fn a_stuck_group_is_named_and_bounds_the_log() {
    run(23, async {
        let disk = SimDisk::new(23);
        let node = start(&disk, 1, SMALL).expect("it opens");
        let pressure = node.wal.pressure();
        append(&node.group(1), (0..10).map(|i| large(1, i, 3_000)).collect()).await;
        let mut index = 0;
        let full = loop {
            match node.wal.admit(3_000) {
                Ok(_room) => append(&node.group(2), vec![large(1, index, 3_000)]).await,
                Err(full) => break full,
            }
            node.group(2).purge(at(1, index)).await.expect("it runs");
            node.group(2).raise_floor(at(1, index)).await.expect("it runs");
            index += 1;
            assert!(index < 1_000, "the log grows without end");
        };
        assert_eq!(full, Full::Log);
        assert_eq!(*pressure.borrow(), vec![group(1)]);
        let segments = node.wal.counts().segments;
        assert!((5..=7).contains(&segments), "{segments}");
        // What cannot be refused is not, and the log still fits.
        for term in 1..20 {
            let (_, done) = counter();
            node.group(2).save_vote(vote(term), done()).await.expect("it runs");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        node.group(1).purge(at(1, 9)).await.expect("it runs");
        node.group(1).raise_floor(at(1, 9)).await.expect("it runs");
        append(&node.group(1), vec![large(1, 10, 10)]).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(node.wal.admit(3_000).is_ok(), "{:?}", node.wal.counts());
        assert!(node.wal.counts().segments <= 2);
        assert_eq!(*pressure.borrow(), vec![]);
    });
}

#[test]
fn one_group_after_the_other_is_asked_to_snapshot() {
    run(26, async {
        let config = WalConfig { segments_max: 100, memory_bytes_max: 300_000, ..SMALL };
        let node = start(&SimDisk::new(26), 1, config).expect("it opens");
        let pressure = node.wal.pressure();
        let fill = async |number: u32, entries: std::ops::Range<u64>| {
            for index in entries {
                append(&node.group(number), vec![large(1, index, 3_000)]).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        for number in 1..=3 {
            fill(number, 0..10).await;
        }
        assert_eq!(*pressure.borrow(), vec![], "less than a third of the bound is held");
        fill(2, 10..15).await;
        assert_eq!(*pressure.borrow(), vec![group(2)], "it holds most");
        node.group(2).purge(at(1, 14)).await.expect("it runs");
        fill(1, 10..20).await;
        fill(3, 10..15).await;
        assert_eq!(*pressure.borrow(), vec![group(1)]);
        // Nobody relieves the log: whoever holds much is asked.
        fill(1, 20..55).await;
        assert_eq!(*pressure.borrow(), vec![group(1), group(3)]);
    });
}

#[test]
fn memory_is_bounded_and_leaders_leave_some_to_followers() {
    run(24, async {
        let config = WalConfig { segments_max: 100, memory_bytes_max: 200_000, ..SMALL };
        let disk = SimDisk::new(24);
        let node = start(&disk, 1, config).expect("it opens");
        let mut index = 0;
        while let Ok(_room) = node.wal.admit(3_000) {
            append(&node.group(1), vec![large(1, index, 3_000)]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            index += 1;
        }
        assert_eq!(node.wal.admit(3_000).map(drop), Err(Full::Log));
        let memory_bytes = node.wal.counts().memory_bytes;
        assert!((150_000..=175_000).contains(&memory_bytes), "{memory_bytes}");
        assert_eq!(*node.wal.pressure().borrow(), vec![group(1)]);
        assert!(node.wal.admit_append(3_000).is_ok(), "followers have a little more");
        assert_eq!(node.wal.admit_append(40_000).map(drop), Err(Full::Log));
        node.group(1).purge(at(1, index - 1)).await.expect("it runs");
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(node.wal.counts().memory_bytes, 0);
        assert!(node.wal.admit(3_000).is_ok());
    });
}

#[test]
fn room_is_taken_until_it_is_given_back() {
    run(25, async {
        let config = WalConfig { segments_max: 100, memory_bytes_max: 200_000, ..SMALL };
        let node = start(&SimDisk::new(25), 1, config).expect("it opens");
        let first = node.wal.admit(100_000).expect("there is room");
        assert_eq!(node.wal.admit(100_000).map(drop), Err(Full::Log));
        drop(first);
        assert!(node.wal.admit(100_000).is_ok());
    });
}

#[test]
fn a_full_disk_refuses_entries_and_takes_votes() {
    run(26, async {
        let disk = SimDisk::new(26);
        let config = WalConfig { segments_max: 50, ..SMALL };
        let node = start(&disk, 1, config).expect("it opens");
        append(&node.group(1), vec![entry(1, 0, "x")]).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        disk.fill(SMALL.segment_bytes + 5_000);
        let mut index = 1;
        while let Ok(_room) = node.wal.admit(3_000) {
            append(&node.group(1), vec![large(1, index, 3_000)]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            index += 1;
        }
        assert!(5 < index, "{index}");
        assert_eq!(node.wal.admit(3_000).map(drop), Err(Full::Disk));
        assert_eq!(node.wal.admit_append(3_000).map(drop), Err(Full::Disk));
        let (count, done) = counter();
        for term in 0..4 {
            node.group(1).save_vote(vote(term), done()).await.expect("it runs");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(count.load(Ordering::Relaxed), 4, "the reserve takes them");
        // A restart on the full disk works as well.
        node.stop().await;
        let node = start(&disk, 2, config).expect("it opens");
        assert_eq!(node.group(1).entries(0..999).len() as u64, index);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(node.wal.admit(3_000).map(drop), Err(Full::Disk));
        disk.fill(u64::MAX);
        assert_eq!(node.wal.admit(3_000).map(drop), Err(Full::Disk), "not yet seen");
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(node.wal.admit(3_000).is_ok(), "{:?}", node.wal.counts());
    });
}
