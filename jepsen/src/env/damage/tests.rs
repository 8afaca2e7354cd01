use rand::SeedableRng;

use super::*;

/// A directory with one segment: a head, three batches and an empty one.
fn directory() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary directory");
    let (log, shelf) = (root.path().join("log"), root.path().join("snapshots/1/7"));
    fs::create_dir_all(&log).expect("a directory");
    fs::create_dir_all(&shelf).expect("a directory");
    let mut bytes = vec![0; 8 * BLOCK_BYTES];
    for (i, length) in [(0_u8, 50_u32), (1, 60), (2, 5000), (4, 70), (5, 0)] {
        let block = &mut bytes[usize::from(i) * BLOCK_BYTES..];
        block[..7].copy_from_slice(MAGIC);
        block[SEQUENCE].copy_from_slice(&u64::from(i).to_le_bytes());
        block[LENGTH].copy_from_slice(&length.to_le_bytes());
    }
    fs::write(log.join("1.log"), bytes).expect("a file");
    fs::write(shelf.join("db"), [7; 100]).expect("a file");
    root
}

/// Returns where it hit, and what of the file is not as it was.
fn hit(part: Part, how: How, seed: u64) -> (Damage, Vec<usize>) {
    let root = directory();
    let files = [root.path().join("log/1.log"), root.path().join("snapshots/1/7/db")];
    let before = files.clone().map(|file| fs::read(file).expect("it is there"));
    let mut random = StdRng::seed_from_u64(seed);
    let done = damage(root.path(), part, how, &mut random).expect("it can be written");
    let done = done.expect("there is something");
    let i = usize::from(part == Part::Snapshot);
    assert_eq!(root.path().join(&done.file), files[i]);
    let after = files.map(|file| fs::read(file).expect("it is there"));
    assert_eq!(before[1 - i], after[1 - i]);
    let differs = |&at: &usize| after[i].get(at) != Some(&before[i][at]);
    (done, (0..before[i].len()).filter(differs).collect())
}

#[test]
fn one_bit_flips_in_the_part_that_is_meant() {
    let blocks =
        |from: usize, bytes: usize| from * BLOCK_BYTES + 88..from * BLOCK_BYTES + 88 + bytes;
    for seed in 0..50 {
        let at = |part| {
            let (done, differs) = hit(part, How::Flip, seed);
            assert_eq!((differs.len(), done.bytes), (1, 1), "{seed}");
            assert_eq!(differs[0] as u64, done.offset, "{seed}");
            differs[0]
        };
        let header = at(Part::Header);
        assert!([1, 2].contains(&(header / BLOCK_BYTES)) && header % BLOCK_BYTES < 88, "{seed}");
        let middle = at(Part::Middle);
        assert!(blocks(1, 60).contains(&middle) || blocks(2, 5000).contains(&middle), "{seed}");
        assert!(blocks(4, 70).contains(&at(Part::Tail)), "{seed}");
        assert!(at(Part::Snapshot) < 100, "{seed}");
    }
}

#[test]
fn a_file_ends_in_the_part_that_is_meant() {
    let (done, differs) = hit(Part::Tail, How::Truncate, 1);
    let offset = 4 * BLOCK_BYTES + 88 + 35;
    assert_eq!((done.offset, differs.first()), (offset as u64, Some(&offset)));
    assert_eq!(done.bytes, (8 * BLOCK_BYTES - offset) as u64);
    assert_eq!(hit(Part::Snapshot, How::Truncate, 1).1, (50..100).collect::<Vec<_>>());
}

#[test]
fn where_there_is_nothing_nothing_is_done() {
    let root = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(root.path().join("log")).expect("a directory");
    let mut random = StdRng::seed_from_u64(1);
    for part in [Part::Header, Part::Middle, Part::Tail, Part::Snapshot] {
        let done = damage(root.path(), part, How::Flip, &mut random).expect("it is read");
        assert_eq!(done, None);
    }
}
