use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::keys::Keys;
use super::*;
use crate::history::{History, Recorder, read};

/// Answers each request by its first line, with a status and a body.
async fn serve(listener: TcpListener, answer: fn(&str) -> (u16, &'static str)) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("somebody comes");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a whole head"));
        }
        let head = String::from_utf8_lossy(&head);
        let (status, body) = answer(head.lines().next().unwrap_or_default());
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\
             steadfast-revision: 7\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).await.expect("it listens");
    }
}

/// Returns the history of the final reading of elements 1 and 2.
async fn read_through(answer: fn(&str) -> (u16, &'static str)) -> History {
    let dir = tempfile::tempdir().expect("there is room for a file");
    let path = dir.path().join("history.jsonl");
    let recorder = Arc::new(Recorder::create(&path).expect("a new file"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("it is bound");
    let nodes = vec![Target { id: 1, endpoint: format!("http://{at}") }];
    let keys = Keys::new(1, 1, 1);
    let shared = Arc::new(Shared::new(Arc::clone(&recorder), nodes, "r".to_owned(), 1, keys));
    shared.values.store(3, Ordering::Relaxed);
    tokio::select! {
        biased;
        () = read_all(&shared) => {}
        () = serve(listener, answer) => {}
    }
    recorder.finish().expect("it was written");
    read(&path).expect("it was written so")
}

const NO_LEADER: &str = r#"{"code":"no-leader","title":"x","status":503,"detail":"x",
    "outcome":"not_applied","retry":"safe","hint":"x"}"#;

#[tokio::test]
async fn the_set_is_read_by_pages_to_its_end() {
    let history = read_through(|line| {
        // A key that does not hold its element, and the end.
        let first = r#"{"items":[{"key":"r1.0","value":"1","revision":"7"}],"cursor":"c",
            "shards":[{"shard":1,"applied":"9"}]}"#;
        let last = r#"{"items":[{"key":"r2.0","value":"1","revision":"8"}],"shards":[]}"#;
        (200, if line.contains("cursor=c") { last } else { first })
    });
    let history = history.await;
    let told = history.operations.iter().map(|it| {
        let answer = it.answer().expect("it was answered");
        let more = answer.page.as_ref().is_some_and(|page| page.more);
        (it.function, it.value.clone(), answer.value.clone(), more)
    });
    let expected = [
        (Function::List, Value::Null, Value::Many(vec![1]), true),
        (Function::List, Value::One(1), Value::Many(vec![u64::MAX]), false),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    let shards = history.operations[0].answer().and_then(|it| it.page.clone());
    assert_eq!(shards.map(|page| page.shards), Some(vec![(1, 9)]));
}

#[tokio::test]
async fn where_a_node_cannot_list_the_set_is_read_by_key() {
    let history = read_through(|line| {
        if line.contains("/v1/kv?prefix64=") {
            return (503, NO_LEADER);
        }
        if line.contains("/v1/kv/r2.0") {
            (200, "2")
        } else {
            (
                404,
                r#"{"code":"key-not-found",
            "title":"x","status":404,"detail":"x","outcome":"not_applied","retry":"never","hint":"x"}"#,
            )
        }
    });
    let history = history.await;
    let pages: Vec<_> =
        history.operations.iter().filter(|it| it.function == Function::List).collect();
    assert_eq!(pages.len(), FINAL_ATTEMPTS);
    assert!(pages.iter().all(|it| it.error() == Some("503 no-leader")), "{pages:?}");
    let last = history.operations.last().expect("there is one");
    assert_eq!(last.function, Function::ReadAll);
    assert_eq!(last.answer().map(|it| it.value.clone()), Some(Value::Many(vec![2])));
}
