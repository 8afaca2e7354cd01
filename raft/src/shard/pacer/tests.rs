use futures_util::poll;

use super::*;
use crate::clock::SimClock;

fn pacer() -> Pacer {
    Pacer::new(Arc::new(SimClock::new(0)))
}

fn queue(pacer: &Pacer, commands: usize) {
    (0..commands).for_each(|_| pacer.queued());
}

/// Has a round of so many commands leave.
async fn round(pacer: &Pacer, commands: usize) {
    queue(pacer, commands);
    pacer.turn().await;
    pacer.dequeued(commands);
}

#[tokio::test(start_paused = true)]
async fn a_lone_client_never_waits() {
    let pacer = pacer();
    for _ in 0..100 {
        queue(&pacer, 1);
        assert!(poll!(Box::pin(pacer.turn())).is_ready());
        pacer.dequeued(1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_round_waits_for_nine_in_ten_of_the_last() {
    let pacer = pacer();
    round(&pacer, 20).await;
    queue(&pacer, 1);
    let mut turn = Box::pin(pacer.turn());
    assert!(poll!(&mut turn).is_pending());
    queue(&pacer, 16);
    assert!(poll!(&mut turn).is_pending());
    queue(&pacer, 1);
    assert!(poll!(&mut turn).is_ready());
}

#[tokio::test(start_paused = true)]
async fn what_stayed_queued_is_expected_too() {
    let pacer = pacer();
    // Half of the round is queued at a shard whose entry is outstanding.
    queue(&pacer, 20);
    pacer.turn().await;
    pacer.dequeued(10);
    queue(&pacer, 7);
    let mut turn = Box::pin(pacer.turn());
    assert!(poll!(&mut turn).is_pending());
    queue(&pacer, 1);
    assert!(poll!(&mut turn).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_round_is_bounded_where_the_clock_stands_still() {
    let pacer = pacer();
    round(&pacer, 20).await;
    queue(&pacer, 1);
    let mut turn = Box::pin(pacer.turn());
    for _ in 0..limits::ROUND_YIELDS_MAX {
        assert!(poll!(&mut turn).is_pending());
    }
    assert!(poll!(&mut turn).is_ready());
    pacer.dequeued(1);
    // And those who did not come are not expected again.
    queue(&pacer, 1);
    assert!(poll!(Box::pin(pacer.turn())).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_round_is_bounded_by_the_clock() {
    let pacer = pacer();
    round(&pacer, 20).await;
    queue(&pacer, 1);
    let mut turn = Box::pin(pacer.turn());
    assert!(poll!(&mut turn).is_pending());
    // The timers of tests are no finer than a millisecond either.
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(poll!(&mut turn).is_ready());
}

#[tokio::test(start_paused = true)]
async fn shards_that_wait_leave_together() {
    let pacer = pacer();
    round(&pacer, 20).await;
    queue(&pacer, 2);
    let (mut first, mut second) = (Box::pin(pacer.turn()), Box::pin(pacer.turn()));
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    queue(&pacer, 16);
    assert!(poll!(&mut second).is_ready());
    pacer.dequeued(17);
    assert!(poll!(&mut first).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_goes_away_holds_nobody() {
    let pacer = pacer();
    round(&pacer, 20).await;
    queue(&pacer, 2);
    let (mut gone, mut turn) = (Box::pin(pacer.turn()), Box::pin(pacer.turn()));
    assert!(poll!(&mut gone).is_pending());
    drop(gone);
    pacer.dequeued(1);
    for _ in 0..limits::ROUND_YIELDS_MAX {
        assert!(poll!(&mut turn).is_pending());
    }
    assert!(poll!(&mut turn).is_ready());
}
