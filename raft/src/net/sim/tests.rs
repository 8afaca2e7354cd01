use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

async fn pair(fabric: &Fabric) -> (Stream, Stream) {
    let address = Address("b:1".into());
    let mut listener = fabric.host("b").listen(&address).await.unwrap();
    let a = fabric.host("a");
    let (connected, accepted) = tokio::join!(a.connect(&address), listener.accept());
    (connected.unwrap(), accepted.unwrap().0)
}

#[track_caller]
fn is_reset<T: fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn bytes_arrive_late_and_in_order() {
    let fabric = Fabric::new(1);
    let (mut a, mut b) = pair(&fabric).await;
    let sent: Vec<u8> = (0..200_000_u32).map(|n| n.to_be_bytes()[3]).collect();
    let before = Instant::now();
    let mut read = vec![0; sent.len()];
    let (written, received) =
        tokio::join!(a.writer.write_all(&sent), b.reader.read_exact(&mut read));
    written.unwrap();
    received.unwrap();
    assert_eq!(read, sent);
    assert!(Duration::from_millis(1) <= before.elapsed());
    drop(a);
    assert_eq!(b.reader.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_is_slow_one_way() {
    let fabric = Fabric::new(1);
    let (mut a, mut b) = pair(&fabric).await;
    fabric.slow("a", "b", Duration::from_millis(100));
    let took = async |from: &mut Stream, to: &mut Stream| {
        let began = Instant::now();
        from.writer.write_all(b"x").await.unwrap();
        to.reader.read_exact(&mut [0]).await.unwrap();
        began.elapsed()
    };
    assert!(Duration::from_millis(100) < took(&mut a, &mut b).await);
    assert!(took(&mut b, &mut a).await < Duration::from_millis(5));
    fabric.slow("a", "b", Duration::ZERO);
    assert!(took(&mut a, &mut b).await < Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn a_cut_holds_bytes_until_it_heals() {
    let fabric = Fabric::new(2);
    let (mut a, mut b) = pair(&fabric).await;
    fabric.cut("a", "b");
    a.writer.write_all(b"held").await.unwrap();
    b.writer.write_all(b"passes").await.unwrap();
    let mut passes = [0; 6];
    a.reader.read_exact(&mut passes).await.unwrap();
    let mut held = [0; 4];
    let late = timeout(Duration::from_secs(10), b.reader.read_exact(&mut held)).await;
    assert!(late.is_err());
    fabric.heal("a", "b");
    b.reader.read_exact(&mut held).await.unwrap();
    assert_eq!(&held, b"held");
}

#[tokio::test(start_paused = true)]
async fn a_long_cut_breaks_the_connection() {
    let fabric = Fabric::new(3);
    let (mut a, mut b) = pair(&fabric).await;
    fabric.partition("a", "b");
    a.writer.write_all(b"lost").await.unwrap();
    is_reset(b.reader.read(&mut [0]).await);
    is_reset(a.reader.read(&mut [0]).await);
}

#[tokio::test(start_paused = true)]
async fn a_full_pipe_makes_its_writer_wait() {
    let fabric = Fabric::new(4);
    let (mut a, mut b) = pair(&fabric).await;
    let bytes = vec![7; crate::limits::SIM_PIPE_BYTES + 1];
    let full = timeout(Duration::from_secs(1), a.writer.write_all(&bytes)).await;
    assert!(full.is_err());
    b.reader.read_exact(&mut [0; 10]).await.unwrap();
    a.writer.write_all(&[7]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_crash_takes_listeners_and_connections() {
    let fabric = Fabric::new(5);
    let (mut a, mut b) = pair(&fabric).await;
    fabric.crash("b");
    is_reset(a.writer.write(&[1]).await);
    is_reset(b.reader.read(&mut [0]).await);
    let again = fabric.host("a").connect(&Address("b:1".into())).await;
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    pair(&fabric).await;
}

#[tokio::test(start_paused = true)]
async fn connecting_over_a_cut_hangs_and_then_times_out() {
    let fabric = Fabric::new(6);
    let mut listener = fabric.host("b").listen(&Address("b:0".into())).await.unwrap();
    let (a, address) = (fabric.host("a"), listener.address());
    fabric.cut("b", "a");
    assert_eq!(a.connect(&address).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    let healing = async {
        sleep(Duration::from_secs(1)).await;
        fabric.heal_all();
    };
    let (connected, accepted, ()) = tokio::join!(a.connect(&address), listener.accept(), healing);
    connected.unwrap();
    assert_eq!(accepted.unwrap().1, "a");
}

#[tokio::test(start_paused = true)]
async fn a_seed_repeats_itself() {
    async fn arrival(seed: u64) -> Duration {
        let before = Instant::now();
        let fabric = Fabric::new(seed);
        fabric.set_latency(Duration::from_millis(1), Duration::from_secs(1));
        let (mut a, mut b) = pair(&fabric).await;
        a.writer.write_all(b"x").await.unwrap();
        b.reader.read_exact(&mut [0]).await.unwrap();
        before.elapsed()
    }
    assert_eq!(arrival(7).await, arrival(7).await);
    assert_ne!(arrival(7).await, arrival(8).await);
}
