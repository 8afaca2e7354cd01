//! The settings by name: what documents say of them, and what a misspelt one was meant to be.

use std::ffi::OsString;

use super::layer::{CONFIG_ENV, OTHERS, PREFIX};

/// Most typing errors that are taken for such.
const TYPOS_MAX: usize = 2;

/// A setting, as it is documented.
#[cfg_attr(not(test), expect(dead_code, reason = "a test holds the documents to it"))]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// In the settings file; in capitals behind `STEADFAST_` in the environment.
    pub(crate) name: &'static str,
    /// Whether there is a flag of that name.
    pub(crate) flag: bool,
    pub(crate) default: &'static str,
    /// What its value is.
    pub(crate) unit: &'static str,
    pub(crate) what: &'static str,
}

const fn flag(
    name: &'static str,
    default: &'static str,
    unit: &'static str,
    what: &'static str,
) -> Key {
    Key { name, flag: true, default, unit, what }
}

const fn no_flag(
    name: &'static str,
    default: &'static str,
    unit: &'static str,
    what: &'static str,
) -> Key {
    Key { name, flag: false, default, unit, what }
}

/// All settings, in the order in which they are documented.
pub(crate) const KEYS: &[Key] = &[
    flag("data", "none; required", "path", "the data directory"),
    flag("http", "127.0.0.1:7301", "address", "where to listen for clients"),
    flag("peer", "127.0.0.1:7401", "address", "where to listen for the other nodes"),
    flag("advertise_http", "as `http`", "host:port", "where clients reach this node"),
    flag("advertise_peer", "as `peer`", "host:port", "where the other nodes reach this one"),
    flag(
        "insecure",
        "false",
        "true or false",
        "listen on addresses that other machines reach, without a token",
    ),
    flag(
        "token_file",
        "none",
        "path",
        "what clients and nodes must know: [the token](operate.md#the-token)",
    ),
    flag(
        "memory_max",
        "none",
        "bytes",
        "refuse writes that would make the data on this node, of all shards together, larger; at \
         least 1MiB",
    ),
    no_flag(
        "heartbeat_ms",
        "100",
        "milliseconds",
        "time between a leader's heartbeats; at least 10",
    ),
    no_flag(
        "election_ms_min",
        "400",
        "milliseconds",
        "least time without a leader before a follower campaigns; at least 3 heartbeats",
    ),
    no_flag(
        "election_ms_max",
        "600",
        "milliseconds",
        "most such time, at most a minute; also the lease: so long after its start a node takes no \
         part in elections",
    ),
    no_flag("segment_bytes", "64MiB", "bytes", "size of a segment of the log; 16MiB to 1GiB"),
    no_flag(
        "segments_max",
        "8",
        "count",
        "segments past which shards that pin the oldest must snapshot; at twice as many, writes are \
         refused",
    ),
    no_flag("log_memory_bytes_max", "192MiB", "bytes", "log entries kept in memory; at least 8MiB"),
];

/// Returns the hint to add to a refusal of a key that is not known, or nothing.
pub(super) fn hint(message: &str) -> String {
    let unknown = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let meant = unknown.and_then(|unknown| nearest(unknown, KEYS.iter().map(|key| key.name)));
    meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default()
}

/// Returns what there is to say of variables that nobody reads and that look like one that somebody
/// does.
pub(crate) fn misspelt(environment: impl Iterator<Item = (OsString, OsString)>) -> Vec<String> {
    let own = KEYS.iter().map(|key| format!("{PREFIX}{}", key.name.to_uppercase()));
    let others = OTHERS.iter().chain([&CONFIG_ENV]).map(|name| (*name).to_owned());
    let known: Vec<String> = own.chain(others).collect();
    let ours = environment.filter_map(|(name, _)| {
        name.to_str().filter(|name| name.starts_with(PREFIX)).map(str::to_owned)
    });
    ours.filter(|name| !known.contains(name))
        .filter_map(|name| {
            let meant = nearest(&name, known.iter().map(String::as_str))?;
            Some(format!("{name} is not known and has no effect; did you mean {meant}?"))
        })
        .collect()
}

fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |other: &str| strsim::damerau_levenshtein(word, other);
    let near = known.map(|other| (distance(other), other));
    near.filter(|(distance, _)| *distance <= TYPOS_MAX).min().map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Layer;

    #[test]
    fn these_are_the_settings_and_the_document_says_of_each_what_the_code_does() {
        let error = toml::from_str::<Layer>("nonsense = 1").expect_err("no such key").to_string();
        let expected = error.split("expected one of ").nth(1).expect("serde lists the keys");
        let mut known: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
        let mut listed: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        known.sort_unstable();
        listed.sort_unstable();
        assert_eq!(listed, known);
        let row = |key: &Key| {
            let flag = if key.flag {
                format!("<br>`--{}`", key.name.replace('_', "-"))
            } else {
                String::new()
            };
            let variable = format!("{PREFIX}{}", key.name.to_uppercase());
            let Key { name, default, unit, what, .. } = key;
            format!("| `{name}`{flag}<br>`{variable}` | {unit} | {default} | {what} |\n")
        };
        let table: String = KEYS.iter().map(row).collect();
        let document = include_str!("../../docs/settings.md");
        assert!(document.contains(&table), "docs/settings.md must have this table:\n{table}");
        for variable in OTHERS.iter().chain([&CONFIG_ENV]) {
            let row = format!("\n| `{variable}` | ");
            assert!(document.contains(&row), "docs/settings.md lacks {variable}");
        }
    }

    #[test]
    fn what_is_misspelt_is_told_what_was_meant() {
        let one = |name: &str| misspelt([(name.into(), "x".into())].into_iter());
        assert!(one("STEADFAST_ENDPOINT")[0].contains("mean STEADFAST_ENDPOINTS?"));
        assert!(one("STEADFAST_TOKN_FILE")[0].contains("mean STEADFAST_TOKEN_FILE?"));
        for fine in ["STEADFAST_ENDPOINTS", "STEADFAST_SERVICE_HOST", "STEADFAST_TEST_SEED", "PATH"]
        {
            assert_eq!(one(fine), [""; 0], "{fine}");
        }
        assert_eq!(hint("unknown field `memroy_max`, expected"), "; did you mean `memory_max`?");
        assert_eq!(hint("unknown field `colour`, expected"), "");
        assert_eq!(hint("invalid type"), "");
    }
}
