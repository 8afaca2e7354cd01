//! Calls about the cluster.

use std::time::Duration;

use reqwest::Method;

use super::{Call, Client, ClientError};
use crate::api::cluster::{
    ClusterView, InitAnswer, InitRequest, ShardHash, SnapshotAnswer, TransferAnswer,
    TransferRequest, Version,
};

/// How long founding a cluster takes at most: the server's longest timeout.
const INIT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait for a node's own view, which it gives without asking anyone.
const VIEW_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for a snapshot, which is written and flushed meanwhile: the server's longest
/// timeout.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(30);

impl Client {
    /// Founds a cluster, or goes on with an earlier call.
    pub async fn init(&self, request: &InitRequest) -> Result<InitAnswer, ClientError> {
        let call = Call {
            patience: INIT_TIMEOUT,
            ..Call::post_json("/v1/cluster/init".to_owned(), request)
        };
        self.send(call).await?.json(true)
    }

    /// Makes node `to` lead `shard`. Whoever is asked passes it on to the leader.
    pub async fn transfer_leader(
        &self,
        shard: u32,
        to: u32,
    ) -> Result<TransferAnswer, ClientError> {
        let target = format!("/v1/shards/{shard}/transfer-leader");
        let call = Call::post_json(target, &TransferRequest { to });
        self.send(call).await?.json(true)
    }

    /// Makes a replica of `shard` snapshot its state.
    pub async fn snapshot(&self, shard: u32) -> Result<SnapshotAnswer, ClientError> {
        let call = Call {
            patience: SNAPSHOT_TIMEOUT,
            ..Call::new(Method::POST, format!("/v1/shards/{shard}/snapshot"))
        };
        self.send(call).await?.json(true)
    }

    /// Returns what the node at `endpoint` knows, which need not be one of the client's own.
    pub async fn view(&self, endpoint: &str) -> Result<ClusterView, ClientError> {
        let endpoint = super::endpoint(endpoint)?;
        let call = Call {
            patience: VIEW_TIMEOUT,
            takes_timeout: false,
            ..Call::new(Method::GET, "/v1/cluster".to_owned())
        };
        self.send_to(&endpoint, &call).await?.json(false)
    }

    /// Returns the cluster that the endpoints belong to, in hexadecimal, if they belong to one.
    pub async fn cluster_id(&self) -> Result<Option<String>, ClientError> {
        let call =
            Call { takes_timeout: false, ..Call::new(Method::GET, "/v1/cluster".to_owned()) };
        let view: ClusterView = self.send(call).await?.json(false)?;
        Ok(view.cluster)
    }

    /// Returns the hash of the state of the replica that the node at `endpoint` keeps.
    pub async fn shard_hash(&self, endpoint: &str, shard: u32) -> Result<ShardHash, ClientError> {
        let endpoint = super::endpoint(endpoint)?;
        let call = Call {
            patience: VIEW_TIMEOUT,
            takes_timeout: false,
            ..Call::new(Method::GET, format!("/v1/shards/{shard}/hash"))
        };
        self.send_to(&endpoint, &call).await?.json(false)
    }

    /// Returns the version of a node.
    pub async fn version(&self) -> Result<Version, ClientError> {
        let call =
            Call { takes_timeout: false, ..Call::new(Method::GET, "/v1/version".to_owned()) };
        self.send(call).await?.json(false)
    }
}
