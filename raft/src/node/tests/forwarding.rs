//! Requests that another node carries out, and those that must not be forwarded.

use super::*;

#[test]
fn forwarded_writes_are_proposed_in_the_order_in_which_they_were_sent() {
    with_hosts(3, |hosts, fabric| async move {
        fabric.set_latency(Duration::from_millis(1), Duration::from_millis(20));
        let (leader, follower) = founded(&hosts).await;
        for round in 0..10 {
            let deadline = Instant::now() + PATIENCE;
            let node = &hosts[follower].node;
            let mut writes: Vec<_> = (0..100)
                .map(|number| Box::pin(node.write(put("k", 100 * round + number), deadline)))
                .collect();
            for write in &mut writes {
                // The first poll sends it.
                assert!(futures_util::poll!(write).is_pending());
            }
            let mut newest = 0;
            for answer in futures_util::future::join_all(writes).await {
                let answer = answer.expect("it is stored");
                let WriteResult::Stored { revision, .. } = answer.result else { panic!("a put") };
                assert!(newest < revision.0, "{newest} before {revision}");
                newest = revision.0;
            }
            let last = (100 * round + 99).to_string();
            assert_eq!(get(&hosts[leader], "k").await, Some(Bytes::from(last)));
        }
    });
}

#[test]
fn a_request_that_was_forwarded_twice_is_refused() {
    with_hosts(3, |hosts, _fabric| async move {
        let (leader, follower) = founded(&hosts).await;
        let left = Duration::from_secs(1);
        let mut body = forward::encode_request(&Operation::Write(put("k", 1)), left).to_vec();
        assert_eq!(body[1], 1, "the hop count comes second");
        body[1] = 2;
        let node = hosts[leader].node.inner.me();
        let peer = hosts[follower].node.inner.transport().peer(node).expect("it is a peer");
        let asked = peer.request(Kind::Forward, GroupId::first(SHARD), body.into());
        let refused = asked.expect("they are connected").await.expect_err("it hopped twice");
        let NoAnswer::Refused(refused) = refused else { panic!("{refused}") };
        assert_eq!(refused.reason, Reason::Malformed, "{refused}");
        assert_eq!(get(&hosts[follower], "k").await, None);
    });
}

#[test]
fn a_change_that_names_another_shard_than_its_frame_is_refused() {
    with_hosts(3, |hosts, _fabric| async move {
        let (leader, follower) = founded(&hosts).await;
        let node = hosts[leader].node.inner.me();
        let peer = hosts[follower].node.inner.transport().peer(node).expect("it is a peer");
        let command = Command::Own { slots: Vec::new(), epoch: Epoch(9) };
        let change = |shard| Operation::Change { shard, command: command.clone() };
        for operation in [change(ShardId::META), change(ShardId(2)), Operation::MapVersion] {
            let body = forward::encode_request(&operation, Duration::from_secs(1));
            let asked = peer.request(Kind::Forward, GroupId::first(SHARD), body);
            let refused = asked.expect("they are connected").await.expect_err("not for it");
            let NoAnswer::Refused(refused) = refused else { panic!("{refused}") };
            assert_eq!(refused.reason, Reason::Malformed, "{refused}");
        }
    });
}

#[test]
fn a_client_that_goes_away_takes_its_queued_write_with_it() {
    with_hosts(3, |hosts, fabric| async move {
        let (leader, follower) = founded(&hosts).await;
        let others = (0..3).filter(|host| *host != leader);
        others.for_each(|host| fabric.partition(&format!("m{leader}"), &format!("m{host}")));
        let deadline = Instant::now() + PATIENCE;
        let node = &hosts[leader].node;
        let proposed = node.write(put("proposed", 1), deadline);
        tokio::pin!(proposed);
        // By then its entry is in flight, and what follows waits for it.
        drop(timeout(Duration::from_millis(50), &mut proposed).await);
        let mut queued = Box::pin(node.write(put("queued", 1), deadline));
        assert!(futures_util::poll!(&mut queued).is_pending());
        drop(queued);
        let stays = node.write(put("stays", 1), deadline);
        tokio::pin!(stays);
        assert!(futures_util::poll!(&mut stays).is_pending());
        fabric.heal_all();
        stays.await.expect("its client waits");
        assert_eq!(get(&hosts[follower], "stays").await, Some(Bytes::from("1")));
        assert_eq!(get(&hosts[follower], "queued").await, None);
    });
}

#[test]
fn a_request_that_is_not_to_be_forwarded_learns_who_leads() {
    with_hosts(3, |hosts, _fabric| async move {
        let (leader, follower) = founded(&hosts).await;
        let led_by = hosts[leader].node.inner.me();
        let deadline = || Instant::now() + PATIENCE;
        for route in [Route::Redirect, Route::Local] {
            let [here, there] = [leader, follower].map(|host| hosts[host].node.via(route));
            here.write(put("k", 1), deadline()).await.expect("it leads");
            let http = format!("http://m{leader}:7301");
            let expected = Elsewhere { shard: SHARD, node: led_by, leads: true, http };
            let expected = RequestError::Elsewhere(expected);
            let before = get(&hosts[leader], "k").await;
            assert_eq!(there.write(put("k", 2), deadline()).await, Err(expected.clone()));
            let key = Key::try_from(Bytes::from("k")).expect("the key is short");
            let read = there.get(key, Consistency::Linearizable, deadline()).await;
            assert_eq!(read, Err(expected));
            assert_eq!(get(&hosts[leader], "k").await, before, "nothing was forwarded");
            let key = Key::try_from(Bytes::from("k")).expect("the key is short");
            let stale = Consistency::Stale { max_staleness: None, min_applied: None };
            let stale = there.get(key, stale, deadline()).await.expect("any replica takes it");
            assert_eq!(stale.facts.node, hosts[follower].node.inner.me());
        }
    });
}

#[test]
fn a_node_without_a_replica_names_one_that_has_it() {
    with_hosts(4, |hosts, _fabric| async move {
        let asked = InitRequest { shards: 4, replicas: 3, ..request(&[0, 1, 2, 3]) };
        let answer = hosts[0].node.init(asked, Instant::now() + PATIENCE).await;
        answer.expect("all are free");
        for host in &hosts {
            host.ready().await;
        }
        let mut named = 0;
        for number in 0..40 {
            let (mut at, mut hops) = (number % 4, 0);
            // To a replica, and from there to the leader, which may change meanwhile.
            loop {
                let name = format!("key {number}");
                let key = Key::try_from(Bytes::from(name.clone())).expect("the key is short");
                match hosts[at].node.wait_for(&key).expect("it knows who has a replica") {
                    wait::Waiting::Here(_place) => {}
                    wait::Waiting::Elsewhere(there) => {
                        assert!(hosts[at].node.inner.shard(there.shard).is_none());
                    }
                }
                let node = hosts[at].node.via(Route::Redirect);
                match node.write(put(&name, 1), Instant::now() + PATIENCE).await {
                    Ok(_) => break,
                    Err(RequestError::Elsewhere(Elsewhere { shard, node, leads, .. })) => {
                        assert_eq!(leads, hosts[at].node.inner.shard(shard).is_some());
                        named += usize::from(!leads);
                        at = hosts
                            .iter()
                            .position(|host| host.node.inner.me() == node)
                            .expect("it is one of them");
                        assert!(hosts[at].node.inner.shard(shard).is_some());
                    }
                    Err(other) => panic!("{other}"),
                }
                hops += 1;
                assert!(hops <= 3, "it leads astray");
            }
        }
        assert!(0 < named, "no request met a node without a replica");
    });
}

#[test]
fn a_request_that_is_not_to_be_forwarded_waits_for_a_leader() {
    with_hosts(3, |hosts, _fabric| async move {
        let (leader, follower) = founded(&hosts).await;
        hosts[leader].node.halt().await;
        let node = &hosts[follower].node;
        let deadline = Instant::now() + PATIENCE;
        match node.via(Route::Redirect).write(put("k", 1), deadline).await {
            Ok(_) => {}
            Err(RequestError::Elsewhere(Elsewhere { node: now, .. })) => {
                assert_ne!(now, hosts[leader].node.inner.me());
            }
            Err(other) => panic!("{other}"),
        }
        let last = (0..3).find(|host| ![leader, follower].contains(host)).expect("three");
        hosts[last].node.halt().await;
        sleep(Duration::from_secs(2)).await;
        let deadline = Instant::now() + Duration::from_secs(1);
        let began = Instant::now();
        let refused = node.via(Route::Redirect).write(put("k", 1), deadline).await;
        let refused = refused.expect_err("nobody leads");
        let no_leader = matches!(refused, RequestError::NotApplied(Refusal::NoLeader { .. }));
        assert!(no_leader, "{refused}");
        assert_eq!(began.elapsed().as_secs(), 1);
    });
}
