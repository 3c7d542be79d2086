//! `distlock list`: all locks that are held.

use distlock::LockOptions;

use crate::arguments;
use crate::exit::{Ending, Failure};
use crate::{status, store};

pub(crate) async fn list(arguments: &arguments::List) -> Result<Ending, Failure> {
    let store = store::connect(&arguments.store, LockOptions::new()).await?;
    store.warn_if_private();
    let held = store.locks.list(&arguments.prefix).await?;
    let found: Vec<_> =
        held.iter().map(|held| (held.name.as_str(), Some(held.status.clone()))).collect();
    status::print(&found, arguments.json)
}
