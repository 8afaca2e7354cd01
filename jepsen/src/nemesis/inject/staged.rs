//! Faults that a sound node answers by refusing to go on: it is started on something that it must
//! not trust, and must end by itself. One that goes on is left as it is, so that what comes of it
//! shows in what clients see.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::driver::{Driver, start};
use super::super::schedule::Shape;
use super::{Active, LOOK_INTERVAL, links};
use crate::env::{EnvError, Link};

/// How long a node may take to see that it must not go on.
const REFUSE_MAX: Duration = Duration::from_secs(10);
/// What a log is written in.
const BLOCK_BYTES: usize = 4096;

/// A node that was started on something that it must refuse.
#[derive(Debug)]
pub(in crate::nemesis) struct Staged {
    node: u32,
    /// Whether it refused.
    ended: bool,
    /// Its directory as it was before.
    before: PathBuf,
    /// What cuts it off.
    links: Vec<Link>,
}

impl Driver {
    /// Keeps the directory of every node as it is now, for [`Driver::bring_back`].
    pub fn keep_directories(&self) -> Result<(), EnvError> {
        for node in &self.env.nodes {
            copy(&node.place.data, &beside(&node.place.data, "founded"))
                .map_err(|error| failed(node.place.id, &error))?;
        }
        Ok(())
    }

    /// Starts a node on its directory as it was when the cluster was founded. Its peers remember
    /// more of it, and must refuse it.
    pub(super) async fn bring_back(&mut self, id: u32) -> Result<(Active, Value), EnvError> {
        self.node(id).kill();
        let data = self.node(id).place.data.clone();
        let (founded, before) = (beside(&data, "founded"), beside(&data, "before"));
        let put = fs::rename(&data, &before).and_then(|()| copy(&founded, &data));
        put.map_err(|error| failed(id, &error))?;
        self.stage(id, before, Vec::new()).await
    }

    /// Damages the middle of a node's log and starts it, cut off from its peers: that the log is
    /// damaged it must see by itself.
    pub(super) async fn damage_log(&mut self, id: u32) -> Result<(Active, Value), EnvError> {
        self.node(id).kill();
        let data = self.node(id).place.data.clone();
        let before = beside(&data, "before");
        let put = copy(&data, &before).and_then(|()| damage(&data.join("log")));
        put.map_err(|error| failed(id, &error))?;
        let cut = links(self.count_nodes(), &[id], Shape::Apart);
        self.env.cut(&cut).await?;
        self.stage(id, before, cut).await
    }

    async fn stage(
        &mut self,
        id: u32,
        before: PathBuf,
        links: Vec<Link>,
    ) -> Result<(Active, Value), EnvError> {
        start(self.node(id))?;
        let deadline = Instant::now() + REFUSE_MAX;
        while !self.node(id).reap() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        let ended = self.node(id).is_down();
        // It was meant to.
        let how = if ended { self.node(id).ended.pop() } else { None };
        let evidence = json!({ "nodes": [id], "ended": how, "bit": ended });
        Ok((Active::Refusing(Staged { node: id, ended, before, links }), evidence))
    }

    /// Gives a node that refused its directory back, and starts it.
    pub(super) async fn unstage(&mut self, staged: Staged) -> Result<Value, EnvError> {
        let Staged { node: id, ended, before, links } = staged;
        self.env.heal(&links).await?;
        let node = self.node(id);
        if ended {
            let data = node.place.data.clone();
            let put = fs::remove_dir_all(&data).and_then(|()| fs::rename(&before, &data));
            put.map_err(|error| failed(id, &error))?;
            start(node)?;
        } else {
            fs::remove_dir_all(&before).map_err(|error| failed(id, &error))?;
        }
        Ok(json!({ "nodes": [id] }))
    }
}

fn failed(id: u32, error: &io::Error) -> EnvError {
    EnvError::Other(format!("the directory of n{id}: {error}"))
}

fn beside(data: &Path, what: &str) -> PathBuf {
    data.with_extension(what)
}

/// Copies a directory and all in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

/// Turns the bits of the block in the middle of what was written to the largest log file.
fn damage(log: &Path) -> io::Result<()> {
    let mut written = Vec::new();
    for entry in fs::read_dir(log)? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        let blocks = bytes.chunks(BLOCK_BYTES);
        let count = blocks.take_while(|block| block.iter().any(|&byte| byte != 0)).count();
        written.push((count, path));
    }
    let Some((count, path)) = written.into_iter().max() else {
        return Err(io::Error::other("it has no log"));
    };
    let file = File::options().read(true).write(true).open(path)?;
    let (mut block, at) = (vec![0; BLOCK_BYTES], (count / 2 * BLOCK_BYTES) as u64);
    file.read_exact_at(&mut block, at)?;
    block.iter_mut().for_each(|byte| *byte = !*byte);
    file.write_all_at(&block, at)
}
