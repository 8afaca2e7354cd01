use std::sync::{Arc, Mutex};

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
                drop(receiver.changed().await);
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
    let changed = with_seed(1, woken_by(|sender| drop(sender.send_replace(1)))).await;
    assert_eq!(changed, in_order);
    let closed = with_seed(1, woken_by(drop)).await;
    assert_eq!(closed, in_order);
}

#[tokio::test(start_paused = true)]
async fn a_channel_closes_after_its_last_value() {
    let (sender, mut receiver) = watch::channel(0);
    drop(sender.send_replace(1));
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
