//! Many shards on one node.

use super::*;

#[test]
fn a_cluster_of_many_shards_serves_and_comes_back() {
    with_hosts(3, |mut hosts, fabric| async move {
        let answer = hosts[1].init(&[0, 1, 2]).await.expect("all are free");
        assert!(answer.founded);
        let table = hosts[1].node.inner.table();
        let mut records = table.meta().shards().values();
        assert!(records.all(|record| record.phase == Phase::Active), "init waits for all");
        for host in &hosts {
            host.whole(6).await;
            assert_eq!(host.groups(), groups(6));
            assert_eq!(host.node.status().shards.len(), 7);
        }
        every_shard_serves(&hosts, 6).await;
        // All at once: nobody is left to say what the map was.
        let mut disks = Vec::new();
        for host in hosts.drain(..) {
            disks.push(host.stop().await);
        }
        for (host, disk) in disks.into_iter().enumerate() {
            let started = start_on(&fabric, host, disk, &address(host)).await;
            hosts.push(started.expect("it starts again"));
        }
        for host in &hosts {
            host.ready().await;
        }
        every_shard_serves(&hosts, 6).await;
        let again = hosts[2].init(&[0, 1, 2]).await.expect("it exists");
        assert_eq!((again.cluster, again.founded), (answer.cluster, false));
    });
}

#[test]
fn the_bound_on_memory_is_that_of_all_shards_together() {
    const BYTES_MAX: u64 = 40_000;
    with_hosts(0, |mut hosts, fabric| async move {
        let odd = Oddity { memory_bytes_max: Some(BYTES_MAX), ..Oddity::default() };
        for host in 0..3 {
            hosts.push(start_new(&fabric, host, odd).await);
        }
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
        let mut refused = 0;
        for number in 0..60 {
            match hosts[number % 3].put(number).await {
                Ok(_) => {}
                Err(RequestError::NotApplied(Refusal::MemoryFull { .. })) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        // A key counts for 1,260 bytes, so about half of them fit; no shard alone is near it.
        assert!((20..40).contains(&refused), "{refused} of 60 were refused");
        let bytes = |host: &Host| host.node.status().shards.iter().map(|it| it.bytes).sum::<u64>();
        let most = hosts.iter().map(bytes).max().expect("hosts");
        // What other leaders have stored and this replica is yet to apply may come on top.
        assert!((BYTES_MAX - 5_000..=BYTES_MAX + 5_000).contains(&most), "{most} bytes");
    });
}
