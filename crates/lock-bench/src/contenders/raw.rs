//! What raw Redis does, where it is compared.

use std::time::Duration;

use lock_core::backend::OwnerToken;
use redis::Script;
use redis::aio::MultiplexedConnection;

use crate::failure::Failure;

/// The lease of all contenders.
pub(crate) const TTL: Duration = Duration::from_secs(30);

/// `SET NX PX` and a compare-and-delete script over one multiplexed connection of the `redis`
/// crate, with its defaults (no `TCP_NODELAY`): no fencing, no late refusal, no local deadline.
pub(crate) struct RawConnection {
    connection: MultiplexedConnection,
    release: Script,
}

const COMPARE_AND_DELETE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
                                  return redis.call('DEL', KEYS[1]) end return 0";

impl RawConnection {
    pub(crate) async fn open(url: &str) -> Result<Self, Failure> {
        let connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        let release = Script::new(COMPARE_AND_DELETE);
        release.prepare_invoke().load_async(&mut connection.clone()).await?;
        Ok(Self { connection, release })
    }

    /// Asks once; the token, if the lock was free.
    pub(crate) async fn acquire(&self, key: &str) -> Result<Option<[u8; 32]>, Failure> {
        let token = OwnerToken::random()?.to_hex();
        Ok(self.take(key, &token).await?.then_some(token))
    }

    /// Asks once for this token; whether the lock was free.
    pub(crate) async fn take(&self, key: &str, token: &[u8]) -> Result<bool, Failure> {
        let granted: Option<String> = redis::cmd("SET")
            .arg(key)
            .arg(token)
            .arg("NX")
            .arg("PX")
            .arg(TTL.as_secs() * 1_000)
            .query_async(&mut self.connection.clone())
            .await?;
        Ok(granted.is_some())
    }

    pub(crate) async fn release(&self, key: &str, token: &[u8]) -> Result<(), Failure> {
        let mut release = self.release.key(key);
        let mut connection = self.connection.clone();
        let deleted: u32 = release.arg(token).invoke_async(&mut connection).await?;
        if deleted == 1 { Ok(()) } else { Err("raw: the lock was not ours".into()) }
    }
}
