use clap::Parser;

use super::*;
use crate::api::problem::{Outcome, Problem, Retry};

#[derive(Debug, clap::Parser)]
struct Typed {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

fn typed(words: &str) -> Result<Typed, String> {
    let words = std::iter::once("steadfast").chain(words.split_whitespace());
    Typed::try_parse_from(words).map_err(|error| error.to_string())
}

#[test]
fn the_commands_are_consistent() {
    <Typed as clap::CommandFactory>::command().debug_assert();
}

#[test]
fn every_example_in_the_help_can_be_typed() {
    let mut seen = 0;
    let mut commands = vec![<Typed as clap::CommandFactory>::command()];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands().cloned());
        let help = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        for line in help.lines().filter_map(|line| line.trim().strip_prefix("steadfast ")) {
            // What follows two spaces is a comment; what follows >, | or & is for the shell.
            let words = line.split("  ").next().and_then(|line| line.split(['>', '|', '&']).next());
            typed(words.expect("split gives one")).expect(line);
            seen += 1;
        }
    }
    assert!(10 < seen, "the examples were found");
}

#[test]
fn globals_have_defaults_and_follow_any_command() {
    let globals = typed("get a").expect("good").globals;
    assert_eq!(globals.endpoints, ENDPOINTS_DEFAULT);
    let words = "get a --endpoint http://a:1 --endpoint http://b:1 -o json --timeout 2s -q";
    let globals = typed(words).expect("good").globals;
    assert_eq!(globals.endpoints, ["http://a:1", "http://b:1"]);
    assert_eq!((globals.output, globals.quiet), (Format::Json, true));
    assert_eq!(globals.timeout, Some(Duration::from_secs(2)));
}

#[test]
fn a_wait_may_be_longer_than_a_request() {
    typed("cluster wait --for healthy --timeout 10m").expect("ten minutes");
    assert!(typed("cluster status --timeout 10m").is_err());
}

#[test]
fn a_value_may_begin_with_a_dash_if_that_is_meant() {
    for words in ["put a -", "put a -5", "put a -- --tll=60s"] {
        typed(words).expect(words);
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for words in [
        "get",
        "get a b",
        "put a",
        "put a --ttl 5s",
        "put a --tll=60s",
        "get a --consistency strong",
        "get a --consistency stale --max-staleness 0s",
        "get a --timeout 0s",
        "get a --timeout 31s",
        "get a --timeout 5",
        "get a -o yaml",
        "put a b --ttl 0s",
        "put a b --ttl 1d",
        "put a b --if-etag x;y",
        "put a b --if-absent --if-etag 7",
        "del a --if-etag",
        "incr",
        "txn",
        "mget",
        "list a b",
        "list --limit 0",
        "mget a --consistency strong",
        "txn {} {}",
        "incr a x",
        "incr a 1.5",
        "incr a 9223372036854775808",
        "incr a --renew-ttl",
        "incr a --ttl 0s",
        "cluster",
        "cluster init",
        "clustr status",
        "cluster wait",
        "cluster wait --for quorum",
        "cluster wait --for healthy --timeout 0s",
        "cluster wait --for healthy --timeout 25h",
        "shard",
        "shard show",
        "shard show one",
        "shard transfer-leader 1",
        "shard transfer-leader 1 --to me",
        "shard snapshot",
    ] {
        assert!(typed(words).is_err(), "{words}");
    }
}

#[test]
fn what_is_no_number_is_told_what_numbers_there_are() {
    for words in ["incr a x", "incr a 9223372036854775808", "incr a --max 1.5"] {
        let error = typed(words).expect_err(words).to_string();
        assert!(error.contains("from -9223372036854775808 to 9223372036854775807"), "{error}");
    }
}

#[test]
fn etags_may_lose_their_quotes_to_the_shell() {
    assert_eq!(etag("7").as_deref(), Ok("\"7\""));
    assert_eq!(etag("\"7\"").as_deref(), Ok("\"7\""));
    for bad in ["", "\"\"", "\"7", "W/\"7\"", "7\n"] {
        assert!(etag(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn errors_say_what_why_what_state_and_what_next() {
    let problem = Problem {
        code: "outcome-unknown".to_owned(),
        title: "Nobody knows whether the write took effect".to_owned(),
        status: 504,
        detail: "the connection to n2 broke before it answered".to_owned(),
        outcome: Outcome::Unknown,
        retry: Retry::Never,
        hint: Some("read the key back".to_owned()),
        leader: None,
    };
    let error = CommandError::Client(ClientError::Problem {
        endpoint: "http://a:1".to_owned(),
        headers: Box::default(),
        problem: Box::new(problem),
    });
    assert_eq!(error.exit(), Exit::OutcomeUnknown);
    let expected = "\
error: Nobody knows whether the write took effect: the connection to n2 broke before it answered
  state  unknown: it may have taken effect, or may yet
  next   read the key back";
    assert_eq!(error.to_text(), expected);
}

#[test]
fn an_empty_key_is_wrong_usage() {
    let error = key_bytes(OsString::new()).expect_err("no bytes");
    assert_eq!(error.exit(), Exit::Usage);
    assert_eq!(key_bytes(OsString::from_vec(vec![0xff])).expect("any bytes"), [0xff]);
}
