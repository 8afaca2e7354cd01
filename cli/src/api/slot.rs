//! Slots: what keys hash to, exactly as in Redis Cluster.

/// How many slots there are. Fixed for ever.
pub const COUNT: u16 = 16_384;

/// Returns the slot of `key`: CRC16/XMODEM of the key, or of the first non-empty `{tag}` in it, so
/// that related keys can be kept together.
pub fn of(key: &[u8]) -> u16 {
    const CRC16: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_XMODEM);
    CRC16.checksum(tag(key)) % COUNT
}

/// Returns the part of `key` that is hashed.
fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&byte| byte == b'}') {
        None | Some(0) => key,
        Some(close) => &rest[..close],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        assert_eq!(of(b"123456789"), 12_739);
        assert_eq!(of(b"{user1000}.following"), of(b"{user1000}.followers"));
        assert_eq!(of(b"foo{}{bar}"), CRC_OF_FOO_BAR);
        assert_eq!(of(b"foo{{bar}}zap"), of(b"{bar"));
    }

    /// An empty tag counts for nothing, so the whole key is hashed.
    const CRC_OF_FOO_BAR: u16 = 8_363;
}
