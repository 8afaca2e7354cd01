//! Founding again after a refusal, founding twice at once, and addresses that are wrong.

use super::*;

#[test]
fn a_cluster_can_be_founded_after_a_refusal_in_another_order() {
    with_hosts(6, |hosts, _fabric| async move {
        hosts[3].take(&claim(9, 3, &[3, 4, 5])).await;
        for host in [0, 1, 2] {
            hosts[host].take(&claim(7, host, &[0, 1, 2, 3])).await;
        }
        // By now hosts 1 and 2 know each other, as nodes 2 and 3.
        sleep(Duration::from_secs(5)).await;
        let refused = hosts[0].init(&[0, 1, 2, 3]).await.expect_err("host 3 is another's");
        assert!(matches!(refused, InitError::Conflict(_)), "{refused}");
        hosts[0].init(&[0, 5, 2]).await.expect("all are free");
        for host in [0, 2, 5] {
            assert_eq!(hosts[host].has_failed().await, None);
            hosts[host].put(1).await.expect("it serves");
        }
    });
}

#[test]
fn a_release_of_another_cluster_leaves_the_replica_alone() {
    with_hosts(3, |hosts, _fabric| async move {
        hosts[1].take(&claim(7, 1, &[0, 1, 2])).await;
        let inner = &hosts[1].node.inner;
        assert!(inner.shard(ShardId::META).is_some(), "it was claimed");
        let cluster = ClusterId(1);
        let body = crate::transport::bootstrap::Release { cluster }.encode();
        inner.released_by_peer(body).await.expect("it is answered");
        assert!(inner.shard(ShardId::META).is_some(), "it is still claimed");
    });
}

#[test]
fn joining_twice_at_once_opens_one_replica() {
    with_hosts(3, |mut hosts, _fabric| async move {
        let inner = &hosts[0].node.inner;
        inner.directory.claim(&claim(7, 0, &[0, 1, 2])).expect("it is free");
        let (one, other) = tokio::join!(inner.join(), inner.join());
        one.expect("it is claimed");
        other.expect("it is claimed");
        let Host { life, node, .. } = hosts.remove(0);
        node.halt().await;
        drop(node);
        let ended = timeout(PATIENCE, async {
            while 0 < life.strong_count() {
                sleep(Duration::from_millis(1)).await;
            }
        });
        ended.await.expect("nobody runs a second replica");
    });
}

#[test]
fn a_claim_that_could_not_be_released_is_not_forgotten() {
    with_hosts(4, |hosts, fabric| async move {
        fabric.set_latency(Duration::from_millis(20), Duration::from_millis(20));
        hosts[2].take(&claim(9, 2, &[2, 7, 8])).await;
        for host in [0, 1] {
            hosts[host].take(&claim(7, host, &[0, 1, 2])).await;
        }
        // Host 1 has answered by then, and host 2 is being asked.
        let cut = async {
            sleep(Duration::from_millis(180)).await;
            fabric.partition("m0", "m1");
        };
        let (refused, ()) = tokio::join!(hosts[0].init(&[0, 1, 2]), cut);
        let error = refused.expect_err("host 2 refuses");
        assert!(matches!(error, InitError::Unavailable(_)), "{error}");
        assert!(error.to_string().contains("not every claim could be released"), "{error}");

        // Once host 1 can be reached, the same call releases it, and other nodes found a cluster.
        fabric.heal_all();
        let error = hosts[0].init(&[0, 1, 2]).await.expect_err("host 2 still refuses");
        assert!(matches!(error, InitError::Conflict(_)), "{error}");
        hosts[0].init(&[0, 1, 3]).await.expect("all three are free");
    });
}

#[test]
fn a_wrong_address_on_the_list_claims_nobody() {
    with_hosts(3, |hosts, _fabric| async move {
        let error = hosts[0].init(&[0, 1, 9]).await.expect_err("there is no host 9");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        for host in [0, 1] {
            assert_eq!(hosts[host].node.status().member, None);
        }
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
    });
}

/// Cuts the founding of a cluster off at one point, kills a host there, and goes on.
fn cut_off(after: Duration, victim: usize, asked: usize) {
    with_hosts(3, |mut hosts, fabric| async move {
        fabric.set_latency(Duration::from_millis(2), Duration::from_millis(9));
        let first = timeout(after, hosts[0].init(&[0, 1, 2])).await;
        let host = hosts.remove(victim);
        hosts.insert(victim, host.restart(&fabric, victim).await);
        let deadline = Instant::now() + 3 * PATIENCE;
        // A claim that its founder forgot is released, or taken up, by whoever holds it.
        let answer = loop {
            match hosts[asked].init(&[0, 1, 2]).await {
                Ok(answer) => break answer,
                Err(error) => assert!(Instant::now() < deadline, "{after:?} {victim}: {error}"),
            }
        };
        if let Ok(Ok(first)) = first {
            assert_eq!((first.cluster, answer.founded), (answer.cluster, false));
        }
        for host in &hosts {
            host.whole(6).await;
            let (cluster, _) = host.node.status().member.expect("it belongs to one");
            assert_eq!(cluster, answer.cluster, "one cluster");
            assert_eq!(host.groups(), groups(6), "no stray group");
            assert_eq!(host.has_failed().await, None);
        }
        every_shard_serves(&hosts, 6).await;
    });
}

#[test]
fn founding_goes_on_wherever_it_was_cut_off() {
    for step in 0..16_u32 {
        let after = Duration::from_millis(u64::from(step) * 65);
        let victim = step as usize % 3;
        // Whoever holds no claim cannot go on with one, so the first node is asked.
        cut_off(after, victim, 0);
    }
}

#[test]
fn other_numbers_are_another_cluster() {
    with_hosts(4, |hosts, _fabric| async move {
        let ask = async |shards, replicas| {
            let request = InitRequest { shards, replicas, ..request(&[0, 1, 2]) };
            hosts[0].node.init(request, Instant::now() + PATIENCE).await
        };
        let bad = [(0, 3), (limits::SHARDS_MAX + 1, 3), (6, 0), (6, 1), (6, 2), (6, 4), (6, 5)];
        for (shards, replicas) in bad {
            let error = ask(shards, replicas).await.expect_err("no cluster is like that");
            assert!(matches!(error, InitError::BadRequest(_)), "{error}");
            assert!(error.to_string().contains("nothing was changed"), "{error}");
        }
        for host in &hosts {
            assert_eq!(host.node.status().member, None);
        }
        assert!(ask(2, 3).await.expect("all are free").founded);
        let error = ask(3, 3).await.expect_err("it has two shards");
        assert!(matches!(error, InitError::Conflict(_)), "{error}");
        assert!(error.to_string().contains("with 2 shards"), "{error}");
        assert!(!ask(2, 3).await.expect("it exists").founded);
    });
}

#[test]
fn a_node_under_the_address_of_another_founds_nothing() {
    with_hosts(3, |hosts, fabric| async move {
        let disk = SimDisk::new(3);
        disk.create_dir_all(Path::new("/data")).expect("there is room");
        let other = start_on(&fabric, 3, disk, &address(1)).await.expect("it starts");
        let error = other.init(&[0, 1, 2]).await.expect_err("host 1 is there");
        assert!(error.to_string().contains("another node answers there"), "{error}");
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        assert_eq!(other.node.status().member, None);
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
    });
}

#[test]
fn an_address_of_another_node_on_the_list_is_refused() {
    with_hosts(3, |hosts, fabric| async move {
        // Host 3 listens where it says, but is advertised under another name.
        let disk = SimDisk::new(3);
        disk.create_dir_all(Path::new("/data")).expect("there is room");
        let alias = Address("elsewhere:7401".into());
        let other = start_on(&fabric, 3, disk, &alias).await.expect("it starts");
        let error = hosts[0].init(&[0, 1, 3]).await.expect_err("it is not known as that");
        assert!(error.to_string().contains("advertised as elsewhere:7401"), "{error}");
        assert_eq!(other.node.status().member, None);
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
    });
}

#[test]
fn a_node_that_moved_is_found_where_it_is() {
    with_hosts(3, |mut hosts, fabric| async move {
        hosts[0].init(&[0, 1, 2]).await.expect("all are free");
        let disk = hosts.remove(2).stop().await;
        let moved = start_on(&fabric, 5, disk, &address(5)).await.expect("it starts");
        moved.ready().await;
        let told = timeout(PATIENCE, async {
            loop {
                let table = hosts[0].node.inner.table();
                let record = &table.meta().nodes()[&NodeId(3)];
                if record.addresses.peer == "m5:7401" {
                    return record.addresses.http.clone();
                }
                sleep(Duration::from_millis(10)).await;
            }
        });
        assert_eq!(told.await.expect("the map follows"), "http://m5:7301");
        assert_eq!(moved.node.status().nodes[2].peer, address(5));
        assert_eq!(hosts[1].node.status().nodes[2].peer, address(5));
        moved.put(1).await.expect("it serves");
    });
}
