//! The phases of a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};

use super::compare::Compare;
use super::found::{cluster, found, wait_whole};
use super::progress::{say, show};
use super::{Options, Outcome, RunError};
use crate::env::{self, Env, Kind, Plan};
use crate::folder::{HISTORY, RUN, SCHEDULE, SETTINGS};
use crate::history::Recorder;
use crate::judge::Settings;
use crate::nemesis::Nemesis;
use crate::nemesis::cluster::Observer;
use crate::nemesis::driver::Driver;
use crate::nemesis::schedule::Schedule;
use crate::workload::{Shared, Target, Workload};

/// How long the final reads may take if not every node serves.
const UNSERVED_READ_MAX: Duration = Duration::from_secs(15);

/// Carries out a run. Its history is complete then, and not judged.
pub async fn run(options: &Options) -> Result<Outcome, RunError> {
    let mut outcome = Outcome { ours: true, ..Outcome::default() };
    let nemeses = usable(options, &mut outcome);
    let main_ms = u64::try_from(options.time.as_millis()).unwrap_or(u64::MAX);
    let schedule = options.schedule.clone().unwrap_or_else(|| {
        Schedule::draw(&nemeses, options.nodes, options.shards, main_ms, options.seed)
    });
    let mut settings = set_down(options, &schedule)?;
    let mut env = environment(options).await?;
    let observer = found(&mut env, options.shards).await?;
    say(options.quiet, &format!("{} nodes and {} shards are up", options.nodes, options.shards));
    let recorder = recorder(&options.folder)?;
    let targets =
        env.nodes.iter().map(|node| Target { id: node.place.id, endpoint: node.endpoint() });
    let shared = Arc::new(Shared::new(
        Arc::clone(&recorder),
        targets.collect(),
        "r".to_owned(),
        options.seed,
        options.workload.keys(options.shards),
    ));
    let compare = Compare::new(&shared.nodes, &recorder, None).map_err(|error| cluster(&error))?;
    let mut driver = Driver::new(env, observer.clone(), options.shards, Arc::clone(&recorder));
    if schedule.kinds().contains(&Nemesis::OldDirectory) {
        driver.keep_directories()?;
    }
    let worked = async {
        let clients = options.workload.start(&shared, options.concurrency);
        tokio::time::sleep(options.healthy).await;
        let ends = Instant::now() + options.time;
        driver.follow(&schedule).await?;
        tokio::time::sleep_until(ends).await;
        driver.heal().await?;
        let (left, observer) = left(&driver.env)?;
        let served = wait_whole(&observer).await;
        // That nodes serve is not yet that clients were served, at every shard.
        tokio::time::sleep(options.healthy).await;
        Workload::finish(&shared, clients).await;
        say(options.quiet, "all is healed; every key is read through every node");
        read_all(options, &shared, served.is_some()).await;
        let compared = compare.settle(&observer, &left).await;
        Ok::<_, RunError>((served, compared))
    };
    let (served, compared) = tokio::select! {
        biased;
        worked = worked => worked?,
        never = show(options.quiet, &shared.counts) => match never {},
        never = compare.watch(options.shards) => match never {},
    };
    // Those that refuse to go on are not compared, nor those without a replica of anything.
    if !compared.is_empty() {
        settings.minima.nodes = compared;
        write_json(&options.folder.join(SETTINGS), &json!(settings))?;
    }
    outcome.served_after_ms = served.map(|after| u64::try_from(after.as_millis()).unwrap_or(0));
    outcome.faults = driver.tally().clone();
    finish(driver.env, options, &shared, &mut outcome).await?;
    Ok(outcome)
}

/// Returns the nodes that have not refused to go on, and who looks at them.
fn left(env: &Env) -> Result<(Vec<u32>, Observer), RunError> {
    let left = env.nodes.iter().filter(|node| node.refused.is_none());
    let (ids, endpoints): (Vec<_>, Vec<_>) =
        left.map(|node| (node.place.id, node.endpoint())).unzip();
    Ok((ids, Observer::new(&endpoints, None).map_err(|error| cluster(&error))?))
}

/// Writes down the faults and how the run is to be judged, before it begins.
fn set_down(options: &Options, schedule: &Schedule) -> Result<Settings, RunError> {
    write_json(&options.folder.join(SCHEDULE), &json!(schedule))?;
    let mut settings = options.settings(schedule);
    settings.minima.shards = options.shards;
    settings.minima.nodes = (1..=options.nodes).collect();
    write_json(&options.folder.join(SETTINGS), &json!(settings))?;
    Ok(settings)
}

/// Makes what the nodes live in, once what earlier runs left behind is gone.
async fn environment(options: &Options) -> Result<Env, RunError> {
    if options.kind == Kind::Netns {
        for run in env::heal()? {
            say(options.quiet, &format!("healed what the run {run} had left behind"));
        }
    }
    let plan = Plan {
        kind: options.kind,
        nodes: options.nodes,
        folder: options.folder.clone(),
        program: options.program.clone(),
        environment: options.environment.clone(),
        commit_s: options.commit_s,
    };
    Ok(Env::make(&plan).await?)
}

/// Reads every key through every node. What is not read in time stays unread where not every node
/// serves: one that does not answers nothing.
async fn read_all(options: &Options, shared: &Arc<Shared>, served: bool) {
    let reading = options.workload.read_all(shared);
    if served {
        reading.await;
    } else {
        drop(timeout(UNSERVED_READ_MAX, reading).await);
    }
}

/// Returns the faults that can be done here, and says which cannot.
fn usable(options: &Options, outcome: &mut Outcome) -> Vec<Nemesis> {
    let mut usable = Vec::new();
    for &nemesis in &options.nemeses {
        match options.probe.missing(nemesis, options.kind) {
            Some(why) => {
                say(options.quiet, &format!("skipped: {}: {why}", nemesis.name()));
                outcome.skipped.insert(nemesis.name(), why);
            }
            None => usable.push(nemesis),
        }
    }
    usable
}

/// Stops the nodes, removes what they lived in, and writes down what came of it.
async fn finish(
    mut env: Env,
    options: &Options,
    shared: &Shared,
    outcome: &mut Outcome,
) -> Result<(), RunError> {
    // All at once: each may take seconds to see its clients off.
    for node in &mut env.nodes {
        if !node.reap() {
            node.ask_to_end();
        }
    }
    for node in &mut env.nodes {
        let id = node.place.id;
        if let Some(line) = &node.refused {
            outcome.refused.push(format!("n{id} refused to go on, as it must: {line}"));
        } else if !node.is_down() && !node.end().await {
            outcome.ended.push(format!("n{id}: did not stop as it should when asked to"));
        }
        let ended =
            node.ended.iter().map(|how| format!("n{id} ended by itself, {how}: see n{id}.log"));
        outcome.ended.extend(ended);
        let log = fs::read(&node.place.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let panics = log.lines().filter(|line| line.contains("panicked"));
        outcome.panics.extend(panics.map(|line| format!("n{id}: {line}")));
    }
    env.remove(false)?;
    conclude(options, shared, outcome)
}

pub(super) fn conclude(
    options: &Options,
    shared: &Shared,
    outcome: &mut Outcome,
) -> Result<(), RunError> {
    let counts = &shared.counts;
    outcome.ok = counts.ok.load(Ordering::Relaxed);
    outcome.fail = counts.fail.load(Ordering::Relaxed);
    outcome.info = counts.info.load(Ordering::Relaxed);
    let path = options.folder.join(HISTORY);
    shared.recorder.end();
    shared.recorder.finish().map_err(|why| RunError::File { path, why })?;
    let run = json!({ "options": options.to_json(), "outcome": outcome });
    write_json(&options.folder.join(RUN), &run)
}

pub(super) fn recorder(folder: &Path) -> Result<Arc<Recorder>, RunError> {
    let path: PathBuf = folder.join(HISTORY);
    Recorder::create(&path).map(Arc::new).map_err(|why| RunError::File { path, why })
}

pub(super) fn write_json(path: &Path, value: &serde_json::Value) -> Result<(), RunError> {
    let text = serde_json::to_string_pretty(value).expect("it becomes JSON") + "\n";
    fs::write(path, text).map_err(|why| RunError::File { path: path.to_owned(), why })
}
