//! The nodes by which a cluster is found, as a program or a URL gives them.

use std::fmt;

use lock_core::Result;
use lock_core::message_text::quoted;
use redis::RedisConnectionInfo;

use crate::builder::endpoint::{check_tls, invalid};
use crate::builder::hosts::{host_of, is_tls, named_by_others, settings_of, split};
use crate::topology::address::Address;
use crate::topology::cluster::Settings;
use crate::topology::reach::Reach;
use crate::wire::credentials::Credentials;
use crate::wire::greeting::Session;

const DEFAULT_PORT: u16 = 6379;
const SPELLING: &str = "redis[s]+cluster://[[user]:password@]host[:port][,host[:port]…]";
/// Stands for the host of a node, which the cluster names.
const ELSEWHERE: &str = "node.invalid";

/// Some nodes of a Redis or Valkey cluster, and what is needed to speak to all of them.
///
/// As a URL: `redis+cluster://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]`.
/// The port is 6379 if it is left out.
/// With `rediss+cluster://` all nodes are spoken to over TLS.
/// `valkey+cluster://` and `valkeys+cluster://` mean the same.
///
/// The library asks the given nodes for the slot map, which contains all nodes:
///
/// - Several nodes are asked at once, and one answer is enough. Where they say different things, the
///   newest change of a slot's owner counts.
/// - They are asked again when one says that a slot is elsewhere (`MOVED`), or cannot be reached. All
///   requests wait for the same answers.
/// - A node gets connections when one of its locks is used, at most two.
///
/// The nodes name each other by the addresses that they announce, which this program must be able to
/// reach.
///
/// `Debug` and errors show no user name and no password.
#[derive(Clone)]
#[must_use = "it does nothing until it is given to the builder of a backend"]
pub struct ClusterNodes {
    hosts: Vec<String>,
    is_tls: bool,
    data: RedisConnectionInfo,
}

impl ClusterNodes {
    /// The cluster that the nodes at these addresses belong to: `HOST`, `HOST:PORT` or `[IPv6]:PORT`.
    pub fn new(addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            hosts: addresses.into_iter().map(Into::into).collect(),
            is_tls: false,
            data: RedisConnectionInfo::default(),
        }
    }

    /// The user name.
    pub fn username(mut self, name: impl AsRef<str>) -> Self {
        self.data = self.data.set_username(name);
        self
    }

    /// The password.
    pub fn password(mut self, password: impl AsRef<str>) -> Self {
        self.data = self.data.set_password(password);
        self
    }

    /// Speaks TLS to all nodes. It needs the feature `tls`.
    ///
    /// The certificate of each node must be for the host by which the cluster names it: its IP address,
    /// unless it was told to use host names (`cluster-announce-hostname`, and
    /// `cluster-preferred-endpoint-type hostname`). Where all have one name,
    /// [`tls_server_name`](super::RedisBackendBuilder::tls_server_name) says it.
    pub fn tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    /// Reads a URL; none if it is one of something else.
    pub(crate) fn from_url(url: &str) -> Result<Option<Self>> {
        let Some((scheme, rest)) = url.split_once("+cluster://") else { return Ok(None) };
        let Some(is_tls) = is_tls(scheme) else { return Ok(None) };
        let malformed = || invalid(format!("the URL is not one of a cluster; write {SPELLING}"));
        let (login, hosts, path, query) = split(rest).ok_or_else(malformed)?;
        if !query.is_empty() {
            return Err(malformed());
        }
        if !matches!(path, None | Some("" | "0")) {
            return Err(invalid(format!(
                "a cluster has no databases but 0; leave out what is behind the hosts: {SPELLING}"
            )));
        }
        let mut nodes = Self::new(hosts.split(','));
        nodes.data = settings_of(login, ELSEWHERE, "").ok_or_else(malformed)?;
        nodes.is_tls = is_tls;
        Ok(Some(nodes))
    }

    /// Checks everything that can be checked without a server.
    pub(crate) fn checked(
        self,
        credentials: &Credentials,
        reach: Reach,
    ) -> Result<(Settings, Session)> {
        check_tls(self.is_tls)?;
        let elsewhere = (ELSEWHERE, DEFAULT_PORT);
        let (data, session) = named_by_others(self.is_tls, elsewhere, &self.data, credentials)?;
        let mut seeds: Vec<Address> = Vec::new();
        for host in &self.hosts {
            let (host, port) = host_of(host, "node", DEFAULT_PORT)?;
            let seed = Address { host, port };
            if seeds.contains(&seed) {
                let seed = quoted(&seed.to_string());
                return Err(invalid(format!("the node {seed} is given twice")));
            }
            seeds.push(seed);
        }
        if seeds.is_empty() {
            return Err(invalid(format!("no node is given; write {SPELLING}")));
        }
        let shown: Vec<String> = seeds.iter().map(ToString::to_string).collect();
        let address = format!("{} (cluster)", shown.join(", "));
        Ok((Settings { seeds, data, reach, address }, session))
    }
}

impl<A: Into<String>, const N: usize> From<[A; N]> for ClusterNodes {
    fn from(addresses: [A; N]) -> Self {
        Self::new(addresses)
    }
}

impl<A: Into<String>> From<Vec<A>> for ClusterNodes {
    fn from(addresses: Vec<A>) -> Self {
        Self::new(addresses)
    }
}

impl fmt::Debug for ClusterNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterNodes")
            .field("addresses", &self.hosts)
            .field("is_tls", &self.is_tls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lock_core::LockErrorKind;

    use super::*;

    const REACH: Reach = Reach { response_timeout: Duration::from_secs(1), replicas: 0 };

    fn checked(url: &str) -> Result<Settings> {
        let nodes = ClusterNodes::from_url(url)?.unwrap();
        let checked = nodes.checked(&Credentials::default(), REACH);
        checked.map(|(settings, _)| settings)
    }

    #[test]
    fn a_url_names_the_nodes_and_who_we_are() {
        for url in [
            "redis+cluster://user:p%40ss@a:1,b,[::1]:3",
            "valkey+cluster://user:p%40ss@a:1,b,[::1]:3/0",
        ] {
            let settings = checked(url).unwrap();
            assert_eq!(settings.address, "a:1, b:6379, [::1]:3 (cluster)");
            let login = settings.data.redis_settings();
            assert_eq!((login.username(), login.password()), (Some("user"), Some("p@ss")));
        }
        assert!(ClusterNodes::from_url("redis://a").unwrap().is_none());
        let by_hand = ClusterNodes::from(["a:1"]).username("u").password("p");
        let (settings, _) = by_hand.checked(&Credentials::default(), REACH).unwrap();
        assert_eq!(settings.seeds, [Address { host: "a".into(), port: 1 }]);
    }

    #[test]
    fn what_cannot_be_right_is_refused_with_its_fault() {
        for (url, cause) in [
            ("redis+cluster://", "the address of a node is \"\""),
            ("redis+cluster://a:1,", "the address of a node is \"\""),
            ("redis+cluster://a:0", "\"a:0\"; write HOST, HOST:PORT"),
            ("redis+cluster://a:x", "\"a:x\""),
            ("redis+cluster://a:1,a:1", "\"a:1\" is given twice"),
            ("redis+cluster://a/1", "no databases but 0"),
            ("redis+cluster://a?x=1", "write redis[s]+cluster://"),
            ("redis+cluster://:1/2@a", "write redis[s]+cluster://"),
            ("redis+cluster://:1#2@a", "write redis[s]+cluster://"),
            ("redis+cluster://user@a", "no password"),
        ] {
            let error = checked(url).err().unwrap();
            assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
            assert!(error.to_string().contains(cause), "{url}: {error}");
        }
        let none = ClusterNodes::from(Vec::<String>::new());
        let error = none.checked(&Credentials::default(), REACH).err().unwrap();
        assert!(error.to_string().contains("no node is given"), "{error}");
        if cfg!(not(feature = "tls")) {
            let error = checked("rediss+cluster://a").err().unwrap();
            assert!(error.to_string().contains("feature `tls`"), "{error}");
        }
    }

    #[test]
    fn no_text_shows_a_user_or_a_password() {
        let url = "redis+cluster://user1:s3cret@a:1";
        let nodes = ClusterNodes::from_url(url).unwrap().unwrap();
        let text = format!("{nodes:?} {}", checked(url).unwrap().address);
        assert!(!text.contains("s3cret") && !text.contains("user"), "{text}");
    }
}
