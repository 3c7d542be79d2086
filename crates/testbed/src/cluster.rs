//! A cluster of masters, each with a replica.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::binary::ServerKind;
use crate::redis::RedisServer;
use crate::resp::{Dialogue, Reply};

/// How many slots there are.
const SLOTS: usize = 16_384;
/// The nodes agree within some seconds; a machine that is busy may take longer.
const LIMIT: Duration = Duration::from_secs(60);

/// While it is awaited that the nodes are ready.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// In ms. Many servers that start at once keep each other waiting, which must not cause a failover.
const WHILE_STARTING: &str = "5000";

/// How a [`ClusterSet`] is started.
#[derive(Clone, Debug)]
#[must_use]
pub struct ClusterSettings {
    node_timeout: Duration,
    masters: usize,
    last_has: Option<usize>,
    replicas: usize,
    server_args: Vec<String>,
    password: Option<String>,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            // A machine that is busy for less must not cause a failover.
            node_timeout: Duration::from_secs(1),
            masters: 3,
            last_has: None,
            replicas: 1,
            server_args: Vec::new(),
            password: None,
        }
    }
}

impl ClusterSettings {
    /// After how long without an answer a node is taken to be down; 1 s unless it is set.
    pub fn node_timeout(mut self, node_timeout: Duration) -> Self {
        self.node_timeout = node_timeout;
        self
    }

    /// How many masters there are; 3 unless it is set.
    pub fn masters(mut self, masters: usize) -> Self {
        self.masters = masters;
        self
    }

    /// How many slots the last master has; as many as each unless it is set.
    pub fn last_has(mut self, slots: usize) -> Self {
        self.last_has = Some(slots);
        self
    }

    /// No master has a replica.
    pub fn without_replicas(self) -> Self {
        self.replicas(0)
    }

    /// How many replicas each master has; 1 unless it is set.
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// More arguments of all servers.
    pub fn server_args(mut self, arguments: &[&str]) -> Self {
        self.server_args.extend(arguments.iter().map(ToString::to_string));
        self
    }

    /// The password of all servers.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.server_args(&["--requirepass", password, "--masterauth", password])
    }
}

/// The nodes of a cluster. All of them are killed when this is dropped.
#[derive(Debug)]
pub struct ClusterSet {
    /// The masters, and behind them a replica of each, in the same order, and so on if they have more.
    /// The slots are dealt out evenly, in this order.
    pub servers: Vec<RedisServer>,
    masters: usize,
    names: Vec<String>,
    password: Option<String>,
    dialogues: Vec<Mutex<Option<Dialogue>>>,
}

impl ClusterSet {
    /// Starts them and returns when each node serves all slots, and each replica has its copy.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`].
    pub fn start(kind: &ServerKind) -> io::Result<Self> {
        Self::start_with(kind, &ClusterSettings::default())
    }

    /// As [`start`](Self::start), with these settings.
    ///
    /// # Errors
    ///
    /// As [`RedisServer::start`].
    pub fn start_with(kind: &ServerKind, settings: &ClusterSettings) -> io::Result<Self> {
        let mut arguments = vec!["--cluster-enabled", "yes", "--cluster-node-timeout"];
        arguments.extend([WHILE_STARTING, "--repl-diskless-sync", "yes"]);
        // A replica need not wait for others that might want the same copy.
        arguments.extend(["--repl-diskless-sync-delay", "0"]);
        // One that has no copy yet must not stay away from an election for longer than a test lasts.
        arguments.extend(["--cluster-replica-validity-factor", "0"]);
        arguments.extend(settings.server_args.iter().map(String::as_str));
        let count = settings.masters * (1 + settings.replicas);
        let servers = std::thread::scope(|scope| {
            let start = || RedisServer::start_with(kind, &arguments);
            let starting: Vec<_> = (0..count).map(|_| scope.spawn(start)).collect();
            let ended = || Err(io::Error::other("the thread that starts a server panicked"));
            let servers = starting.into_iter().map(|it| it.join().unwrap_or_else(|_| ended()));
            servers.collect::<io::Result<Vec<_>>>()
        })?;
        let (masters, password) = (settings.masters, settings.password.clone());
        let dialogues = servers.iter().map(|_| Mutex::default()).collect();
        let mut set = Self { servers, masters, names: Vec::new(), password, dialogues };
        set.join(settings.last_has)?;
        let node_timeout = settings.node_timeout.as_millis().to_string();
        for place in 0..count {
            set.run(place, &["CONFIG", "SET", "cluster-node-timeout", &node_timeout])?;
        }
        Ok(set)
    }

    /// `redis+cluster://` with all masters of the beginning.
    pub fn url(&self) -> String {
        let login = self.password.as_ref().map(|it| format!(":{it}@")).unwrap_or_default();
        let masters = self.servers.iter().take(self.masters);
        let addresses: Vec<String> = masters.map(|server| server.address().to_string()).collect();
        format!("redis+cluster://{login}{}", addresses.join(","))
    }

    /// The first replica of this master of the beginning, or the master of this replica.
    pub fn partner(&self, server: usize) -> usize {
        if server < self.masters { server + self.masters } else { server % self.masters }
    }

    /// The replicas of this master of the beginning.
    pub fn replicas(&self, master: usize) -> impl Iterator<Item = usize> + use<> {
        (master + self.masters..self.servers.len()).step_by(self.masters)
    }

    /// Which server has this slot, by what the others that run say, if they agree.
    ///
    /// # Errors
    ///
    /// If they do not agree yet, or the slot has no owner.
    pub fn owner(&self, slot: u16) -> io::Result<usize> {
        let running: Vec<usize> =
            (0..self.servers.len()).filter(|&place| self.servers[place].pid().is_some()).collect();
        let mut owners = running.iter().map(|&place| self.owner_by(place, slot));
        let unknown = || io::Error::other(format!("no node has the slot {slot}"));
        let first = owners.next().ok_or_else(unknown)??;
        for owner in owners {
            if owner? != first {
                return Err(io::Error::other("the nodes do not agree"));
            }
        }
        Ok(first)
    }

    /// Gives a slot that holds no keys to another server.
    ///
    /// # Errors
    ///
    /// If a node refuses.
    pub fn give_slot(&self, slot: u16, to: usize) -> io::Result<()> {
        let slot = slot.to_string();
        let give = ["CLUSTER", "SETSLOT", &slot, "NODE", self.name(to)];
        // The others believe the larger number.
        self.ask(to, &["CLUSTER", "BUMPEPOCH"])?;
        // The new owner first: the one before would know of nobody else.
        self.ask(to, &give)?;
        (0..self.masters).filter(|&place| place != to).try_for_each(|place| {
            match self.servers[place].pid() {
                Some(_) => self.ask(place, &give).map(drop),
                None => Ok(()),
            }
        })
    }

    /// Begins to move a slot from its owner to another server.
    ///
    /// # Errors
    ///
    /// If a node refuses.
    pub fn begin_to_move(&self, slot: u16, from: usize, to: usize) -> io::Result<()> {
        let slot = slot.to_string();
        self.ask(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", self.name(from)])?;
        self.ask(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", self.name(to)]).map(drop)
    }

    /// Moves the keys of a slot that are there now; returns how many.
    ///
    /// # Errors
    ///
    /// If a node refuses.
    pub fn move_keys(&self, slot: u16, from: usize, to: usize) -> io::Result<usize> {
        let of_slot = ["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "1000"];
        let Reply::List(keys) = self.ask(from, &of_slot)? else { return Ok(0) };
        let port = self.servers[to].port().to_string();
        for key in keys.iter().filter_map(Reply::text) {
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, key, "0", "10000"];
            if let Some(password) = &self.password {
                migrate.extend(["AUTH", password]);
            }
            self.ask(from, &migrate)?;
        }
        Ok(keys.len())
    }

    /// Moves a slot and all its keys to another server.
    ///
    /// # Errors
    ///
    /// If a node refuses.
    pub fn move_slot(&self, slot: u16, from: usize, to: usize) -> io::Result<()> {
        self.begin_to_move(slot, from, to)?;
        while self.move_keys(slot, from, to)? > 0 {}
        self.give_slot(slot, to)
    }

    /// Runs a command of these words on a server.
    ///
    /// # Errors
    ///
    /// If it refuses, with its words.
    pub fn run(&self, server: usize, command: &[&str]) -> io::Result<()> {
        self.ask(server, command).map(drop)
    }

    /// The name of a server in the cluster.
    pub fn name(&self, server: usize) -> &str {
        self.names.get(server).map_or("", String::as_str)
    }

    fn join(&mut self, last_has: Option<usize>) -> io::Result<()> {
        for place in 0..self.servers.len() {
            let name = self.ask(place, &["CLUSTER", "MYID"])?;
            self.names.push(name.text().unwrap_or_default().to_owned());
        }
        for master in 0..self.masters {
            let bound = |place: usize| match last_has {
                Some(_) if place == self.masters => SLOTS,
                Some(last) => (SLOTS - last) * place / (self.masters - 1),
                None => SLOTS * place / self.masters,
            };
            let slots: Vec<String> =
                (bound(master)..bound(master + 1)).map(|slot| slot.to_string()).collect();
            if !slots.is_empty() {
                let mut add = vec!["CLUSTER", "ADDSLOTS"];
                add.extend(slots.iter().map(String::as_str));
                self.ask(master, &add)?;
            }
            // Each has a number of its own from the beginning, as `redis-cli` sees to.
            let epoch = (master + 1).to_string();
            self.ask(master, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch])?;
        }
        self.wait(|set, place| {
            let known = set.nodes(place)?;
            let is_known = |name: &str| known.iter().any(|node| node.name == name);
            let unknown = (0..set.servers.len()).filter(|&other| !is_known(set.name(other)));
            let mut are_known = true;
            for other in unknown {
                are_known = false;
                // Again, since a node that is busy for a while is forgotten; two who are meeting already
                // are not disturbed.
                let port = set.servers[other].port().to_string();
                set.ask(place, &["CLUSTER", "MEET", "127.0.0.1", &port])?;
            }
            Ok(are_known)
        })?;
        for replica in self.masters..self.servers.len() {
            let master = self.name(self.partner(replica)).to_owned();
            self.ask(replica, &["CLUSTER", "REPLICATE", &master])?;
        }
        self.wait(|set, place| {
            let info = set.ask(place, &["CLUSTER", "INFO"])?;
            let is_ok = info.text().unwrap_or_default().contains("cluster_state:ok");
            let replication = set.ask(place, &["INFO", "replication"])?;
            let has_copy =
                |text: &str| text.contains("role:master") || text.contains("master_link_status:up");
            let nodes = set.nodes(place)?;
            // Whoever takes a replica for a master would not let it be elected.
            let replicas = nodes.iter().filter(|node| !node.is_master).count();
            let owns = set.owner_by(place, 0).is_ok();
            Ok(is_ok
                && has_copy(replication.text().unwrap_or_default())
                && replicas == set.servers.len() - set.masters
                && owns)
        })
    }

    /// Waits until this is so at each server.
    fn wait(&self, is_so: impl Fn(&Self, usize) -> io::Result<bool>) -> io::Result<()> {
        let begin = Instant::now();
        for place in 0..self.servers.len() {
            while !is_so(self, place)? {
                if begin.elapsed() > LIMIT {
                    let log = self.servers[place].log();
                    let text = format!("the nodes do not become a cluster; one logs:\n{log}");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                // The nodes need the processor to get ready.
                std::thread::sleep(LOOK_EVERY);
            }
        }
        Ok(())
    }

    fn owner_by(&self, server: usize, slot: u16) -> io::Result<usize> {
        let unknown = || io::Error::other(format!("no node has the slot {slot}"));
        let nodes = self.nodes(server)?;
        let owner = nodes.iter().find(|node| node.has(slot)).ok_or_else(unknown)?;
        self.names.iter().position(|name| *name == owner.name).ok_or_else(unknown)
    }

    /// What a server knows of the others and itself.
    fn nodes(&self, server: usize) -> io::Result<Vec<Node>> {
        let reply = self.ask(server, &["CLUSTER", "NODES"])?;
        Ok(reply.text().unwrap_or_default().lines().filter_map(Node::read).collect())
    }

    /// Over a connection that stays: the nodes are asked often until they are ready.
    fn ask(&self, server: usize, command: &[&str]) -> io::Result<Reply> {
        let is_refusal = |error: &io::Error| error.kind() == io::ErrorKind::Other;
        let mut dialogue = self.dialogues[server].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut before) = dialogue.take() {
            let reply = before.ask(command);
            if reply.as_ref().map_or_else(is_refusal, |_| true) {
                *dialogue = Some(before);
                return reply;
            }
            // It has ended with a server that was started again since.
        }
        let mut new = Dialogue::begin(self.servers[server].address(), self.password.as_deref())?;
        let reply = new.ask(command);
        if reply.as_ref().map_or_else(is_refusal, |_| true) {
            *dialogue = Some(new);
        }
        reply
    }
}

/// A line of `CLUSTER NODES`.
struct Node {
    name: String,
    is_master: bool,
    slots: Vec<(u16, u16)>,
}

impl Node {
    /// None for one that is only being met.
    fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let flags = words.get(2)?;
        if flags.contains("handshake") {
            return None;
        }
        let range = |word: &&str| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        let slots = words.iter().skip(8).filter_map(range).collect();
        Some(Self { name: words[0].to_owned(), is_master: flags.contains("master"), slots })
    }

    fn has(&self, slot: u16) -> bool {
        self.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    }
}
