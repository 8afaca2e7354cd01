//! What both disks promise alike.

use std::io::ErrorKind;
use std::path::Path;

use super::{Disk, RealDisk, SimDisk};

#[test]
fn the_real_disk_conforms() {
    let directory = tempfile::tempdir().unwrap();
    conforms(&RealDisk, directory.path());
}

#[test]
fn the_simulated_disk_conforms() {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/data")).unwrap();
    conforms(&disk, Path::new("/data"));
}

fn conforms(disk: &dyn Disk, root: &Path) {
    files_hold_what_was_written(disk, root);
    names_are_listed_renamed_and_removed(disk, root);
    directories_nest(disk, root);
    locks_exclude(disk, root);
    the_device_is_known(disk, root);
}

#[track_caller]
fn fails<T>(result: std::io::Result<T>, kind: ErrorKind) {
    assert_eq!(result.err().expect("a failure").kind(), kind);
}

fn files_hold_what_was_written(disk: &dyn Disk, root: &Path) {
    let path = root.join("file");
    fails(disk.open(&path), ErrorKind::NotFound);
    let file = disk.create(&path).unwrap();
    fails(disk.create(&path), ErrorKind::AlreadyExists);
    assert_eq!(file.len_bytes().unwrap(), 0);
    assert_eq!(file.read_at(&mut [0; 8], 0).unwrap(), 0);

    file.write_at(b"head", 0).unwrap();
    file.write_at(&[7; 1000], 700).unwrap();
    file.write_at(b"over", 2).unwrap();
    file.write_at(b"", 5000).unwrap();
    file.sync_data().unwrap();
    file.sync_all().unwrap();

    let mut expected = vec![0; 1700];
    expected[..6].copy_from_slice(b"heover");
    expected[700..].fill(7);
    for file in [file, disk.open(&path).unwrap()] {
        assert_eq!(file.len_bytes().unwrap(), 1700);
        let mut buffer = vec![9; 2000];
        assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 1700);
        assert_eq!(buffer[..1700], expected);
        assert_eq!(file.read_at(&mut buffer[..10], 699).unwrap(), 10);
        assert_eq!(buffer[..10], expected[699..709]);
        assert_eq!(file.read_at(&mut buffer, 1690).unwrap(), 10);
        assert_eq!(file.read_at(&mut buffer, 9999).unwrap(), 0);
    }
    disk.remove_file(&path).unwrap();
}

fn names_are_listed_renamed_and_removed(disk: &dyn Disk, root: &Path) {
    let [a, b, c] = ["a", "b", "c"].map(|name| root.join(name));
    disk.create(&b).unwrap().write_at(b"b", 0).unwrap();
    disk.create(&a).unwrap();
    assert_eq!(disk.list(root).unwrap(), [a.clone(), b.clone()]);

    disk.rename(&b, &c).unwrap();
    fails(disk.rename(&b, &c), ErrorKind::NotFound);
    disk.rename(&c, &a).unwrap();
    disk.sync_dir(root).unwrap();
    assert_eq!(disk.list(root).unwrap(), std::slice::from_ref(&a));
    assert_eq!(disk.open(&a).unwrap().len_bytes().unwrap(), 1);

    disk.remove_file(&a).unwrap();
    fails(disk.remove_file(&a), ErrorKind::NotFound);
    assert!(disk.list(root).unwrap().is_empty());
    fails(disk.list(&a), ErrorKind::NotFound);
}

fn directories_nest(disk: &dyn Disk, root: &Path) {
    let top = root.join("top");
    let deep = top.join("deep");
    fails(disk.create(&deep.join("file")), ErrorKind::NotFound);
    fails(disk.sync_dir(&deep), ErrorKind::NotFound);
    disk.create_dir_all(&deep).unwrap();
    disk.create_dir_all(&deep).unwrap();
    disk.create(&deep.join("file")).unwrap();
    fails(disk.create_dir_all(&deep.join("file/below")), ErrorKind::NotADirectory);
    fails(disk.list(&deep.join("file")), ErrorKind::NotADirectory);
    fails(disk.open(&deep), ErrorKind::IsADirectory);

    let moved = root.join("moved");
    disk.rename(&top, &moved).unwrap();
    assert_eq!(disk.list(&moved.join("deep")).unwrap(), [moved.join("deep/file")]);
    disk.remove_dir_all(&moved).unwrap();
    fails(disk.remove_dir_all(&moved), ErrorKind::NotFound);
    assert!(disk.list(root).unwrap().is_empty());
}

fn locks_exclude(disk: &dyn Disk, root: &Path) {
    let path = root.join("lock");
    let first = disk.lock(&path).unwrap();
    first.write_at(b"held", 0).unwrap();
    fails(disk.lock(&path), ErrorKind::WouldBlock);
    drop(first);
    let second = disk.lock(&path).unwrap();
    assert_eq!(second.len_bytes().unwrap(), 4, "locking does not truncate");
    drop(second);
    disk.remove_file(&path).unwrap();
}

fn the_device_is_known(disk: &dyn Disk, root: &Path) {
    assert!(0 < disk.free_bytes(root).unwrap());
    let bytes = disk.sector_bytes(root).unwrap();
    assert!(bytes.is_power_of_two() && 512 <= bytes, "{bytes}");
}
