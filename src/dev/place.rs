//! Where the cluster's data is, and what cluster that is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::scratch::Scratch;
use super::{Flags, typed_program};

/// The file in a kept directory that says what cluster is in it.
const SHAPE_FILE: &str = "dev.toml";

/// What a cluster of dev is made of. It is settled when the cluster is founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    pub(super) nodes: u16,
    pub(super) shards: u32,
    pub(super) base_port: u16,
}

/// A directory for the data of all nodes.
#[derive(Debug)]
pub(super) enum Place {
    /// It stays.
    Kept(PathBuf),
    /// It goes.
    Scratch(Scratch),
}

/// Why a directory cannot be used as it was asked for. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    /// It holds another cluster.
    #[error(
        "{} holds a cluster with --{flag} {is}, and --{flag} {asked} was asked for; nothing was \
         started. That is settled once and for ever: leave out the flag, or give another --data",
        path.display()
    )]
    Differs {
        /// Which directory.
        path: PathBuf,
        /// What differs.
        flag: &'static str,
        /// What it is.
        is: u32,
        /// What it should be.
        asked: u32,
    },
    /// It holds something else.
    #[error(
        "{} is neither empty nor a directory of `steadfast dev`; nothing was started and nothing \
         in it was changed. Give another with --data",
        path.display()
    )]
    Foreign {
        /// Which directory.
        path: PathBuf,
    },
}

impl Place {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Scratch(scratch) => &scratch.path,
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }

    /// Returns the command that goes on with the cluster.
    pub(super) fn again(&self) -> String {
        format!("{} dev --data {}", typed_program(), self.path().display())
    }
}

/// Makes or opens the directory, and returns the shape of the cluster in it.
pub(super) fn prepare(flags: &Flags, program: &Path) -> anyhow::Result<(Place, Shape)> {
    let asked = Shape {
        nodes: flags.nodes.unwrap_or(3),
        shards: flags.shards.unwrap_or(6),
        base_port: flags.base_port.unwrap_or(7300),
    };
    let Some(path) = &flags.data else {
        return Ok((Place::Scratch(Scratch::new(program)?), asked));
    };
    let unusable = || format!("the directory {} cannot be used; give another", path.display());
    fs::create_dir_all(path).with_context(unusable)?;
    let path = path.canonicalize().with_context(unusable)?;
    let shape = match fs::read_to_string(path.join(SHAPE_FILE)) {
        Ok(text) => {
            let there: Shape = toml::from_str(&text).with_context(unusable)?;
            check_same(&path, flags, there)?;
            there
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::read_dir(&path).with_context(unusable)?.next().is_some() {
                return Err(PlaceError::Foreign { path }.into());
            }
            let text = toml::to_string(&asked).context("three numbers become TOML")?;
            // Under another name first: a file cut short would be taken for damage later.
            let fresh = path.join("dev.toml.new");
            fs::write(&fresh, text).with_context(unusable)?;
            fs::rename(&fresh, path.join(SHAPE_FILE)).with_context(unusable)?;
            asked
        }
        Err(error) => return Err(error).with_context(unusable),
    };
    Ok((Place::Kept(path), shape))
}

/// Refuses flags that contradict the cluster that is there.
fn check_same(path: &Path, flags: &Flags, there: Shape) -> Result<(), PlaceError> {
    let pairs = [
        ("nodes", flags.nodes.map(u32::from), u32::from(there.nodes)),
        ("shards", flags.shards, there.shards),
        ("base-port", flags.base_port.map(u32::from), u32::from(there.base_port)),
    ];
    for (flag, asked, is) in pairs {
        if let Some(asked) = asked.filter(|&asked| asked != is) {
            return Err(PlaceError::Differs { path: path.to_owned(), flag, is, asked });
        }
    }
    Ok(())
}
