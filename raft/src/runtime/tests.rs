use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use openraft_rt::testing::Suite;

use super::*;

#[test]
fn openraft_finds_all_that_it_expects_of_a_runtime() {
    Suite::test_all_on(&mut Runtime::new(1));
}

/// Has eight receivers wait, does something to their channel, and returns who woke, in order.
async fn woken_by(act: impl FnOnce(watch::Sender<u32>)) -> Vec<u64> {
    let (sender, receiver) = watch::channel(0);
    let order = Arc::new(Mutex::new(Vec::new()));
    let waiting: Vec<_> = (0..8)
        .map(|number| {
            let (mut receiver, order) = (receiver.clone(), Arc::clone(&order));
            spawn(async move {
                receiver.changed().await.unwrap_or_default();
                order.lock().unwrap().push(number);
            })
        })
        .collect();
    tokio::task::yield_now().await;
    act(sender);
    for task in waiting {
        task.await.unwrap();
    }
    Arc::into_inner(order).unwrap().into_inner().unwrap()
}

/// tokio's own channel passes about once in thousands.
#[tokio::test(start_paused = true)]
async fn waiters_wake_in_the_order_in_which_they_came() {
    let in_order: Vec<u64> = (0..8).collect();
    let changed = with_seed(1, woken_by(|sender| sender.send_modify(|value| *value = 1))).await;
    assert_eq!(changed, in_order);
    let closed = with_seed(1, woken_by(drop)).await;
    assert_eq!(closed, in_order);
}

#[tokio::test(start_paused = true)]
async fn a_channel_closes_after_its_last_value() {
    let (sender, mut receiver) = watch::channel(0);
    sender.send_modify(|value| *value = 1);
    drop(sender);
    assert!(receiver.changed().await.is_ok());
    assert_eq!(*receiver.borrow(), 1);
    assert!(receiver.changed().await.is_err());
    assert_eq!(receiver.wait_for(|&value| value == 1).await.ok(), Some(1));
    assert!(receiver.wait_for(|&value| value == 2).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_clone_keeps_a_channel_open() {
    let (sender, mut receiver) = watch::channel(0);
    let clone = sender.clone();
    drop(sender);
    clone.send_modify(|value| *value += 1);
    assert!(receiver.changed().await.is_ok());
    assert!(!clone.send_if_modified(|_| false));
    assert!(receiver.changed().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_frozen_process_stands_still_and_then_is_late() {
    with_seed(1, freeze_a_counter()).await;
}

async fn freeze_a_counter() {
    let freezer = Freezer::default();
    let count = Arc::new(Mutex::new(0));
    let counting = Arc::clone(&count);
    let process = async move {
        // What it spawns is part of it, and what openraft spawns too.
        let counter = <Runtime as AsyncRuntime>::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                *counting.lock().unwrap() += 1;
            }
        });
        drop(counter.await);
    };
    let task = spawn(freezer.clone().run(process));
    let counted_after = async |ms| {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        *count.lock().unwrap()
    };
    assert_eq!(counted_after(2_500).await, 2);
    freezer.freeze();
    assert_eq!(counted_after(10_000).await, 2);
    freezer.thaw();
    assert_eq!(counted_after(1_500).await, 4, "the second that had begun is over at once");
    task.abort();
}
