//! From a URL to a service, in one call.

use lock_core::{LockService, Result};

use crate::LockConfig;

/// Connects to the store at this URL, and asks it once whether it answers.
///
/// | URL | store |
/// |---|---|
/// | `memory:` | a new store in this process |
/// | `memory:NAME` | the store of that name in this process, shared by all that connect to it |
/// | `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]` | one Redis or Valkey server (feature `redis`) |
/// | `rediss://…` | the same over TLS (features `redis` and `tls`) |
/// | `redis+unix:///PATH[?db=DATABASE&user=USER&pass=PASSWORD]` | the same over a Unix socket (feature `redis`) |
/// | `redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/MASTER[/DATABASE]` | the master that Sentinels at these hosts name (feature `redis`) |
/// | `rediss+sentinel://…` | the same over TLS (features `redis` and `tls`) |
/// | `redis+cluster://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]` | the Redis or Valkey cluster that these nodes belong to (feature `redis`) |
/// | `rediss+cluster://…` | the same over TLS (features `redis` and `tls`) |
/// | `valkey://…`, `valkeys://…`, `valkey+unix://…`, `unix://…`, `valkey+sentinel://…`, `valkeys+sentinel://…`, `valkey+cluster://…`, `valkeys+cluster://…` | other names for these |
/// | `dapr://STORE[?endpoint=ENDPOINT]` | the lock store of a Dapr sidecar (feature `dapr`) |
/// | `redis+quorum://[[USER]:PASSWORD@]HOST[:PORT],HOST[:PORT],HOST[:PORT][/DATABASE]` | a majority of independent servers (features `redis` and `quorum`) |
/// | `rediss+quorum://…`, `valkey+quorum://…`, `valkeys+quorum://…` | the same over TLS, and other names for these |
/// | several URLs, with spaces between them | a majority of these stores, each with its own user and password (feature `quorum`) |
///
/// The user and the password of a URL with Sentinels are those of the master. Those of the Sentinels are
/// its parameters `sentinel_user` and `sentinel_pass`; a file can hold the password instead
/// (`sentinel_password_file`).
///
/// Without `?endpoint=`, the address of the sidecar comes from the environment variable
/// `DAPR_GRPC_ENDPOINT` or `DAPR_GRPC_PORT`, and is `127.0.0.1:50001` if neither is set. The API token
/// comes from `DAPR_API_TOKEN`.
///
/// The query may contain the settings that [`LockConfig`] lists:
/// `redis://localhost?namespace=shop:&ttl=30s`.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let locks = distlock::connect("memory:?ttl=30s").await.unwrap();
/// assert_eq!(locks.lock("order:42").execute(async |_lease| "charged").await.unwrap(), Some("charged"));
/// # });
/// ```
///
/// # Errors
///
/// [`InvalidConfig`](crate::LockErrorKind::InvalidConfig) if the URL is not valid, or if its feature is
/// off. The message names the faulty part and what is accepted, and never contains a user name or a
/// password.
/// [`Unsupported`](crate::LockErrorKind::Unsupported) if an option asks for what the store cannot do.
/// [`Unavailable`](crate::LockErrorKind::Unavailable) if the store does not answer within its response
/// timeout, and [`Denied`](crate::LockErrorKind::Denied) if it refuses the credentials. With
/// `?lazy=true` the store is not asked, and the first operation reports these two.
///
/// # Cancel safety
///
/// Dropping the future leaves nothing behind.
pub async fn connect(url: impl AsRef<str>) -> Result<LockService> {
    LockConfig::from_url(url)?.connect().await
}
