//! The bounds that a client can meet at this node, as one value.

use std::time::Duration;

use steadfast_cli::api::limits::Limits;
use steadfast_cli::api::{many, txn};
use steadfast_raft::limits;
use steadfast_raft::node::Settings;

use super::init;
use crate::http::{head, listener};

/// Returns the bounds, those that the node's settings move included.
pub(super) fn of(settings: &Settings) -> Limits {
    let segments_max = 2 * settings.segments_max as u64;
    Limits {
        key_bytes_max: limits::KEY_BYTES_MAX as u64,
        value_bytes_max: limits::VALUE_BYTES_MAX as u64,
        txn_items_max: txn::ITEMS_MAX as u64,
        many_items_max: many::ITEMS_MAX as u64,
        import_line_bytes_max: limits::IMPORT_LINE_BYTES_MAX as u64,
        ttl_ms_max: limits::TTL_MS_MAX,
        timeout_ms_max: ms(limits::TIMEOUT_MAX),
        read_timeout_ms_default: ms(limits::READ_TIMEOUT_DEFAULT),
        write_timeout_ms_default: ms(limits::WRITE_TIMEOUT_DEFAULT),
        proposals_inflight_max: limits::PROPOSALS_INFLIGHT_MAX as u64,
        proposals_inflight_bytes_max: limits::PROPOSALS_INFLIGHT_BYTES_MAX as u64,
        reads_waiting_max: limits::READS_WAITING_MAX as u64,
        key_waits_max: limits::KEY_WAITS_MAX as u64,
        key_wait_ms_max: ms(limits::KEY_WAIT_MAX),
        memory_bytes_max: settings.memory_bytes_max,
        log_bytes_max: segments_max * settings.segment_bytes,
        log_memory_bytes_max: settings.log_memory_bytes_max,
        connections_max: u64::from(listener::CONNECTIONS_MAX),
        target_bytes_max: head::TARGET_BYTES_MAX as u64,
        head_bytes_max: head::HEAD_BYTES_MAX as u64,
        headers_max: head::HEADERS_MAX as u64,
        head_ms_max: ms(listener::HEAD_TIMEOUT),
        answer_stall_ms_max: ms(listener::WRITE_TIMEOUT),
        init_bytes_max: init::BODY_BYTES_MAX as u64,
        nodes_max: limits::NODES_MAX as u64,
        shards_max: u64::from(limits::SHARDS_MAX),
        replicas_min: u64::from(limits::REPLICAS_MIN),
        snapshot_askers_max: limits::SNAPSHOT_ASKERS_MAX as u64,
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_moves_its_bounds_and_the_documents_name_each() {
        let set = Settings {
            memory_bytes_max: Some(5 << 20),
            segments_max: 3,
            segment_bytes: 16 << 20,
            ..Settings::default()
        };
        let limits = of(&set);
        assert_eq!(limits.memory_bytes_max, Some(5 << 20));
        assert_eq!(limits.log_bytes_max, 96 << 20);
        let document = include_str!("../../../docs/http.md");
        let named = serde_json::to_value(limits).expect("JSON");
        for name in named.as_object().expect("an object").keys() {
            assert!(document.contains(&format!("`{name}`")), "docs/http.md lacks {name}");
        }
    }
}
