//! `steadfast list`

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::CommandError;
use crate::api::list::{ListAnswer, PAGE_MAX};
use crate::client::Client;
use crate::client::list::Listing;
use crate::output::Output;
use crate::output::data::Data;

/// What `--help` says first.
pub(super) const HELP: &str = "\
Lists keys in order, over all shards.

Examples:
  steadfast list                        all keys, up to 1000
  steadfast list cart/                  those that begin with cart/
  steadfast list cart/ --values -o json
  steadfast list --limit 100000 -o raw > keys

Each page of 1000 keys is as of its own moment: a key that is there throughout is listed once.";

/// Lists keys.
#[derive(Clone, Debug, clap::Args)]
pub struct List {
    /// What the keys begin with; without it, all
    #[arg(default_value = "")]
    prefix: OsString,

    /// Most keys to list
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,

    /// List their values, too
    #[arg(long)]
    values: bool,
}

impl List {
    /// Carries it out.
    pub(super) async fn run(self, client: &Client) -> Result<Output, CommandError> {
        let (prefix, values) = (self.prefix.into_vec(), self.values);
        let mut all = ListAnswer::default();
        let mut left = self.limit;
        loop {
            let listing =
                Listing { prefix: prefix.clone(), values, limit: Some(left.min(PAGE_MAX)) };
            let page = client.list(&listing, all.cursor.as_deref()).await?;
            left = left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
            all.items.extend(page.items);
            (all.cursor, all.shards) = (page.cursor, page.shards);
            if all.cursor.is_none() || left == 0 {
                return Ok(Output::Data(Data::Listed { answer: all, values }));
            }
        }
    }
}
