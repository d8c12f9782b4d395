//! The single servers of a cluster. Operators list the keys of each, and a key that is moving may
//! already be on another server.

use std::time::Duration;

use redis::{
    Pipeline, RedisError, RedisResult, Value, cluster_async::ClusterConnection,
    cluster_routing::SingleNodeRoutingInfo,
};
use silverback::store::StoreError;

use crate::{RedisStore, browse::Place, error, link::To};

/// A master of a cluster.
pub(crate) struct Node {
    id: Vec<u8>,
    host: String,
    port: u16,
}

impl Node {
    pub(crate) fn to(&self) -> To<'_> {
        To::Node(&self.host, self.port)
    }

    /// Reads an entry of `CLUSTER SLOTS`: from, to, the master, its replicas.
    fn read(entry: &Value) -> Option<Self> {
        let Value::Array(entry) = entry else {
            return None;
        };
        let Value::Array(master) = entry.get(2)? else {
            return None;
        };
        let [
            Value::BulkString(host),
            Value::Int(port),
            Value::BulkString(id),
            ..,
        ] = &**master
        else {
            return None;
        };
        Some(Self {
            id: id.clone(),
            host: String::from_utf8(host.clone()).ok()?,
            port: u16::try_from(*port).ok()?,
        })
    }
}

/// Sends commands to the server that their key is moving to, as named by the other server's error.
/// <https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#ask-redirection>
pub(crate) async fn ask(
    connection: &mut ClusterConnection,
    commands: &Pipeline,
    error: RedisError,
) -> RedisResult<Vec<Value>> {
    let address = error.redirect_node().map(|(address, _)| address);
    let Some((host, port)) = address.and_then(|address| address.rsplit_once(':')) else {
        return Err(error);
    };
    let Ok(port) = port.parse() else {
        return Err(error);
    };
    let mut asking = Pipeline::with_capacity(2 * commands.len());
    for command in commands.cmd_iter() {
        asking.cmd("ASKING").add_command(command.clone());
    }
    let (count, host) = (asking.len(), host.to_owned());
    let route = SingleNodeRoutingInfo::ByAddress { host, port };
    let answers = connection.route_pipeline(asking, 0, count, route).await?;
    Ok(answers.into_iter().skip(1).step_by(2).collect())
}

impl RedisStore {
    /// Asks the server that the page has reached for more of its keys. If it has no more, the next
    /// server follows.
    pub(crate) async fn scan_cluster(
        &self,
        place: &mut Place,
        scan: u64,
        limit: usize,
    ) -> Result<(), StoreError> {
        let masters = self.masters(self.timeout).await?;
        let Some(node) = masters.iter().find(|node| node.id >= place.node) else {
            place.scan = None;
            return Ok(());
        };
        // If a server is gone, the next one is listed from its beginning.
        let scan = if node.id == place.node { scan } else { 0 };
        let (next, keys) = self.scan_at(node.to(), scan, limit).await?;
        let after = masters.iter().find(|after| after.id > node.id);
        (place.scan, place.node) = match (next, after) {
            (None, Some(after)) => (Some(0), after.id.clone()),
            (next, _) => (next, node.id.clone()),
        };
        place.left = keys;
        Ok(())
    }

    /// Returns the masters in the order of their ids.
    pub(crate) async fn masters(&self, within: Duration) -> Result<Vec<Node>, StoreError> {
        let mut commands = Pipeline::with_capacity(1);
        commands.cmd("CLUSTER").arg("SLOTS");
        let answers = self.link.run(To::Any, &commands, within).await?;
        let slots = match answers.into_iter().next() {
            Some(Value::Array(slots)) => slots,
            Some(other) => {
                let error = error::in_value(&other).map(error::of);
                return Err(error.unwrap_or_else(|| error::unexpected(&other)));
            }
            None => Vec::new(),
        };
        let mut nodes: Vec<_> = slots.iter().filter_map(Node::read).collect();
        nodes.sort_by(|one, other| one.id.cmp(&other.id));
        nodes.dedup_by(|one, other| one.id == other.id);
        Ok(nodes)
    }
}
