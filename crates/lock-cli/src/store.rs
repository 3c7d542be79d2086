//! From the command line and the environment to a service.

use std::time::Duration;

use distlock::{Lock, LockConfig, LockOptions, LockService};

use crate::arguments::Store;
use crate::exit::{self, Failure};
use crate::output::tell;

/// A store that answered.
pub(crate) struct Connected {
    pub(crate) locks: LockService,
    /// Without user name and password.
    pub(crate) address: String,
}

impl Connected {
    /// Whether nobody but this process can see the locks.
    pub(crate) fn is_private(&self) -> bool {
        self.address.starts_with("memory:")
    }

    /// Tells whoever looks at locks that there are none but this process's.
    pub(crate) fn warn_if_private(&self) {
        if self.is_private() {
            tell(
                "warning: the store is the memory of this process, so it shows no locks of other \
                 programs",
            );
        }
    }
}

/// Where the store is, without user name and password; without connecting.
pub(crate) fn address(store: &Store) -> Result<String, Failure> {
    Ok(config(store)?.to_string())
}

/// Connects. `defaults` are options that neither the environment nor the URL sets.
pub(crate) async fn connect(store: &Store, defaults: LockOptions) -> Result<Connected, Failure> {
    connect_to(config(store)?.defaults(defaults)).await
}

/// Connects to the store of a whole configuration.
pub(crate) async fn connect_to(config: LockConfig) -> Result<Connected, Failure> {
    let address = config.to_string();
    let locks = config.connect().await?;
    Ok(Connected { locks, address })
}

/// The seed of a hash map is random enough for a name that nobody else uses.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// A lock that this program takes for itself: without what the configuration says of how long locks
/// are held, which is for those of commands.
pub(crate) fn own_lock(locks: &LockService, name: &str, ttl: Duration) -> Lock {
    locks.lock(name).ttl(ttl).min_hold(Duration::ZERO).max_hold(None)
}

/// What the environment, the URL and `--url` say.
pub(crate) fn config(store: &Store) -> Result<LockConfig, Failure> {
    match &store.url {
        // The command line counts more than `DISTLOCK_URL`; the other variables count as ever.
        Some(url) => Ok(LockConfig::from_env()?.url(url)?),
        None if std::env::var_os("DISTLOCK_URL").is_none() => Err(Failure::new(
            exit::USAGE,
            "no store is configured: set the environment variable DISTLOCK_URL, or give --url, for \
             instance redis://127.0.0.1:6379",
        )),
        None => Ok(LockConfig::from_env()?),
    }
}
