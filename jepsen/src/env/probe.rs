//! Finds out what can be broken on this machine by breaking it: two namespaces, two disks and a process of
//! its own, which go again. That tools are installed says little inside a container.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::tool::{FSFREEZE, STRACE};
use super::trace::{fail_syncs, is_traced};
use super::{Env, EnvError, Kind, Link, NEEDED, Plan, cannot, heal};
use crate::nemesis::Nemesis;

/// How long strace may take to take hold of a process.
const ATTACH_MAX: Duration = Duration::from_secs(2);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What cannot be done here, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Why nodes cannot have namespaces and disks of their own.
    pub netns: Option<String>,
    /// Why a fault cannot be done where they have.
    pub faults: BTreeMap<Nemesis, String>,
}

impl Probe {
    /// Returns why a fault cannot be done there, if it cannot.
    pub fn missing(&self, nemesis: Nemesis, kind: Kind) -> Option<String> {
        match (kind, &self.netns) {
            (Kind::Local, _) if nemesis.is_of_disks() => {
                Some("needs root, and --env netns".to_owned())
            }
            (Kind::Local, _) => None,
            (Kind::Netns, Some(why)) => Some(why.clone()),
            (Kind::Netns, None) => self.faults.get(&nemesis).cloned(),
        }
    }
}

/// Tries all that needs more than anybody may do.
pub fn probe() -> Probe {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("this machine can make an event queue and a timer");
    let mut found = Probe::default();
    if let Err(error) = runtime.block_on(try_all(&mut found)) {
        found.netns = Some(error.to_string());
    }
    found
}

async fn try_all(found: &mut Probe) -> Result<(), EnvError> {
    if !rustix::process::geteuid().is_root() {
        return Err(EnvError::new("needs root"));
    }
    for tool in NEEDED {
        tool.path()?;
    }
    heal()?;
    let folder = std::env::temp_dir().join(format!("steadfast-doctor-{}", std::process::id()));
    let shown = folder.display();
    fs::create_dir(&folder).map_err(|error| cannot(&format!("{shown} cannot be made"), error))?;
    let plan = Plan {
        kind: Kind::Netns,
        nodes: 2,
        folder: folder.clone(),
        program: "true".into(),
        environment: Vec::new(),
        commit_s: None,
    };
    let tried = match Env::make(&plan).await {
        Ok(env) => {
            try_faults(&env, found).await;
            env.remove(false)
        }
        Err(error) => Err(error),
    };
    let removed = fs::remove_dir_all(&folder);
    tried?;
    removed.map_err(|error| cannot(&format!("{shown} stays"), error))
}

/// Breaks each thing once.
async fn try_faults(env: &Env, found: &mut Probe) {
    let mut note = |nemeses: &[Nemesis], tried: Result<(), EnvError>| {
        if let Err(error) = tried {
            let why = error.to_string();
            found.faults.extend(nemeses.iter().map(|nemesis| (*nemesis, why.clone())));
        }
    };
    let (link, disk) = ([Link { from: 1, to: 2 }], &env.disks[0]);
    let cut = async {
        env.cut(&link).await?;
        env.heal(&link).await.map(drop)
    };
    note(&[Nemesis::Partition], cut.await);
    let power = async {
        disk.write_canary().map_err(|error| cannot("a disk cannot be written", error))?;
        match disk.cut().await?.canary_bytes {
            0 => Err(EnvError::new("a disk that lost its power kept what was not synced")),
            _ => Ok(()),
        }
    };
    note(&[Nemesis::PowerCut, Nemesis::PowerCutAll], power.await);
    let full = async {
        disk.fill().await?;
        disk.clear().map_err(|error| cannot("a disk stays full", error))
    };
    note(&[Nemesis::DiskFull], full.await);
    let freeze = async {
        FSFREEZE.path()?;
        disk.freeze().await?;
        disk.thaw().await
    };
    note(&[Nemesis::DiskFreeze], freeze.await);
    note(&[Nemesis::SyncError, Nemesis::SlowSync], try_tracing().await);
}

/// Takes hold of a process that does nothing.
async fn try_tracing() -> Result<(), EnvError> {
    STRACE.path()?;
    let idle = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let idle = idle.map_err(|error| cannot("a process cannot be started", error))?;
    let tracer = fail_syncs(idle.id());
    let deadline = Instant::now() + ATTACH_MAX;
    while !is_traced(idle.id()) && Instant::now() < deadline && tracer.is_ok() {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let traced = is_traced(idle.id());
    // Both fail only if the child has ended, which is what is wanted.
    for mut child in tracer.into_iter().chain([idle]) {
        drop(child.kill());
        drop(child.wait());
    }
    let refused = "strace cannot take hold of a process here: ptrace is not allowed";
    traced.then_some(()).ok_or_else(|| EnvError::new(refused))
}
