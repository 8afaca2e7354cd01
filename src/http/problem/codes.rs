//! Every code, and what to do about it: what `docs/troubleshooting.md` says.

/// A code, as it is documented.
#[cfg_attr(not(test), expect(dead_code, reason = "a test holds the documents to it"))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Code {
    pub(super) name: &'static str,
    /// The statuses that it comes with.
    pub(super) statuses: &'static [u16],
    pub(super) means: &'static str,
    pub(super) next: &'static str,
}

const fn code(
    name: &'static str,
    statuses: &'static [u16],
    means: &'static str,
    next: &'static str,
) -> Code {
    Code { name, statuses, means, next }
}

/// Returns whether a code is documented.
pub(super) fn is_documented(name: &str) -> bool {
    CODES.iter().any(|code| code.name == name)
}

/// All codes, by name.
pub(super) const CODES: &[Code] = &[
    code(
        "answer-too-large",
        &[422],
        "a transaction finds more than an answer holds",
        "read fewer values in one transaction",
    ),
    code("bad-bounds", &[400], "`min` is above `max`", "swap them"),
    code(
        "bad-condition",
        &[400],
        "a condition is malformed, contradicts another, or is none of this request",
        "send an ETag as it came, one condition for a key; in a transaction all under `if`",
    ),
    code(
        "bad-consistency",
        &[400],
        "there is no such consistency",
        "`linearizable`, `lease` or `stale`",
    ),
    code(
        "bad-cursor",
        &[400],
        "the cursor was changed, or is another cluster's",
        "send the cursor of the page before as it was, or begin anew",
    ),
    code(
        "bad-init",
        &[400],
        "the list cannot be a cluster",
        "at least three different addresses, as the nodes announce them",
    ),
    code(
        "bad-json",
        &[400],
        "the body is no JSON, or not of this shape",
        "`detail` has line and column, `hint` an example",
    ),
    code("bad-key", &[400], "a key is empty or too long", "1 to 1024 bytes"),
    code(
        "bad-key64",
        &[400],
        "no key is named, or `key64` is no base64url",
        "name the key in the path, or send its base64url",
    ),
    code(
        "bad-line",
        &[400],
        "a line of an import cannot be read; what was before it is imported",
        "mend the line that `detail` names, and import again from there",
    ),
    code(
        "bad-manifest",
        &[400],
        "what is imported does not begin as an export does, or as one of this version",
        "send what `GET /v1/export` answered, its first line included",
    ),
    code(
        "bad-max-staleness",
        &[400],
        "the bound is malformed, or the read is not stale",
        "`consistency=stale&max_staleness=500ms`",
    ),
    code(
        "bad-min-revision",
        &[400],
        "the revision is malformed, or the read is not stale",
        "`consistency=stale&min_revision=42`",
    ),
    code(
        "bad-parameter",
        &[400],
        "a parameter has a value that it cannot have",
        "`detail` names it",
    ),
    code(
        "bad-percent-encoding",
        &[400],
        "a `%` without two hexadecimal digits",
        "write `%` itself as `%25`",
    ),
    code(
        "bad-route",
        &[400],
        "no such `Steadfast-Route`, or none for this request",
        "leave it out, or `proxy`, `redirect`, `local`",
    ),
    code(
        "bad-timeout",
        &[400],
        "the timeout is malformed or out of bounds",
        "`timeout=500ms`, up to `30s`",
    ),
    code(
        "bad-ttl",
        &[400],
        "the time to live is malformed or out of bounds",
        "`ttl=60s`, from 1 ms to a hundred years",
    ),
    code(
        "bad-value",
        &[400],
        "a value in JSON is missing, there twice, or no base64url",
        "either `value` or `value64`",
    ),
    code(
        "bad-wait",
        &[400],
        "the wait is malformed or out of bounds, or there is no ETag to wait for another",
        "`wait=30s` with `If-None-Match`",
    ),
    code(
        "body-incomplete",
        &[400],
        "the body ended before its length",
        "look at what is between client and node",
    ),
    code(
        "body-timeout",
        &[408],
        "the body did not come within the timeout",
        "a longer `timeout`, or a faster way",
    ),
    code(
        "cross-slot",
        &[422],
        "a transaction has keys of several slots",
        "give its keys one `{tag}`, or use a batch",
    ),
    code(
        "disk-full",
        &[409, 507],
        "the disk of the node named is full",
        "make room; reads go on. 409: let another node lead",
    ),
    code(
        "draining",
        &[409],
        "the node is on its way out and takes no leadership",
        "name another node",
    ),
    code(
        "foreign-origin",
        &[403],
        "a page of another site sent this",
        "send it from a program, or from a page of this address",
    ),
    code(
        "founding",
        &[503],
        "the cluster is being founded",
        "wait a moment; if it lasts, repeat `cluster init`",
    ),
    code(
        "halted",
        &[503],
        "the shard has stopped on that node, which does not trust its disk",
        "read the node's standard error; other nodes serve",
    ),
    code(
        "head-too-large",
        &[431],
        "the headers are too large or too many",
        "send fewer; see `GET /v1/limits`",
    ),
    code(
        "import-stopped",
        &[409],
        "an import was stopped after some of its lines: those before the one named are imported, none from it on",
        "see to the cause, and send the lines from there on with `first_line`",
    ),
    code(
        "init-conflict",
        &[409],
        "a node of the list belongs to a cluster already",
        "see [found the cluster](operate.md#found-the-cluster)",
    ),
    code(
        "init-unfinished",
        &[504],
        "not all nodes could be founded yet",
        "see that they run and reach each other, and repeat it",
    ),
    code(
        "internal",
        &[500],
        "the node has a defect",
        "its standard error has the panic; read back what you wrote, and report it",
    ),
    code("just-started", &[409], "the node is up for less than a lease", "try again in a second"),
    code(
        "key-needs-key64",
        &[400],
        "proxies would rewrite this path",
        "`hint` has the path to use",
    ),
    code(
        "key-not-found",
        &[404],
        "there is no such key",
        "nothing is wrong: it never was, was deleted, or has expired",
    ),
    code("lagging", &[409], "the node has not caught up", "wait, then try again"),
    code("log-full", &[503], "the log waits for a snapshot", "is a node down, or its disk slow?"),
    code(
        "membership-changing",
        &[409],
        "the shard's voters are changing",
        "wait until that is done",
    ),
    code(
        "memory-full",
        &[507],
        "the data has reached `memory_max`",
        "delete keys, or raise it; reads and deletes go on",
    ),
    code(
        "method-not-allowed",
        &[405],
        "the route does not know the method",
        "`Allow` lists those that it knows",
    ),
    code(
        "no-answer",
        &[503],
        "a client's own word, of an item: the node that it went to did not answer",
        "ask again for that key",
    ),
    code(
        "no-cluster",
        &[503],
        "the node belongs to no cluster",
        "was `cluster init` run? Is its data directory the right one?",
    ),
    code(
        "no-leader",
        &[503],
        "the shard has no leader that a majority confirms",
        "is a majority up, and do nodes reach each other's peer ports? `steadfast cluster status`",
    ),
    code(
        "no-such-node",
        &[404],
        "the cluster has no such node",
        "`steadfast cluster status` lists them",
    ),
    code("no-such-route", &[404], "there is nothing at this path", "see [HTTP](http.md)"),
    code(
        "no-such-shard",
        &[404],
        "the cluster, or this node, has no such shard",
        "`steadfast shard list`",
    ),
    code(
        "not-a-number",
        &[409],
        "what is stored is no number of 64 bits",
        "store one, or use another key",
    ),
    code(
        "not-a-voter",
        &[409],
        "the node keeps no voting replica of the shard",
        "`steadfast shard show` lists those that vote",
    ),
    code("not-json", &[415], "the `Content-Type` is not `application/json`", "send it"),
    code(
        "not-led-here",
        &[421],
        "another node leads, and `local` forbids to forward",
        "ask the `leader` named",
    ),
    code(
        "not-ndjson",
        &[415],
        "an import's `Content-Type` is not `application/x-ndjson`",
        "send it",
    ),
    code(
        "not-ready",
        &[503],
        "`/readyz`: the node should not be sent requests",
        "`detail` says what it waits for",
    ),
    code(
        "outcome-unknown",
        &[500, 504],
        "nobody knows whether the write took effect",
        "read the key back: see [outcomes](guarantees.md#outcomes-of-a-write)",
    ),
    code("overflow", &[409], "the sum would not fit into 64 bits", "nothing was counted"),
    code("overloaded", &[503], "too much waits at the node", "send less, or wait and retry"),
    code("past-bound", &[409], "the sum would pass `min` or `max`", "nothing was counted"),
    code(
        "precondition-failed",
        &[412],
        "the condition does not hold",
        "read the key, and decide anew",
    ),
    code(
        "repeated-parameter",
        &[400],
        "a parameter is there twice, or beside one that it excludes",
        "send one of them",
    ),
    code(
        "response-full",
        &[503],
        "an item's value has no room in the answer",
        "ask again for that key",
    ),
    code(
        "snapshot-failed",
        &[503],
        "the snapshot was not taken",
        "the earlier ones stand; look at the node's disk",
    ),
    code("snapshot-unfinished", &[504], "the snapshot goes on", "ask again"),
    code(
        "snapshot-waiting",
        &[504],
        "the snapshot waits for its turn",
        "ask again, or with a longer `timeout`",
    ),
    code("stopping", &[503], "the node is shutting down", "retry at another"),
    code(
        "target-too-long",
        &[414],
        "path and query are too long",
        "see `GET /v1/limits`; many keys go to `/v1/mget`",
    ),
    code(
        "too-large",
        &[413],
        "the body, or what it holds, is too large",
        "split it; see `GET /v1/limits`",
    ),
    code(
        "too-many-items",
        &[422],
        "there are no items, or more than a request may have",
        "split it; see `GET /v1/limits`",
    ),
    code(
        "too-stale",
        &[503],
        "the replica is older than `max_staleness`, or of unknown age",
        "allow more, or read at a node that reaches the leader",
    ),
    code(
        "transfer-unfinished",
        &[504],
        "the node was not seen to lead in time",
        "`steadfast cluster status`, then ask again",
    ),
    code(
        "unauthorized",
        &[401],
        "the token is missing or wrong",
        "is it the [token](operate.md#the-token) that the nodes were started with?",
    ),
    code(
        "unknown-parameter",
        &[400],
        "the request does not take this parameter",
        "`hint` lists those that it takes",
    ),
    code("unreachable", &[409], "the node does not answer", "see that it runs, then try again"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// Words of other meaning that look like codes.
    const OTHERS: [&str; 5] =
        ["no-store", "no-cache", "content-type", "cache-control", "steadfast-route"];

    /// Returns all that the server's code has, but for tests.
    fn sources(folder: &Path, found: &mut String) {
        for entry in fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("a file").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() && !["openapi", "tests"].contains(&name) {
                sources(&path, found);
            } else if name.ends_with(".rs") && !["tests.rs", "codes.rs"].contains(&name) {
                let text = fs::read_to_string(&path).expect("text");
                found.push_str(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
            }
        }
    }

    fn all_sources() -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let words = fs::read_to_string(root.join("cli/src/api/problem.rs")).expect("text");
        let mut found = words.split("/// Why a request has no").next().unwrap_or("").to_owned();
        sources(&root.join("src/http"), &mut found);
        found
    }

    #[test]
    fn every_code_in_the_sources_is_documented_and_every_documented_one_is_there() {
        let sources = all_sources();
        let words = |word: &&str| {
            let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            word.contains('-') && word.split('-').all(|it| !it.is_empty() && it.bytes().all(lower))
        };
        for word in sources.split('"').skip(1).filter(words) {
            assert!(OTHERS.contains(&word) || is_documented(word), "CODES lacks {word}");
        }
        for code in CODES {
            assert!(sources.contains(&format!("\"{}\"", code.name)), "nobody says {}", code.name);
        }
        assert!(CODES.is_sorted_by_key(|code| code.name));
    }

    #[test]
    fn the_document_says_of_each_what_it_means_and_what_to_do() {
        let row = |code: &Code| {
            let statuses: Vec<_> = code.statuses.iter().map(u16::to_string).collect();
            let (name, statuses) = (code.name, statuses.join(", "));
            format!("| `{name}` | {statuses} | {} | {} |\n", code.means, code.next)
        };
        let table: String = CODES.iter().map(row).collect();
        let document = include_str!("../../../docs/troubleshooting.md");
        assert!(
            document.contains(&table),
            "docs/troubleshooting.md must have this table:\n{table}"
        );
    }
}
