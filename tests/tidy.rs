//! The rules of the house that neither the compiler nor clippy can hold.
//!
//! - *Layers*: which module of `raft/` may use which, who may name openraft, sled and axum, and
//!   what the state machine must not know of.
//! - *Chance*: simulations repeat, for nothing in `raft/` draws from a generator without a seed.
//! - *Crates*: who depends on whom.
//! - *Sizes*: lines of a file and of a function.
//! - *Left-overs*: nothing unfinished, nothing that is not ASCII, no test that is never run.
//! - *Documents*: links lead somewhere and the tests they name exist.
//!
//! A rule is a function from one file to its complaints, so each is shown to bite on a small bad
//! input. Code is searched by words: comments do not count, nor do tests where it says so.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Most lines of a file, tests not counted.
const FILE_LINES_MAX: usize = 400;
/// Most lines of a function, its signature and closing brace included.
const FUNCTION_LINES_MAX: usize = 70;

/// Each module of `raft/src`, from the bottom up, and the modules that it may use.
const LAYERS: &[(&str, &str)] = &[
    ("limits", ""),
    ("mutant", ""),
    ("words", "limits"),
    ("runtime", ""),
    ("clock", ""),
    ("disk", "limits mutant"),
    ("net", "limits"),
    ("command", "limits words"),
    ("state", "command limits words"),
    ("wal", "disk limits mutant runtime words"),
    ("snapshot", "disk limits mutant words"),
    ("transport", "limits net runtime words"),
    ("shard", "clock command limits mutant runtime snapshot state transport wal words"),
    (
        "node",
        "clock command disk limits mutant net runtime shard snapshot state transport wal words",
    ),
];

/// Crates that only some of our code may name: the crate, and where.
const CONFINED_CRATES: &[(&str, &[&str])] = &[
    ("openraft", &["raft/src/shard/"]),
    ("openraft_rt", &["raft/src/shard/", "raft/src/runtime/"]),
    ("openraft_rt_tokio", &["raft/src/runtime/"]),
    ("sled", &["raft/src/snapshot/sled"]),
    ("axum", &["src/http/"]),
];

/// What draws from a generator that nobody seeds, or depends on one: a simulation must repeat.
const CHANCES: &[&str] = &["HashMap", "HashSet", "RandomState", "ThreadRng", "thread_rng", "rng()"];

/// What the state machine must not know of, for replicas must agree (D4).
const IMPURE_WORDS: &[&str] = &[
    "async",
    "await",
    "tokio",
    "tracing",
    "openraft",
    "sled",
    "clock",
    "Clock",
    "SystemTime",
    "Instant",
    "rand",
    "getrandom",
    "HashMap",
    "HashSet",
];

/// The crates of the workspace that depend on one another: who, on whom.
const CRATE_EDGES: &[(&str, &str)] = &[
    ("steadfast", "steadfast-cli"),
    ("steadfast", "steadfast-raft"),
    ("steadfast", "steadfast-jepsen"),
    ("steadfast-jepsen", "steadfast-cli"),
];

/// A file of the repository.
struct Source {
    /// From the root of the repository, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    fn is_test(&self) -> bool {
        let mut parts = self.path.split('/');
        parts.any(|part| part == "tests" || part == "tests.rs")
    }

    /// The text that is not tests.
    fn product(&self) -> &str {
        if self.is_test() {
            return "";
        }
        self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
    }

    /// The lines of the product, numbered, without their comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.product().lines().enumerate();
        lines.map(|(i, line)| (i + 1, line.split("//").next().unwrap_or_default()))
    }

    /// The module of `raft/` that the file is part of.
    fn layer(&self) -> Option<&str> {
        let path = self.path.strip_prefix("raft/src/")?;
        let name = path.split('/').next()?.trim_end_matches(".rs");
        (name != "lib").then_some(name)
    }
}

/// A module of `raft/` uses only those that its line in [`LAYERS`] names.
fn layers(source: &Source) -> Vec<String> {
    let Some(layer) = source.layer() else { return Vec::new() };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return vec![format!("{}: `{layer}` has no place in LAYERS", source.path)];
    };
    let mut complaints = Vec::new();
    for (number, line) in source.code() {
        for path in line.split("crate::").skip(1) {
            let used = path.split(|c: char| !is_word(c)).next().unwrap_or_default();
            if used != layer && !allowed.split(' ').any(|name| name == used) {
                let path = &source.path;
                complaints.push(format!("{path}:{number}: `{layer}` must not use `{used}`"));
            }
        }
    }
    complaints
}

/// A confined crate is named only where [`CONFINED_CRATES`] says.
fn confined_crates(source: &Source) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, places) in CONFINED_CRATES {
        if places.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (number, _) in source.code().filter(|(_, line)| names_crate(line, name)) {
            complaints.push(format!("{}:{number}: {name} is not for here", source.path));
        }
    }
    complaints
}

/// The state machine is a pure function of its log.
fn pure_state(source: &Source) -> Vec<String> {
    if source.layer() != Some("state") {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (number, line) in source.code() {
        for word in line.split(|c| !is_word(c)).filter(|word| IMPURE_WORDS.contains(word)) {
            complaints.push(format!("{}:{number}: the state knows no `{word}`", source.path));
        }
    }
    complaints
}

/// In `raft/`, chance is an input (ADR 16): the module `runtime` alone may know other chances.
fn seeded(source: &Source) -> Vec<String> {
    if source.layer().is_none_or(|layer| layer == "runtime") {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    let mut complain = |number, what| complaints.push(format!("{}:{number}: {what}", source.path));
    let mut code = source.code().peekable();
    while let Some((number, line)) = code.next() {
        if CHANCES.iter().any(|chance| line.contains(chance)) {
            complain(number, "chance comes from `runtime::random`");
        }
        if line.contains("tokio::sync") && has_word(line, "watch") {
            complain(number, "tokio wakes in any order; take `runtime::watch`");
        }
        let biased = code.peek().is_some_and(|(_, next)| next.trim() == "biased;");
        if line.contains("select! {") && !biased {
            complain(number, "a `select!` says `biased;`");
        }
    }
    complaints
}

/// The wall clock has one door.
fn one_clock(source: &Source) -> Vec<String> {
    if source.path == "raft/src/clock.rs" {
        return Vec::new();
    }
    let reads = source.code().filter(|(_, line)| has_word(line, "SystemTime"));
    reads.map(|(number, _)| format!("{}:{number}: take a Clock", source.path)).collect()
}

/// A file is short enough to be read at one go.
fn file_size(source: &Source) -> Vec<String> {
    let lines = source.product().lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines, more than {FILE_LINES_MAX}", source.path)]
}

/// A function fits on a screen. In formatted code it ends at the first line that closes a brace
/// at its own indentation; one without a body ends with its signature.
fn function_size(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut complaints = Vec::new();
    for (first, line) in lines.iter().enumerate().filter(|(_, line)| starts_function(line)) {
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = |line: &&str| {
            let rest = line.strip_prefix(indent).unwrap_or_default();
            rest.starts_with('}') || (!rest.starts_with(' ') && rest.ends_with([';', '}']))
        };
        let length = 1 + lines[first..].iter().position(ends).unwrap_or_default();
        if FUNCTION_LINES_MAX < length {
            complaints.push(format!("{}:{}: a function of {length} lines", source.path, first + 1));
        }
    }
    complaints
}

/// Nothing is left for later, and nothing hides in a letter that looks like another.
fn left_overs(source: &Source) -> Vec<String> {
    // Spelled in two halves: this file is searched too.
    const MARKS: &[&str] = &[
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("db", "g!"),
        concat!("#[ig", "nore"),
    ];
    let mut complaints = Vec::new();
    for (i, line) in source.text.lines().enumerate() {
        let at = format!("{}:{}", source.path, i + 1);
        for mark in MARKS.iter().filter(|mark| line.contains(**mark)) {
            complaints.push(format!("{at}: {mark}"));
        }
        if !line.is_ascii() {
            complaints.push(format!("{at}: not ASCII"));
        }
    }
    complaints
}

/// A crate's manifest takes the lints of the workspace: cargo does not do that by itself.
fn manifest_lints(manifest: &Source) -> Vec<String> {
    if manifest.text.contains("[lints]\nworkspace = true\n") {
        return Vec::new();
    }
    vec![format!("{}: lacks `[lints] workspace = true`", manifest.path)]
}

/// A document's links to files lead somewhere, by the judgement of `exists`.
fn links(document: &Source, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let folder = document.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let targets = document.text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    let paths = files.map(|target| target.split('#').next().unwrap_or_default());
    let dead = paths.filter(|path| !exists(&format!("{folder}/{path}")));
    dead.map(|path| format!("{}: {path} is not there", document.path)).collect()
}

/// The tests that a document names exist. It names one as `` test `name` ``, with or without the
/// modules that lead to it.
fn named_tests(document: &Source, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let named = document.text.split("test `").skip(1).filter_map(|rest| rest.split('`').next());
    let missing = named.filter(|path| !exists(path.rsplit("::").next().unwrap_or_default()));
    missing.map(|name| format!("{}: there is no test {name}", document.path)).collect()
}

/// The crates depend on one another as [`CRATE_EDGES`] says, and plain `cargo test` runs them all.
fn crate_graph(metadata: &serde_json::Value) -> Vec<String> {
    let mut complaints = Vec::new();
    if count(&metadata["workspace_default_members"]) != count(&metadata["workspace_members"]) {
        complaints.push("default-members must list every member".to_owned());
    }
    let packages = metadata["packages"].as_array().expect("cargo lists packages");
    let names: Vec<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    for package in packages {
        let name = package["name"].as_str().expect("a package has a name");
        let dependencies = package["dependencies"].as_array().expect("cargo lists dependencies");
        let on: Vec<&str> = dependencies.iter().filter_map(|one| one["name"].as_str()).collect();
        for other in on.into_iter().filter(|other| names.contains(other)) {
            if !CRATE_EDGES.contains(&(name, other)) {
                complaints.push(format!("{name} must not depend on {other}"));
            }
        }
    }
    complaints
}

fn count(list: &serde_json::Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

fn has_word(line: &str, word: &str) -> bool {
    line.split(|c| !is_word(c)).any(|other| other == word)
}

/// Whether a line names the crate, rather than a module of ours that is called like it.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        let starts = !before.ends_with(is_word) && !before.ends_with("::");
        starts && (after.starts_with("::") || (before.ends_with("use ") && after.starts_with(';')))
    })
}

fn starts_function(line: &str) -> bool {
    let before = line.split("fn ").next().unwrap_or_default();
    let words = ["", "pub", "pub(crate)", "pub(super)", "const", "async"];
    line.contains("fn ") && before.trim().split(' ').all(|word| words.contains(&word))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the repository whose names end so. Hidden folders and what is built stay out.
fn sources(ending: &str) -> Vec<Source> {
    let mut folders = vec![root().to_owned()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the repository can be read") {
            let path = entry.expect("the repository can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') || name == "target" {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(ending) {
                sources.push(read(&path));
            }
        }
    }
    assert!(!sources.is_empty(), "no file ends with {ending}");
    sources
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("the repository can be read");
    let path = path.strip_prefix(root()).expect("it lies under the root");
    Source { path: path.to_string_lossy().into_owned(), text }
}

fn metadata() -> serde_json::Value {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    serde_json::from_slice(&cargo.stdout).expect("cargo metadata prints JSON")
}

#[track_caller]
fn check(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn modules_use_only_what_lies_below_them() {
    check(sources(".rs").iter().flat_map(layers));
}

#[test]
fn crates_are_named_only_where_they_belong() {
    check(sources(".rs").iter().flat_map(confined_crates));
}

#[test]
fn the_state_is_pure_and_one_file_reads_the_clock() {
    let sources = sources(".rs");
    check(sources.iter().flat_map(|source| [pure_state(source), one_clock(source)].concat()));
}

#[test]
fn chance_is_an_input() {
    check(sources(".rs").iter().flat_map(seeded));
}

#[test]
fn files_and_functions_are_short() {
    let sources = sources(".rs");
    check(sources.iter().flat_map(|source| [file_size(source), function_size(source)].concat()));
}

#[test]
fn nothing_is_left_over() {
    check(sources(".rs").iter().chain(&sources(".toml")).flat_map(left_overs));
}

#[test]
fn crates_depend_only_as_drawn_and_share_their_lints() {
    let manifests = sources("Cargo.toml");
    check(crate_graph(&metadata()).into_iter().chain(manifests.iter().flat_map(manifest_lints)));
}

#[test]
fn documents_point_at_what_exists() {
    let code = sources(".rs");
    let defines = |name: &str| code.iter().any(|file| file.text.contains(&format!("fn {name}(")));
    let exists = |path: &str| root().join(path.trim_start_matches('/')).exists();
    let documents = sources(".md");
    check(
        documents.iter().flat_map(|one| [links(one, exists), named_tests(one, defines)].concat()),
    );
}

/// The book has every document in `docs/`.
#[test]
fn every_document_is_in_the_book() {
    let summary = read(&root().join("docs/SUMMARY.md")).text;
    let documents = sources(".md");
    let paths = documents.iter().filter_map(|one| one.path.strip_prefix("docs/"));
    let lacks = |path: &&str| *path != "SUMMARY.md" && !summary.contains(&format!("]({path})"));
    check(paths.filter(lacks).map(|path| format!("docs/SUMMARY.md lacks {path}")));
}

/// Each rule complains once about a small bad input and lets a good one pass.
mod bite {
    use super::*;

    #[track_caller]
    fn bites(rule: impl Fn(&Source) -> Vec<String>, path: &str, bad: &str, good: &str) {
        assert_eq!(rule(&Source::new(path, bad)).len(), 1, "{bad}");
        assert_eq!(rule(&Source::new(path, good)), [""; 0], "{good}");
    }

    #[test]
    fn layers_bite() {
        let wal = "raft/src/wal/mod.rs";
        bites(layers, wal, "use crate::shard::Shard;", "use crate::disk::Disk;");
        bites(layers, wal, "use crate::{disk, shard};", "use crate::wal::Log; // crate::shard");
        assert_eq!(layers(&Source::new("raft/src/manager.rs", "")).len(), 1);
        assert_eq!(layers(&Source::new("raft/src/wal/tests.rs", "use crate::node;")), [""; 0]);
    }

    #[test]
    fn confined_crates_bite() {
        let server = "src/server.rs";
        bites(confined_crates, server, "use sled::Db;", "use steadfast_raft::snapshot::sled::X;");
        bites(confined_crates, server, "use axum;", "let filter = \"axum=warn\";");
        bites(confined_crates, "raft/src/wal/mod.rs", "x(openraft::Y)", "// openraft::Y");
    }

    #[test]
    fn purity_bites() {
        let state = "raft/src/state/mod.rs";
        bites(pure_state, state, "let m: HashMap<K, V>;", "let m: OrdMap<K, V>;");
        bites(pure_state, state, "async fn apply() {}", "fn apply() {} // never async");
        bites(one_clock, "src/server.rs", "SystemTime::now()", "clock.wall_ms()");
    }

    #[test]
    fn seeds_bite() {
        let wal = "raft/src/wal/mod.rs";
        bites(seeded, wal, "let m: HashMap<K, V>;", "let m: BTreeMap<K, V>;");
        bites(seeded, wal, "rand::rng().random()", "runtime::random().random()");
        bites(seeded, wal, "use tokio::sync::{mpsc, watch};", "use crate::runtime::watch;");
        bites(seeded, wal, "tokio::select! {\n}", "tokio::select! {\n    biased;\n}");
    }

    #[test]
    fn sizes_bite() {
        let lines = |count| "//\n".repeat(count);
        bites(file_size, "src/main.rs", &lines(401), &lines(400));
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(401));
        assert_eq!(file_size(&Source::new("src/main.rs", &tests)), [""; 0]);
        let function = |count| format!("    pub fn f(\n    ) {{\n{}    }}\n", lines(count));
        bites(function_size, "src/main.rs", &function(68), &function(67));
        let bodiless = format!("    fn f(\n    ) -> u8;\n{}", lines(100));
        assert_eq!(function_size(&Source::new("src/main.rs", &bodiless)), [""; 0]);
        let short = format!("fn f() {{}}\n{}", lines(100));
        assert_eq!(function_size(&Source::new("src/main.rs", &short)), [""; 0]);
    }

    #[test]
    fn left_overs_bite() {
        bites(left_overs, "src/main.rs", concat!("// TO", "DO: later"), "// to do nothing");
        bites(left_overs, "src/main.rs", concat!("#[ig", "nore]"), "ignore(this)");
        bites(left_overs, "Cargo.toml", "# \u{2013}", "# -");
    }

    #[test]
    fn manifests_bite() {
        bites(manifest_lints, "Cargo.toml", "[lints]\n", "[lints]\nworkspace = true\n");
        let package = |name: &str, on: &str| {
            let dependencies = serde_json::json!([{ "name": on }]);
            serde_json::json!({ "name": name, "dependencies": dependencies })
        };
        let metadata = |edge, default| {
            serde_json::json!({
                "packages": [edge, package("steadfast-raft", "sled")],
                "workspace_members": [1, 2],
                "workspace_default_members": default,
            })
        };
        let (good, bad) = ("steadfast", "steadfast-cli");
        let graph = |name, default: &[u8]| {
            crate_graph(&metadata(package(name, "steadfast-raft"), default.to_vec()))
        };
        assert_eq!(graph(good, &[1, 2]), [""; 0]);
        assert_eq!(graph(bad, &[1, 2]).len(), 1);
        assert_eq!(graph(good, &[1]).len(), 1);
    }

    #[test]
    fn documents_bite() {
        let exists = |path: &str| path == "docs/http.md";
        let rule = |document: &Source| links(document, exists);
        bites(rule, "docs/log.md", "[x](no.md#y)", "[x](http.md#y), [y](#z), [z](https://a.b)");
        let rule = |document: &Source| named_tests(document, |name| name == "layers_bite");
        bites(rule, "docs/log.md", "test `none`", "test `bite::layers_bite`, `none`");
    }
}
