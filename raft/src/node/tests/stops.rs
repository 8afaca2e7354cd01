//! Nodes that stop while others ask them.

use super::*;

#[test]
fn a_node_that_stops_leaves_no_forwarded_write_in_doubt() {
    for seed in 1..=5 {
        stops_under_load(seed);
    }
}

/// One node of three stops, while clients write through another.
fn stops_under_load(seed: u64) {
    with_hosts_of(seed, 3, |hosts, fabric| async move {
        // Long ways, and much on them: some of it arrives when the leader has handed over.
        fabric.set_latency(Duration::from_millis(5), Duration::from_millis(60));
        let (leader, follower) = founded(&hosts).await;
        let (clients, stopped) = (64, watch::channel(false));
        let client = async |client: usize| {
            let mut count = 0;
            while !*stopped.1.borrow() {
                let name = format!("{client}-{count}");
                let deadline = Instant::now() + PATIENCE;
                let written = hosts[follower].node.write(put(&name, 1), deadline).await;
                written.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
                count += 1;
            }
            assert!(10 < count, "seed {seed}: {count}");
        };
        let stop = async {
            sleep(Duration::from_secs(3)).await;
            let began = Instant::now();
            hosts[leader].node.shutdown(began + PATIENCE).await;
            assert!(began.elapsed() < Duration::from_secs(2), "seed {seed}: {:?}", began.elapsed());
            sleep(Duration::from_secs(3)).await;
            stopped.0.send_replace(true);
        };
        tokio::join!(futures_util::future::join_all((0..clients).map(client)), stop);
    });
}

#[test]
fn a_node_stops_even_if_its_disk_hangs() {
    with_hosts(3, |hosts, _fabric| async move {
        let (leader, _) = founded(&hosts).await;
        hosts[leader].disk.set_sync_latency(Duration::from_secs(60));
        let written = hosts[leader].node.write(put("k", 1), Instant::now() + PATIENCE);
        let began = Instant::now();
        let stopped = hosts[leader].node.shutdown(began + Duration::from_secs(3));
        // What becomes of the write is for another test.
        let (_written, ()) = tokio::join!(written, async {
            stopped.await;
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        });
    });
}
