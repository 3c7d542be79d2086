//! What fails, and how it is reached. Another topology is another scene.

use std::time::Duration;

use lock_core::{Handover, LockService};
use lock_quorum::QuorumBackend;
use lock_redis::RedisBackend;
use testbed::{ClusterSet, ClusterSettings, RedisServer, SentinelSet, ServerKind};

use crate::failure::Failure;

const KIND: ServerKind = ServerKind::REDIS_7_0;
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// Servers that fail, and may be mended.
pub(crate) trait Scene: Send {
    /// A service of a process of its own.
    fn service(&self, replicas: u8) -> Result<LockService, Failure>;

    /// With what the names of locks begin, in turn, so that what fails concerns all of them.
    fn prefixes(&self) -> Vec<String> {
        vec![String::new()]
    }

    fn fail(&mut self) -> Result<(), Failure>;

    fn mend(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// A way to fail.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// With how many replicas that confirm it is run.
    pub(crate) replicas: &'static [u8],
    /// Service resumes only when what failed is mended.
    pub(crate) is_mended: bool,
    pub(crate) start: fn() -> Result<Box<dyn Scene>, Failure>,
}

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "sentinel: the master is killed",
        replicas: &[0, 1],
        is_mended: false,
        start: || {
            sentinels(|set| {
                set.servers[0].kill();
                Ok(())
            })
        },
    },
    Case {
        name: "sentinel: the master is cut off from its replicas, and killed 200 ms later",
        replicas: &[0, 1],
        is_mended: false,
        start: || sentinels(|set| cut_off_and_kill(&mut set.servers, &[1, 2])),
    },
    Case {
        name: "sentinel: the master stands still",
        replicas: &[0, 1],
        is_mended: false,
        start: || sentinels(|set| Ok(set.servers[0].freeze()?)),
    },
    Case {
        name: "cluster: a master is killed",
        replicas: &[0, 1],
        is_mended: false,
        start: || cluster(2, SLOTS, kill_the_first),
    },
    Case {
        name: "cluster: a master with one replica is killed",
        replicas: &[0, 1],
        is_mended: false,
        start: || cluster(1, SLOTS, kill_the_first),
    },
    Case {
        name: "cluster: a master is cut off from its replicas, and killed 200 ms later",
        replicas: &[0, 1],
        is_mended: false,
        start: || {
            cluster(2, SLOTS, |cluster| {
                let replicas: Vec<usize> = cluster.set.replicas(0).collect();
                cut_off_and_kill(&mut cluster.set.servers, &replicas)
            })
        },
    },
    Case {
        name: "cluster: the slot of all locks is moved to another master",
        replicas: &[0, 1],
        is_mended: false,
        start: || cluster(2, 1, |cluster| Ok(cluster.set.move_slot(cluster.slots[0], 0, 1)?)),
    },
    Case {
        name: "quorum of 5: two are killed",
        replicas: &[0],
        is_mended: false,
        start: || quorum(2),
    },
    Case {
        name: "quorum of 5: three are killed, and one is back after 1 s",
        replicas: &[0],
        is_mended: true,
        start: || quorum(3),
    },
];

fn service(builder: lock_redis::RedisBackendBuilder) -> Result<LockService, Failure> {
    let backend = builder.response_timeout(RESPONSE_TIMEOUT).build()?;
    Ok(LockService::builder(backend).handover(Handover::OFF).build())
}

/// A master and two replicas, which three Sentinels watch.
struct Sentinels {
    set: SentinelSet,
    fails: fn(&mut SentinelSet) -> Result<(), Failure>,
}

fn sentinels(
    fails: fn(&mut SentinelSet) -> Result<(), Failure>,
) -> Result<Box<dyn Scene>, Failure> {
    Ok(Box::new(Sentinels { set: SentinelSet::start(&KIND)?, fails }))
}

impl Scene for Sentinels {
    fn service(&self, replicas: u8) -> Result<LockService, Failure> {
        service(RedisBackend::builder().url(self.set.url()).replicas(replicas))
    }

    fn fail(&mut self) -> Result<(), Failure> {
        (self.fails)(&mut self.set)
    }
}

/// As if the network between the first server and its replicas failed, and then its machine.
fn cut_off_and_kill(servers: &mut [RedisServer], replicas: &[usize]) -> Result<(), Failure> {
    let mut admin = redis::Client::open(servers[0].url())?.get_connection()?;
    for &replica in replicas {
        servers[replica].freeze()?;
    }
    redis::cmd("CLIENT").arg(&["KILL", "TYPE", "replica"]).exec(&mut admin)?;
    std::thread::sleep(Duration::from_millis(200));
    servers[0].kill();
    for &replica in replicas {
        servers[replica].thaw()?;
    }
    Ok(())
}

/// In how many slots locks are, of those that the master has.
const SLOTS: usize = 16;

/// Three masters with so many replicas each. All locks are at the first master.
struct Cluster {
    set: ClusterSet,
    /// Parts of names in braces, which decide of the slot.
    tags: Vec<String>,
    slots: Vec<u16>,
    fails: fn(&mut Self) -> Result<(), Failure>,
}

fn kill_the_first(cluster: &mut Cluster) -> Result<(), Failure> {
    cluster.set.servers[0].kill();
    Ok(())
}

fn cluster(
    replicas: usize,
    slots: usize,
    fails: fn(&mut Cluster) -> Result<(), Failure>,
) -> Result<Box<dyn Scene>, Failure> {
    let set = ClusterSet::start_with(&KIND, &ClusterSettings::default().replicas(replicas))?;
    let mut cluster = Cluster { set, tags: Vec::new(), slots: Vec::new(), fails };
    let mut admin = redis::Client::open(cluster.set.servers[0].url())?.get_connection()?;
    let mut tags = (0..).map(|number| format!("{{{number}}}"));
    while let Some(tag) = tags.next().filter(|_| cluster.slots.len() < slots) {
        let slot = redis::cmd("CLUSTER").arg("KEYSLOT").arg(&tag).query(&mut admin)?;
        if cluster.set.owner(slot)? == 0 {
            cluster.tags.push(tag);
            cluster.slots.push(slot);
        }
    }
    Ok(Box::new(cluster))
}

impl Scene for Cluster {
    fn service(&self, replicas: u8) -> Result<LockService, Failure> {
        service(RedisBackend::builder().url(self.set.url()).replicas(replicas))
    }

    fn prefixes(&self) -> Vec<String> {
        self.tags.clone()
    }

    fn fail(&mut self) -> Result<(), Failure> {
        (self.fails)(self)
    }
}

/// Five servers that know nothing of each other.
struct Quorum {
    servers: Vec<RedisServer>,
    killed: usize,
}

fn quorum(killed: usize) -> Result<Box<dyn Scene>, Failure> {
    let servers = (0..5).map(|_| RedisServer::start(&KIND)).collect::<Result<_, _>>()?;
    Ok(Box::new(Quorum { servers, killed }))
}

impl Scene for Quorum {
    fn service(&self, _replicas: u8) -> Result<LockService, Failure> {
        let mut builder = QuorumBackend::builder();
        for server in &self.servers {
            let member = RedisBackend::builder().url(server.url());
            builder = builder.member(member.response_timeout(RESPONSE_TIMEOUT).build()?);
        }
        Ok(LockService::builder(builder.build()?).handover(Handover::OFF).build())
    }

    fn fail(&mut self) -> Result<(), Failure> {
        self.servers.iter_mut().take(self.killed).for_each(RedisServer::kill);
        Ok(())
    }

    fn mend(&mut self) -> Result<(), Failure> {
        Ok(self.servers[0].restart()?)
    }
}
