use super::*;
use clap::Parser;
use std::time::Duration;
use steadfast_raft::limits;

#[derive(Debug, clap::Parser)]
struct Start {
    #[command(flatten)]
    flags: Flags,
}

/// Loads settings from a file's text, variables and flags.
fn load(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Config, String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("steadfast.toml");
    std::fs::write(&path, file).expect("a new file");
    let config = ["start", "--config", path.to_str().expect("text")];
    let arguments = config.iter().chain(flags).copied();
    let start = Start::try_parse_from(arguments).map_err(|error| error.to_string())?;
    let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Config::load(start.flags, environment).map_err(|error| error.to_string())
}

/// Loads settings from flags, and a data directory.
fn flags(flags: &[&str]) -> Result<Config, String> {
    load("data = \"d\"", &[], flags)
}

#[track_caller]
fn refused(result: Result<Config, String>, words: &[&str]) {
    let error = result.expect_err("a bad setting");
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in: {error}");
    }
}

#[test]
fn defaults_suit_one_machine() {
    let config = flags(&[]).expect("defaults");
    assert_eq!(config.http.to_string(), "127.0.0.1:7301");
    assert_eq!(config.peer.to_string(), "127.0.0.1:7401");
    assert_eq!(config.http_advertise, Address("127.0.0.1:7301".to_owned()));
    assert_eq!(config.peer_advertise, Address("127.0.0.1:7401".to_owned()));
    assert_eq!(config.settings, Settings::default());
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let file = "data = \"file\"\nmemory_max = \"1MiB\"\nsegments_max = 5";
    let heard = |environment: &[(&str, &str)], flags: &[&str]| {
        let config = load(file, environment, flags).expect("good settings");
        (config.data, config.settings.memory_bytes_max, config.settings.segments_max)
    };
    assert_eq!(heard(&[], &[]), ("file".into(), Some(1 << 20), 5));
    let environment = [("STEADFAST_DATA", "env"), ("STEADFAST_MEMORY_MAX", "2MiB")];
    assert_eq!(heard(&environment, &[]), ("env".into(), Some(2 << 20), 5));
    assert_eq!(heard(&environment, &["--data", "flag"]), ("flag".into(), Some(2 << 20), 5));
}

#[test]
fn every_setting_can_come_from_file_and_environment() {
    let (token, _line) = token_file("0123456789abcdef");
    let settings = [
        ("data", "d"),
        ("http", "127.0.0.1:1"),
        ("peer", "127.0.0.1:2"),
        ("advertise_http", "a:1"),
        ("advertise_peer", "a:2"),
        ("insecure", "true"),
        ("token_file", token.path().to_str().expect("text")),
        ("memory_max", "1GiB"),
        ("heartbeat_ms", "50"),
        ("election_ms_min", "200"),
        ("election_ms_max", "300"),
        ("segment_bytes", "32MiB"),
        ("segments_max", "9"),
        ("log_memory_bytes_max", "64MiB"),
    ];
    let file: String = settings.map(|(key, value)| format!("{key} = \"{value}\"\n")).concat();
    let from_file = load(&file, &[], &[]).expect("good settings");
    let variables =
        settings.map(|(key, value)| (format!("STEADFAST_{}", key.to_uppercase()), value));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(load("", &variables, &[]).expect("good settings"), from_file);
    let expected = Settings {
        heartbeat: Duration::from_millis(50),
        election_min: Duration::from_millis(200),
        election_max: Duration::from_millis(300),
        segment_bytes: 32 << 20,
        segments_max: 9,
        log_memory_bytes_max: 64 << 20,
        memory_bytes_max: Some(1 << 30),
    };
    assert_eq!(from_file.settings, expected);
}

#[test]
fn unknown_keys_are_refused_with_their_name() {
    refused(load("dta = \"d\"", &[], &[]), &["dta", "data"]);
    refused(
        load("data = \"d\"", &[("STEADFAST_MEMROY_MAX", "1GiB")], &[]),
        &["STEADFAST_MEMROY_MAX"],
    );
    refused(flags(&["--memroy-max", "1GiB"]), &["--memroy-max"]);
}

#[test]
fn variables_that_are_not_settings_are_left_alone() {
    let others = [
        ("STEADFAST_LOG", "debug"),
        ("STEADFAST_ENDPOINTS", "http://a:1"),
        ("STEADFAST_SERVICE_HOST", "10.0.0.1"),
        ("STEADFAST_PORT_7301_TCP_ADDR", "10.0.0.1"),
        ("STEADFAST_HTTP_PORT", "tcp://10.0.0.1:7301"),
        ("PATH", "/bin"),
    ];
    assert_eq!(load("data = \"d\"", &others, &[]), flags(&[]));
}

#[test]
fn the_file_can_come_from_the_environment_and_must_be_there() {
    let environment = [("STEADFAST_CONFIG".into(), "/no/such/steadfast.toml".into())];
    let error = Config::load(Flags::default(), environment.into_iter()).expect_err("no file");
    assert!(error.to_string().contains("/no/such/steadfast.toml"), "{error}");
}

#[test]
fn data_has_no_default() {
    refused(load("", &[], &[]), &["data", "--data", "STEADFAST_DATA"]);
    refused(load("data = \"\"", &[], &[]), &["--data"]);
}

#[test]
fn malformed_values_name_their_key() {
    refused(load("memory_max = \"lots\"", &[], &[]), &["memory_max", "512MiB"]);
    refused(load("heartbeat_ms = -1", &[], &[]), &["heartbeat_ms", "negative"]);
    refused(load("segments_max = \"+3\"", &[], &[]), &["segments_max", "whole number"]);
    refused(load("insecure = \"yes\"", &[], &[]), &["insecure", "true"]);
    refused(load("data = ", &[], &[]), &["line 1"]);
    refused(load("", &[("STEADFAST_MEMORY_MAX", "1MB")], &[]), &["STEADFAST_MEMORY_MAX", "MiB"]);
    refused(flags(&["--memory-max", "1MB"]), &["--memory-max", "MiB"]);
}

#[test]
fn sizes_have_units() {
    use super::size::Size;
    for (text, bytes) in [
        ("7", 7),
        ("7B", 7),
        ("64KiB", 64 << 10),
        ("512MiB", 512 << 20),
        ("2GiB", 2 << 30),
        ("1TiB", 1 << 40),
    ] {
        assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
    }
    for text in ["", "MiB", "1 MiB", "1mib", "1MB", "1.5GiB", "-1", "+1", "99999999TiB", "1KiBB"] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
}

#[test]
fn other_machines_reach_a_node_only_if_that_is_meant() {
    for address in ["0.0.0.0:7301", "192.168.1.5:7301", "[::]:7301", "[::ffff:10.0.0.1]:7301"] {
        refused(flags(&["--http", address]), &["http", address, "--insecure", "--token-file"]);
        refused(flags(&["--peer", address]), &["peer", address, "--insecure"]);
    }
    for address in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"]
    {
        assert!(flags(&["--http", address]).is_ok(), "{address}");
    }
    let open = ["--http", "192.168.1.5:7301", "--insecure"];
    assert_eq!(flags(&open).expect("meant").http_advertise.0, "192.168.1.5:7301");
    let (_kept, file) = token_file("0123456789abcdef\n");
    let locked = load(&format!("data = \"d\"\n{file}"), &[], &open[..2]).expect("locked");
    assert!(locked.token.is(b"0123456789abcdef"));
}

/// Makes a token file, and the line of the settings that names it.
fn token_file(text: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), text).expect("a new file");
    let line = format!("token_file = {:?}\n", file.path());
    (file, line)
}

#[test]
fn a_token_that_anyone_could_guess_or_that_is_not_there_is_refused() {
    for (text, word) in [("", "0"), ("short", "5"), ("two words that are long", "visible")] {
        let (_kept, line) = token_file(text);
        let words = ["token_file", word, "/dev/urandom"];
        refused(load(&format!("data = \"d\"\n{line}"), &[], &[]), &words);
    }
    refused(
        load("data = \"d\"", &[("STEADFAST_TOKEN_FILE", "/no/such/file")], &[]),
        &["token_file", "/no/such/file", "cannot be read"],
    );
}

#[test]
fn listeners_have_an_address_and_a_port() {
    for bad in
        ["7301", ":7301", "127.0.0.1", "db1.example:7301", "127.0.0.1:0", "127.0.0.1:99999", ""]
    {
        refused(flags(&["--http", bad]), &["http", bad]);
    }
    refused(flags(&["--http", "127.0.0.1:1", "--peer", "127.0.0.1:1"]), &["peer", "differ"]);
}

#[test]
fn advertised_addresses_can_be_dialled() {
    for good in ["db1.example:7401", "10.0.0.1:7401", "[fd00::1]:7401", "localhost:1"] {
        assert!(flags(&["--advertise-peer", good]).is_ok(), "{good}");
    }
    for bad in [
        "0.0.0.0:7401",
        "[::]:7401",
        "a:0",
        "a",
        "a:",
        ":1",
        "a:+1",
        "http://a:1",
        "::1:7401",
        "a b:1",
        "[a]:1",
        "[::ffff:0.0.0.0]:1",
    ] {
        refused(flags(&["--advertise-peer", bad]), &["advertise_peer", bad]);
        refused(flags(&["--advertise-http", bad]), &["advertise_http", bad]);
    }
    let open = ["--http", "0.0.0.0:7301", "--insecure"];
    refused(flags(&open), &["advertise_http", "0.0.0.0:7301"]);
}

#[test]
fn timers_and_sizes_fit_each_other() {
    let bad =
        |file: &str, words: &[&str]| refused(load(&format!("data=\"d\"\n{file}"), &[], &[]), words);
    bad("heartbeat_ms = 9", &["heartbeat_ms", "at least 10"]);
    bad("heartbeat_ms = 134", &["election_ms_min = 400", "402"]);
    bad("election_ms_min = 600", &["election_ms_max = 600", "601"]);
    bad("election_ms_max = 60001", &["election_ms_max", "60000"]);
    bad("segment_bytes = \"15MiB\"", &["segment_bytes", "16MiB"]);
    bad("segment_bytes = \"2GiB\"", &["segment_bytes", "1GiB"]);
    bad("segments_max = 2", &["segments_max", "at least 3"]);
    bad("segments_max = 5000", &["segments_max", "4096"]);
    bad("log_memory_bytes_max = \"1MiB\"", &["log_memory_bytes_max"]);
    bad("memory_max = 1000", &["memory_max", "1MiB"]);
}

#[test]
fn both_ends_agree_on_values_timeouts_and_slots() {
    use steadfast_cli::api;
    use steadfast_raft::words::{Key, Slot};
    assert_eq!(limits::VALUE_BYTES_MAX, api::VALUE_BYTES_MAX);
    assert_eq!(limits::KEY_BYTES_MAX, api::KEY_BYTES_MAX);
    assert_eq!(limits::READ_TIMEOUT_DEFAULT, api::READ_TIMEOUT_DEFAULT);
    assert_eq!(limits::WRITE_TIMEOUT_DEFAULT, api::WRITE_TIMEOUT_DEFAULT);
    assert_eq!(Slot::COUNT, api::slot::COUNT);
    for key in ["a", "{a}b", "a{}b", "{", "}{", "a{b}{c}", "\u{e9}"] {
        let slot =
            Slot::of(&Key::try_from(bytes::Bytes::from_static(key.as_bytes())).expect("a key"));
        assert_eq!(slot.number(), api::slot::of(key.as_bytes()), "{key}");
    }
}
