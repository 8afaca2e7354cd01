//! What waits in the queue for the writer.

use std::fmt;
use std::io;
use std::ops::Range;

use tokio::sync::oneshot;

use super::record::Record;
use super::{Done, LogEntry};
use crate::words::GroupId;

/// One thing for the writer to do.
pub(super) enum Item {
    /// Write a record. A batch is synced if anybody waits for it.
    Record(Record, Option<Done>),
    /// Read purged entries back from the segments, and keep them in memory again.
    Recall(GroupId, Range<u64>, oneshot::Sender<io::Result<Vec<LogEntry>>>),
    /// Look again how much room there is.
    Measure,
    /// Write what is queued, and stop.
    Close,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(record, done) => {
                f.debug_tuple("Record").field(record).field(&done.is_some()).finish()
            }
            Self::Recall(group, range, _) => {
                f.debug_tuple("Recall").field(group).field(range).finish()
            }
            Self::Measure => f.write_str("Measure"),
            Self::Close => f.write_str("Close"),
        }
    }
}
