//! Lists of keys.

use reqwest::Method;

use super::{Call, Client, ClientError, push_parameter};
use crate::api::key::{PATH, to_key64};
use crate::api::list::ListAnswer;

/// Which keys to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// What they begin with.
    pub prefix: Vec<u8>,
    /// Whether their values are wanted.
    pub values: bool,
    /// Most keys of a page; `None`: as many as there may be.
    pub limit: Option<u32>,
}

impl Client {
    /// Returns a page of a list: the first, or the one after that with this cursor. Any node makes it of
    /// what all leaders have, so a routed client asks any that answers.
    pub async fn list(
        &self,
        listing: &Listing,
        cursor: Option<&str>,
    ) -> Result<ListAnswer, ClientError> {
        let mut target = PATH.to_owned();
        push_parameter(&mut target, "prefix64", &to_key64(&listing.prefix));
        push_parameter(&mut target, "values", if listing.values { "true" } else { "false" });
        if let Some(limit) = listing.limit {
            push_parameter(&mut target, "limit", &limit.to_string());
        }
        if let Some(cursor) = cursor {
            push_parameter(&mut target, "cursor", cursor);
        }
        self.send_anywhere(Call::new(Method::GET, target)).await?.json(false)
    }
}
