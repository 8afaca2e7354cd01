//! Who builds a snapshot when.

use futures_util::{FutureExt, poll};

use super::*;
use crate::runtime::watch;
use crate::shard::space::wait_for_turn;
use crate::shard::turns::Turns;

#[tokio::test]
async fn of_those_that_are_asked_one_at_most_is_before_a_pressed_one() {
    let turns = Turns::default();
    let turn = turns.pressed().await;
    let mut asked = [(); 3].map(|()| Box::pin(turns.asked()));
    for one in &mut asked {
        assert!(poll!(one).is_pending());
    }
    let mut pressed = Box::pin(turns.pressed());
    assert!(poll!(&mut pressed).is_pending());
    drop(turn);
    let [first, second, third] = asked;
    let turn = first.await;
    assert!((&mut pressed).now_or_never().is_none(), "one builds");
    drop(turn);
    let mut second = second;
    assert!((&mut second).now_or_never().is_none(), "the pressed one is next");
    drop(pressed.await);
    // One that gives up leaves its place.
    drop(second);
    drop(third.await);
}

#[tokio::test]
async fn one_that_comes_under_pressure_while_it_waits_goes_with_the_pressed() {
    let turns = Turns::default();
    let turn = turns.pressed().await;
    let mut asked = [(); 3].map(|()| Box::pin(turns.asked()));
    for one in &mut asked {
        assert!(poll!(one).is_pending());
    }
    let (pressure, mut pressed) = watch::channel(Vec::new());
    let mut waits = Box::pin(wait_for_turn(&turns, &mut pressed, GROUP));
    assert!(poll!(&mut waits).is_pending());
    pressure.send_replace(vec![GROUP]);
    assert!(poll!(&mut waits).is_pending());
    drop(turn);
    let [first, mut second, _third] = asked;
    drop(first.await);
    assert!((&mut second).now_or_never().is_none(), "the pressed one is next");
    assert!(waits.await.is_some());
    // Where the log is closed there is nothing to make room in.
    pressure.send_replace(Vec::new());
    drop((pressure, second));
    assert!(wait_for_turn(&turns, &mut pressed, GROUP).await.is_none());
}
