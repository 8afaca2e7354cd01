//! What a node counts, in Prometheus' text format.
//!
//! The numbers are kept by those who make them and read when somebody asks, so that counting costs
//! the hot path next to nothing.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Inner, Node};
use crate::shard::Shard;

type PerShard = Family<[(&'static str, String); 1], Gauge>;

/// The histograms that the shards keep, each with its shard's number.
#[derive(Debug)]
struct Histograms(Vec<(u32, Histogram)>);

impl EncodeMetric for Histograms {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (shard, histogram) in &self.0 {
            let label = [("shard", shard.to_string())];
            histogram.encode(encoder.encode_family(&label)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

impl Node {
    /// Returns the metrics in Prometheus' text format, without the closing `# EOF`.
    pub fn metrics(&self) -> String {
        let mut registry = Registry::with_prefix("steadfast");
        self.inner.register_log(&mut registry);
        self.inner.register_shards(&mut registry);
        self.inner.register_histograms(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).expect("a string takes what is written to it");
        text.trim_end().trim_end_matches("# EOF").to_owned()
    }
}

impl Inner {
    fn register_log(&self, registry: &mut Registry) {
        let counts = self.directory.wal().counts();
        let mut counter = |name: &str, help: &str, value: u64| {
            registry.register(name, help, ConstCounter::new(value));
        };
        counter("log_batches", "Batches written to the log", counts.batches);
        counter("log_written_bytes", "Bytes written to the log, padding included", counts.bytes);
        counter(
            "log_syncs",
            "fdatasyncs of the log: the fewer for each write, the better writers share them",
            counts.syncs,
        );
        counter("log_records", "Records written for shards", counts.records);
        let mut gauge = |name: &str, help: &str, value: u64| {
            registry.register(name, help, gauge(value));
        };
        gauge("log_segments", "Segments in use", counts.segments);
        gauge("log_disk_bytes", "Bytes of the log's files", counts.disk_bytes);
        gauge("log_memory_bytes", "Bytes of log entries in memory", counts.memory_bytes);
        gauge("log_queued_bytes", "Bytes that wait for the log's writer", counts.queued_bytes);
        gauge(
            "log_room_bytes",
            "Bytes until the log is at its bound and writes are refused: alert on it",
            counts.log_room_bytes,
        );
        gauge(
            "disk_room_bytes",
            "Bytes until the disk is full and writes are refused: alert on it",
            counts.disk_room_bytes,
        );
        gauge("log_synced_sequence", "The last durable batch", self.directory.wal().synced().0);
    }

    fn register_shards(&self, registry: &mut Registry) {
        let shards = self.shards();
        let mut family = |name: &str, help: &str, value: &dyn Fn(&Shard) -> u64| {
            let family = PerShard::default();
            for shard in &shards {
                let label = [("shard", shard.group().shard.0.to_string())];
                family.get_or_create(&label).set(clamp(value(shard)));
            }
            registry.register(name, help, family);
        };
        family(
            "shard_leads",
            "Whether the replica here leads: 1 at one node for each shard",
            &|it| it.leads().into(),
        );
        family("shard_term", "The replica's term", &|it| it.leadership().term.number);
        family("shard_applied_index", "The last entry applied", &|it| {
            it.content().position.map_or(0, |position| position.index)
        });
        family("shard_last_index", "The last entry in the log", &|it| {
            it.log().state().last.map_or(0, |position| position.index)
        });
        family("shard_mutations", "Mutations applied: the shard's revision", &|it| {
            it.content().state.applied().0
        });
        family("shard_keys", "Keys in the state, expired ones included", &|it| {
            it.content().state.keys()
        });
        family("shard_state_bytes", "Bytes that the state counts: what memory_max bounds", &|it| {
            it.content().state.bytes()
        });
        family("shard_proposals", "Entries proposed by this replica", &|it| it.counts().entries);
        family("shard_proposed_commands", "Commands in those entries", &|it| it.counts().commands);
        family("shard_read_rounds", "Read confirmations by a majority", &|it| it.counts().rounds);
        family(
            "shard_read_fallbacks",
            "Of those, by the shard's own heartbeats: a peer is silent, or a leader is new",
            &|it| it.counts().fallbacks,
        );
        family("shard_confirmed_reads", "Reads that shared them", &|it| it.counts().reads);
        family("shard_key_waits", "Requests that wait for keys to change", &|it| it.key_waits());
        family("shard_leader_changes", "Changes of leader seen here", &|it| {
            it.counts().leader_changes
        });
    }

    fn register_histograms(&self, registry: &mut Registry) {
        let help = "Seconds that an fdatasync of the log took";
        registry.register("log_sync_seconds", help, self.directory.wal().sync_seconds().clone());
        let shards = self.shards();
        let mut family = |name: &str, help: &str, of: &dyn Fn(&Shard) -> &Histogram| {
            let histograms = shards.iter().map(|it| (it.group().shard.0, of(it).clone()));
            registry.register(name, help, Histograms(histograms.collect()));
        };
        family(
            "shard_entry_commands",
            "Commands in an entry proposed here: how well writers share one",
            &|it| &it.histograms().entry_commands,
        );
        family("shard_entry_seconds", "Seconds from proposing an entry to applying it", &|it| {
            &it.histograms().entry_seconds
        });
        family("shard_read_round_seconds", "Seconds that a read confirmation took", &|it| {
            &it.histograms().round_seconds
        });
    }
}

fn gauge(value: u64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(clamp(value));
    gauge
}

fn clamp(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
