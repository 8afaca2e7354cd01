//! The bytes of manifests.

use super::super::manifest::ManifestError;
use super::*;

fn manifest() -> Manifest {
    let group = GroupId { shard: ShardId(3), attempt: 2 };
    let membership = Bytes::from_static(b"members");
    let hash = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100;
    Manifest { group, position: at(7), membership, chunks: 11, bytes: 1_000_000, hash }
}

fn with_crc(mut bytes: Vec<u8>) -> Bytes {
    let crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_be_bytes());
    bytes.into()
}

#[test]
fn the_bytes_are_a_promise() {
    let golden = [
        &b"sfsnapsh"[..],
        &[0, 1],
        &[0, 0, 0, 3, 0, 0, 0, 2],
        &[0, 0, 0, 0, 0, 0, 0, 5],
        &[0, 0, 0, 2, 0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 0, 0, 7],
        &[0, 0, 0, 0, 0, 0, 0, 11],
        &[0, 0, 0, 0, 0, 0x0f, 0x42, 0x40],
        &[15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
        b"members",
        &[0xa3, 0x71, 0xfe, 0xf0],
    ]
    .concat();
    assert_eq!(manifest().encode(), golden);
    assert_eq!(Manifest::decode(golden.into()), Ok(manifest()));
    let bare = Manifest { membership: Bytes::new(), ..manifest() };
    assert_eq!(Manifest::decode(bare.encode()), Ok(bare));
}

#[test]
fn any_other_bytes_are_damaged() {
    let bytes = manifest().encode();
    for length in 0..bytes.len() {
        assert_eq!(Manifest::decode(bytes.slice(..length)), Err(ManifestError::Damaged));
    }
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Manifest::decode(bytes.into()), Err(ManifestError::Damaged), "bit {bit}");
    }
    let stranger = with_crc(b"another thing".to_vec());
    assert_eq!(Manifest::decode(stranger), Err(ManifestError::Damaged));
    let short = with_crc(bytes[..73].to_vec());
    assert_eq!(Manifest::decode(short), Err(ManifestError::Damaged));
    let shorter = with_crc(bytes[..9].to_vec());
    assert_eq!(Manifest::decode(shorter), Err(ManifestError::Damaged));
}

#[test]
fn a_newer_version_is_refused_and_not_called_damaged() {
    let bytes = with_crc(b"sfsnapsh\x00\x02whatever that version holds".to_vec());
    assert_eq!(Manifest::decode(bytes.clone()), Err(ManifestError::Version(2)));
    let opened = content::open_manifest(bytes, GROUP, at(7)).map_err(|f| f.of(GROUP, at(7)));
    unreadable(opened, ErrorKind::Unsupported);
}
