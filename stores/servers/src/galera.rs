//! A Galera cluster.

use std::path::Path;

use crate::{
    mariadb::{MariaDb, Programs, greets, sql},
    port::Port,
    program,
    server::Server,
};

/// Three MariaDB servers that form one database. Each accepts writes, and all have them.
#[derive(Debug)]
pub struct Galera {
    nodes: Vec<MariaDb>,
}

const NODES: usize = 3;
const LIBRARY: &str = "/usr/lib/galera/libgalera_smm.so";

/// The ports of a node, in this order: clients, the group, differences, full copies.
const PORTS: usize = 4;

impl Galera {
    /// Starts a cluster.
    ///
    /// # Panics
    ///
    /// If it does not start, or if something is not installed and `CI` is set.
    #[must_use]
    pub fn start() -> Option<Self> {
        let programs = Programs::find()?;
        program::find("rsync")?;
        if !Path::new(LIBRARY).exists() {
            program::missing(LIBRARY);
            return None;
        }
        let ports = |_| (0..PORTS).map(|_| Port::take()).collect();
        let ports: Vec<Vec<Port>> = (0..NODES).map(ports).collect();
        let group: Vec<_> = ports
            .iter()
            .filter_map(|ports| Some(format!("127.0.0.1:{}", ports.get(1)?.number())))
            .collect();
        let group = group.join(",");
        let nodes = ports
            .into_iter()
            .map(|ports| prepare(&programs, ports, &group));
        let nodes: Vec<_> = nodes.collect();
        for (index, node) in nodes.iter().enumerate() {
            // Only the first node begins a cluster, and only once: after a restart it joins the
            // others.
            let more: &[_] = if index == 0 {
                &["--wsrep-new-cluster"]
            } else {
                &[]
            };
            let started = node
                .server
                .run_with(more)
                .map_err(|error| error.to_string());
            if let Err(failure) = started.and_then(|()| node.server.wait()) {
                panic!("{failure}");
            }
        }
        Some(Self { nodes })
    }

    /// Returns the servers.
    #[must_use]
    pub fn nodes(&self) -> &[MariaDb] {
        &self.nodes
    }

    /// Returns the address of each server.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(MariaDb::url).collect()
    }
}

fn prepare(programs: &Programs, ports: Vec<Port>, group: &str) -> MariaDb {
    let server = Server::prepare("galera", ports, programs.user, |place| {
        programs.initialize(place.folder)?;
        let [port, of_group, differences, copies] = std::array::from_fn(|at| place.port_at(at));
        let of_provider = [
            "base_host=127.0.0.1".to_owned(),
            format!("base_port={of_group}"),
            format!("gmcast.listen_addr=tcp://127.0.0.1:{of_group}"),
            format!("ist.recv_addr=127.0.0.1:{differences}"),
            format!("ist.recv_bind=127.0.0.1:{differences}"),
        ];
        let settings = [
            ("binlog-format", "ROW".to_owned()),
            ("innodb-autoinc-lock-mode", "2".to_owned()),
            ("wsrep-on", "ON".to_owned()),
            ("wsrep-provider", LIBRARY.to_owned()),
            ("wsrep-cluster-address", format!("gcomm://{group}")),
            ("wsrep-node-address", format!("127.0.0.1:{of_group}")),
            ("wsrep-sst-method", "rsync".to_owned()),
            ("wsrep-sst-receive-address", format!("127.0.0.1:{copies}")),
            ("wsrep-provider-options", of_provider.join(";")),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value));
        let mut launch = programs.launch(place, &settings);
        let client = programs.client.clone();
        launch.ready = Box::new(move || greets(port) && is_synced(&client, port));
        Ok(launch)
    });
    MariaDb {
        server: server.unwrap_or_else(|error| panic!("galera cannot be started: {error}")),
        client: programs.client.clone(),
    }
}

fn is_synced(client: &Path, port: u16) -> bool {
    let state = sql(client, port, "SHOW STATUS LIKE 'wsrep_local_state_comment'");
    state.is_ok_and(|state| state.contains("Synced"))
}
