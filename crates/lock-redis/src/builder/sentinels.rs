//! The Sentinels that name a master, as a program or a URL gives them.

use std::fmt;
use std::path::PathBuf;

use lock_core::Result;
use lock_core::message_text::{host_and_port, quoted};
use percent_encoding::percent_decode_str;
use redis::RedisConnectionInfo;

use crate::builder::endpoint::{adjusted, check_tls, invalid, opened};
use crate::builder::hosts::{host_of, info, is_tls, named_by_others, settings_of, split};
use crate::topology::sentinel::{Sentinel, Settings};
use crate::wire::credentials::Credentials;
use crate::wire::greeting::Session;

const DEFAULT_PORT: u16 = 26379;
const SPELLING: &str = "redis[s]+sentinel://[[user]:password@]host[:port][,host[:port]…]/master\
                        [/database][?sentinel_user=…&sentinel_pass=…]";
/// Stands for the host of the master, which the Sentinels name.
const ELSEWHERE: &str = "master.invalid";

/// The Sentinels that watch a Redis or Valkey master, and what is needed to speak to them and to it.
///
/// As a URL:
/// `redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/MASTER[/DATABASE]`.
/// The port is 26379 if it is left out; user and password are those of the master.
/// Those of the Sentinels are in the query, as `sentinel_user` and `sentinel_pass`.
/// With `rediss+sentinel://` both the Sentinels and the master are spoken to over TLS.
/// `valkey+sentinel://` and `valkeys+sentinel://` mean the same.
///
/// Each connection to the master is made like this:
///
/// - All the Sentinels are asked at once, each for half of the response timeout at most. A Sentinel
///   that fails does not fail the connection: one answer is enough.
/// - Of what they answer, the newest failover counts, since most of the Sentinels have agreed to it,
///   also if one alone has heard of it yet.
///   If those who know of the same one name different addresses, the majority of them counts.
///   Without one, it is an error that says who named what.
/// - A server that says that it is a replica is not used.
///
/// The library's own thread subscribes to `+switch-master` at every Sentinel. As soon as one
/// announces that the master has changed, the connections to the old one are closed.
///
/// Give all Sentinels, or an address that resolves to any of them. `Debug` and errors show no user
/// names and no passwords.
#[derive(Clone)]
#[must_use = "it does nothing until it is given to the builder of a backend"]
pub struct Sentinels {
    hosts: Vec<String>,
    master: String,
    is_tls: bool,
    data: RedisConnectionInfo,
    own: RedisConnectionInfo,
}

impl Sentinels {
    /// The master of this name, watched by the Sentinels at these addresses: `HOST`, `HOST:PORT` or
    /// `[IPv6]:PORT`.
    pub fn new(
        addresses: impl IntoIterator<Item = impl Into<String>>,
        master: impl Into<String>,
    ) -> Self {
        Self {
            hosts: addresses.into_iter().map(Into::into).collect(),
            master: master.into(),
            is_tls: false,
            data: RedisConnectionInfo::default(),
            own: RedisConnectionInfo::default(),
        }
    }

    /// The user name at the master.
    pub fn username(mut self, name: impl AsRef<str>) -> Self {
        self.data = self.data.set_username(name);
        self
    }

    /// The password at the master.
    pub fn password(mut self, password: impl AsRef<str>) -> Self {
        self.data = self.data.set_password(password);
        self
    }

    /// The database at the master; 0 unless it is set.
    pub fn database(mut self, number: u16) -> Self {
        self.data = self.data.set_db(number.into());
        self
    }

    /// The user name at the Sentinels.
    pub fn sentinel_username(mut self, name: impl AsRef<str>) -> Self {
        self.own = self.own.set_username(name);
        self
    }

    /// The password at the Sentinels.
    pub fn sentinel_password(mut self, password: impl AsRef<str>) -> Self {
        self.own = self.own.set_password(password);
        self
    }

    /// Speaks TLS to the Sentinels and to the master. It needs the feature `tls`.
    ///
    /// The certificate of each must be for the host that is connected to.
    /// Sentinels name the master by its IP address, unless they were told to use host names
    /// (`sentinel resolve-hostnames yes` and `sentinel announce-hostnames yes`). Where all have one
    /// name, [`tls_server_name`](super::RedisBackendBuilder::tls_server_name) says it.
    pub fn tls(mut self) -> Self {
        self.is_tls = true;
        self
    }

    /// Reads a URL; none if it is one of something else.
    pub(crate) fn from_url(url: &str) -> Result<Option<Self>> {
        let Some((scheme, rest)) = url.split_once("+sentinel://") else { return Ok(None) };
        let Some(is_tls) = is_tls(scheme) else { return Ok(None) };
        let malformed = || invalid(format!("the URL is not one of Sentinels; write {SPELLING}"));
        let (login, hosts, path, query) = split(rest).ok_or_else(malformed)?;
        let path = path.ok_or_else(malformed)?;
        let (master, database) = path.split_once('/').unwrap_or((path, ""));
        let decoded = |text: &str| {
            let decoded = percent_decode_str(text).decode_utf8();
            decoded.map(String::from).map_err(|_| malformed())
        };
        let mut sentinels = Self::new(hosts.split(','), decoded(master)?);
        sentinels.data = settings_of(login, ELSEWHERE, database).ok_or_else(malformed)?;
        sentinels.is_tls = is_tls;
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').ok_or_else(malformed)?;
            sentinels = match name {
                "sentinel_user" => sentinels.sentinel_username(decoded(value)?),
                "sentinel_pass" => sentinels.sentinel_password(decoded(value)?),
                _ => return Err(malformed()),
            };
        }
        Ok(Some(sentinels))
    }
}

impl Sentinels {
    /// Checks everything that can be checked without a server.
    pub(crate) fn checked(
        self,
        credentials: &Credentials,
        sentinel_password_file: Option<PathBuf>,
    ) -> Result<(Settings, Session)> {
        check_tls(self.is_tls)?;
        if self.master.is_empty() || self.master.contains(|c: char| c.is_control() || c == ' ') {
            return Err(invalid(format!(
                "the name of the master is {}; write the name under which the Sentinels watch it, \
                 such as mymaster: {SPELLING}",
                quoted(&self.master)
            )));
        }
        let elsewhere = (ELSEWHERE, DEFAULT_PORT);
        let (data, session) = named_by_others(self.is_tls, elsewhere, &self.data, credentials)?;

        let own = Credentials { password_file: sentinel_password_file, ..credentials.clone() };
        let sentinels = self.sentinels(&own)?;
        let hosts: Vec<&str> = sentinels.iter().map(|sentinel| &*sentinel.address).collect();
        let database = match self.data.db() {
            0 => String::new(),
            database => format!("/{database}"),
        };
        let address = format!("{}{database} (Sentinels {})", self.master, hosts.join(", "));
        let master = self.master;
        Ok((Settings { sentinels, credentials: own, master, data, address }, session))
    }

    fn sentinels(&self, credentials: &Credentials) -> Result<Vec<Sentinel>> {
        if self.own.username().is_some()
            && self.own.password().is_none()
            && credentials.password_file.is_none()
        {
            return Err(invalid(
                "sentinel_user is set, and sentinel_pass is not; set both, or sentinel_password_file",
            ));
        }
        if self.own.password().is_some() && credentials.password_file.is_some() {
            return Err(invalid(
                "sentinel_password_file is set, and the URL has a sentinel_pass too; remove one of \
                 them",
            ));
        }
        let mut sentinels: Vec<Sentinel> = Vec::new();
        for host in &self.hosts {
            let (host, port) = host_of(host, "Sentinel", DEFAULT_PORT)?;
            let address = host_and_port(&host, port);
            if sentinels.iter().any(|earlier| earlier.address == address) {
                return Err(invalid(format!("the Sentinel {} is given twice", quoted(&address))));
            }
            // What would select a database and name the client is left out: a Sentinel has neither.
            let info = info(self.is_tls, host, port, &self.own.clone().set_skip_set_lib_name())?;
            let client = opened(adjusted(&info).0)?;
            credentials.read_into(&client)?;
            sentinels.push(Sentinel { client, address });
        }
        if sentinels.is_empty() {
            return Err(invalid(format!("no Sentinel is given; write {SPELLING}")));
        }
        Ok(sentinels)
    }
}

impl fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentinels")
            .field("addresses", &self.hosts)
            .field("master", &self.master)
            .field("database", &self.data.db())
            .field("is_tls", &self.is_tls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use lock_core::LockErrorKind;

    use super::*;

    fn checked(url: &str) -> Result<Settings> {
        let sentinels = Sentinels::from_url(url)?.unwrap();
        sentinels.checked(&Credentials::default(), None).map(|(settings, _)| settings)
    }

    #[test]
    fn a_url_names_the_sentinels_the_master_and_who_we_are_to_each() {
        let url = "redis+sentinel://user:p%40ss@a:1,b,[::1]:3/my%2Dmaster/2\
                   ?sentinel_user=watch&sentinel_pass=s%26cret";
        let sentinels = Sentinels::from_url(url).unwrap().unwrap();
        assert_eq!(sentinels.hosts, ["a:1", "b", "[::1]:3"]);
        assert_eq!(sentinels.master, "my-master");
        assert_eq!(sentinels.data.db(), 2);
        let login = |info: &RedisConnectionInfo| {
            (info.username().unwrap().to_owned(), info.password().unwrap().to_owned())
        };
        assert_eq!(login(&sentinels.data), ("user".into(), "p@ss".into()));
        assert_eq!(login(&sentinels.own), ("watch".into(), "s&cret".into()));

        let settings = checked("valkey+sentinel://:pw@a,b:1/main/2").unwrap();
        assert_eq!(settings.address, "main/2 (Sentinels a:26379, b:1)");
        // To the Sentinels we are nobody, unless their own words say otherwise.
        let own = settings.sentinels[0].client.get_connection_info().redis_settings();
        assert_eq!((own.password(), own.db()), (None, 0));
        assert!(Sentinels::from_url("redis://a/main").unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_right_is_refused_with_its_fault() {
        for (url, cause) in [
            ("redis+sentinel://a:1", "write redis[s]+sentinel://"),
            ("redis+sentinel://a:1/", "the name of the master is \"\""),
            ("redis+sentinel:///main", "the address of a Sentinel is \"\""),
            ("redis+sentinel://a:1,/main", "the address of a Sentinel is \"\""),
            ("redis+sentinel://a:0/main", "\"a:0\"; write HOST, HOST:PORT"),
            ("redis+sentinel://a:x/main", "\"a:x\""),
            ("redis+sentinel://[::1/main", "\"[::1\""),
            ("redis+sentinel://a:1,a:1/main", "\"a:1\" is given twice"),
            ("redis+sentinel://a/main/x", "write redis[s]+sentinel://"),
            ("redis+sentinel://a/main?x=1", "write redis[s]+sentinel://"),
            ("redis+sentinel://:1/2@a/main", "write redis[s]+sentinel://"),
            ("redis+sentinel://:1#2@a/main", "write redis[s]+sentinel://"),
            ("redis+sentinel://user@a/main", "no password"),
            ("redis+sentinel://a/main?sentinel_user=x", "sentinel_pass is not"),
        ] {
            let error = checked(url).err().unwrap();
            assert_eq!(error.kind(), LockErrorKind::InvalidConfig);
            assert!(error.to_string().contains(cause), "{url}: {error}");
        }
        let none = Sentinels::new(Vec::<String>::new(), "main");
        let error = none.checked(&Credentials::default(), None).err().unwrap();
        assert!(error.to_string().contains("no Sentinel is given"), "{error}");
        if cfg!(not(feature = "tls")) {
            let error = checked("rediss+sentinel://a/main").err().unwrap();
            assert!(error.to_string().contains("feature `tls`"), "{error}");
        }
    }

    #[test]
    fn no_text_shows_a_user_or_a_password() {
        let url = "redis+sentinel://user1:s3cret@a/main?sentinel_user=user2&sentinel_pass=s3cret";
        let sentinels = Sentinels::from_url(url).unwrap().unwrap();
        let text = format!("{sentinels:?}");
        assert!(!text.contains("s3cret") && !text.contains("user"), "{text}");
        let address = checked(url).unwrap().address;
        assert!(!address.contains("s3cret") && !address.contains("user"), "{address}");
    }
}
