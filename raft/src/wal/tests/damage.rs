//! What is durable must not change unseen; what was not may be torn in any way.

use super::super::batch::{BLOCK_BYTES, HEADER_BYTES, Header};
use super::*;

/// Returns the bytes of a file.
fn read(disk: &SimDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).expect("it is there");
    let len = usize::try_from(file.len_bytes().expect("it has a length")).expect("a small file");
    let mut bytes = vec![0; len];
    assert_eq!(file.read_at(&mut bytes, 0).expect("it reads"), len);
    bytes
}

/// Returns the files, offsets and lengths (without padding) of all batches, in their order.
fn batches(disk: &SimDisk) -> Vec<(PathBuf, u64, u64)> {
    let mut found = Vec::new();
    for path in files(disk) {
        let bytes = read(disk, &path);
        for offset in (0..bytes.len()).step_by(BLOCK_BYTES) {
            if let Some(header) = Header::read(&bytes[offset..]) {
                let len = HEADER_BYTES as u64 + u64::from(header.len);
                found.push((header.sequence, path.clone(), offset as u64, len));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, path, offset, len)| (path, offset, len)).collect()
}

/// A log of two segments and two groups, stopped cleanly.
async fn small_log() -> SimDisk {
    let disk = SimDisk::new(11);
    let node = start(&disk, 1, SMALL).expect("it opens");
    for index in 0..6 {
        append(&node.group(1), vec![large(1, index, 3_000)]).await;
        append(&node.group(2), vec![entry(1, index, "small")]).await;
    }
    node.group(1).purge(at(1, 2)).await.expect("it runs");
    node.stop().await;
    disk.kill();
    disk
}

/// Returns whether the log holds all of [`small_log`].
fn is_whole(wal: &Wal) -> bool {
    wal.group(group(1)).entries(0..9).len() == 3 && wal.group(group(2)).entries(0..9).len() == 6
}

fn open_again(disk: &SimDisk) -> Result<Wal, WalError> {
    open(&place(disk, 2), Start::Again, SMALL).map(|(wal, _)| wal)
}

#[test]
fn no_flipped_bit_goes_unseen() {
    run(11, async {
        let mut disk = small_log().await;
        let all = batches(&disk);
        assert!(14 < all.len() && all.iter().any(|(path, ..)| *path != all[0].0), "{all:?}");
        let (mut refused, mut whole) = (0, 0);
        for (i, (path, offset, len)) in all.iter().enumerate() {
            let step = if *len < 400 { 1 } else { 23 };
            let bytes = (0..*len).step_by(step).chain([*len, BLOCK_BYTES as u64 - 1]);
            for byte in bytes {
                disk.flip_bit(path, offset + byte).expect("it is there");
                match open_again(&disk) {
                    Ok(wal) => {
                        // Padding means nothing, nor does the last marker: all before it is there.
                        assert!(*len <= byte || i + 1 == all.len(), "batch {i} byte {byte}");
                        assert!(is_whole(&wal), "batch {i} byte {byte}");
                        whole += 1;
                        disk = small_log().await;
                    }
                    Err(WalError::Damaged { .. } | WalError::Version { .. }) => {
                        assert!(byte < *len && i + 1 < all.len(), "batch {i} byte {byte}");
                        disk.flip_bit(path, offset + byte).expect("it is there");
                        refused += 1;
                    }
                    Err(error) => panic!("batch {i} byte {byte}: {error}"),
                }
            }
        }
        assert!(is_whole(&open_again(&disk).expect("refusals changed nothing")));
        println!("{refused} refused, {whole} whole");
    });
}

#[test]
fn no_cut_goes_unseen() {
    run(12, async {
        let mut disk = small_log().await;
        let all = batches(&disk);
        let last = all.last().expect("there is one").0.clone();
        for path in [&all[0].0, &last] {
            for len in (600..SMALL.segment_bytes).step_by(509) {
                disk.truncate(path, len).expect("it is there");
                assert!(matches!(open_again(&disk), Err(WalError::Damaged { .. })), "cut to {len}");
                disk = small_log().await;
            }
        }
        disk.remove_file(&all[0].0).expect("it is there");
        let refused = open_again(&disk).expect_err("it is needed");
        assert!(refused.to_string().contains("segment 1 is missing"), "{refused}");
        disk.remove_file(&last).expect("it is there");
        assert!(open_again(&disk).is_err(), "an identity without a log");
    });
}

#[test]
fn a_torn_tail_that_was_not_synced_starts() {
    run(13, async {
        for count in 0..600 {
            let disk = SimDisk::new(13);
            let node = start(&disk, 1, SMALL).expect("it opens");
            append(&node.group(1), vec![entry(1, 0, "durable")]).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            let before = batches(&disk).len();
            let never = Box::new(|| unreachable!("it is never synced"));
            node.group(1).append(vec![large(1, 1, 400)], never).await.expect("it runs");
            tokio::task::yield_now().await;
            let all = batches(&disk);
            assert_eq!(all.len(), before + 1, "written");
            node.kill(&disk).await;
            let (path, offset, len) = all.last().expect("it was written");
            assert!(500 < *len && *len < 600, "{len}");
            disk.flip_bit(path, offset + count).expect("it is there");
            let wal = open_again(&disk).expect("it was not synced");
            let found = wal.group(group(1)).entries(0..9).len();
            assert_eq!(found, if count < *len { 1 } else { 2 }, "byte {count}");
        }
    });
}

#[test]
fn another_directorys_log_is_refused() {
    run(14, async {
        let disk = small_log().await;
        let other = Place { id: DirectoryId(0xd2), ..place(&disk, 2) };
        let refused = open(&other, Start::Again, SMALL).expect_err("it is not its own");
        assert!(matches!(refused, WalError::Foreign { found: ID, .. }), "{refused}");
        assert!(is_whole(&open_again(&disk).expect("nothing was changed")));
    });
}

#[test]
fn a_copied_segment_is_refused() {
    run(15, async {
        let disk = small_log().await;
        let bytes = read(&disk, &files(&disk)[0]);
        let copy = disk.create(&Path::new(LOG).join("copy")).expect("there is room");
        copy.write_at(&bytes, 0).expect("there is room");
        let refused = open_again(&disk).expect_err("which is right?");
        assert!(refused.to_string().contains("two files"), "{refused}");
    });
}

#[test]
fn an_older_identity_is_refused() {
    run(16, async {
        let disk = small_log().await;
        let refused = open(&place(&disk, 1), Start::Again, SMALL).expect_err("it was used before");
        assert!(matches!(refused, WalError::Restored { .. }), "{refused}");
        assert!(is_whole(&open_again(&disk).expect("nothing was changed")));
    });
}

#[test]
fn a_first_start_erases_nothing_but_a_first_head() {
    run(17, async {
        let disk = small_log().await;
        let refused = open(&place(&disk, 2), Start::First, SMALL).expect_err("it was in use");
        assert!(matches!(refused, WalError::Orphaned { .. }), "{refused}");
        assert!(is_whole(&open_again(&disk).expect("nothing was changed")));

        let disk = SimDisk::new(17);
        for _ in 0..3 {
            open(&place(&disk, 1), Start::First, SMALL).expect("it holds only its first head");
            disk.kill();
        }
        let node = start(&disk, 1, SMALL).expect("it holds only its first head");
        append(&node.group(1), vec![entry(1, 0, "in use")]).await;
        node.kill(&disk).await;
        let refused = start(&disk, 1, SMALL).map(drop).expect_err("it is in use");
        assert!(matches!(refused, WalError::Orphaned { .. }), "{refused}");
    });
}

#[test]
fn no_log_under_an_identity_is_refused() {
    let disk = SimDisk::new(18);
    disk.create_dir_all(Path::new(LOG)).expect("there is room");
    let refused = open_again(&disk).map(drop).expect_err("it is gone");
    assert!(refused.to_string().contains("no segment has a head"), "{refused}");
}

#[test]
fn a_newer_format_is_refused() {
    run(19, async {
        let disk = small_log().await;
        let path = files(&disk)[0].clone();
        let file = disk.open(&path).expect("it is there");
        file.write_at(&[2], 7).expect("there is room");
        let refused = open_again(&disk).map(drop).expect_err("it is unknown");
        assert!(matches!(refused, WalError::Version { found: 2, .. }), "{refused}");
    });
}

#[test]
fn a_value_that_imitates_a_batch_stays_a_value() {
    run(20, async {
        // A forger knows everything but the secret: the directory's id, the segment and the block
        // that the value will lie at. It claims that very much was synced.
        let disk = SimDisk::new(20);
        let node = start(&disk, 1, SMALL).expect("it opens");
        append(&node.group(1), vec![entry(1, 0, "model")]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let (path, marker, _) = batches(&disk).last().expect("a marker").clone();
        let marker = usize::try_from(marker).expect("a small file");
        let mut forged = read(&disk, &path)[marker..marker + HEADER_BYTES].to_vec();
        let block = marker + 2 * BLOCK_BYTES;
        forged[32..40].copy_from_slice(&(block as u64).to_le_bytes());
        forged[56..64].copy_from_slice(&u64::MAX.to_le_bytes());
        let crc = crc32fast::hash(&forged[..HEADER_BYTES - 4]);
        forged[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        // Before the value come the header, the record's 21 bytes and the entry's 21.
        let mut value = vec![0; BLOCK_BYTES - HEADER_BYTES - 42];
        value.extend_from_slice(&forged);
        let payload = Payload::Normal(Bytes::from(value));
        append(&node.group(1), vec![LogEntry { position: at(1, 1), payload }]).await;
        assert_eq!(read(&disk, &path)[block..block + HEADER_BYTES], forged, "as it aimed");
        let held = node.group(1).entries(0..99);
        node.kill(&disk).await;
        assert_eq!(open_again(&disk).expect("it is whole").group(group(1)).entries(0..99), held);
    });
}
