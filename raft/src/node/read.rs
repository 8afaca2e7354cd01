//! The kinds of reads (D6), at the replica that answers. None ever gives less than it says.

use tokio::time::Instant;

use super::api::{Consistency, Guarantee};
use crate::shard::Shard;
use crate::shard::lookup::{Lookup, ReadFailure};
use crate::words::Key;

/// Looks a key up and says what the answer promises.
pub(super) async fn look_up(
    shard: &Shard,
    key: &Key,
    consistency: Consistency,
    deadline: Instant,
) -> Result<(Lookup, Guarantee), ReadFailure> {
    if consistency == Consistency::Lease
        && let Some(lookup) = shard.read_by_lease(key, deadline).await?
    {
        return Ok((lookup, Guarantee::Lease));
    }
    Ok((shard.read(key, deadline).await?, Guarantee::Linearizable))
}
