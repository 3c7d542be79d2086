//! `memory:` and `memory:NAME`: a store in this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use lock_core::LockError;
use lock_core::backend::AnyBackend;
use lock_core::memory::MemoryBackend;

use super::definition::{Located, Open, Parameter, Scheme, Spelling, accept_all};
use crate::config::text::{decode, invalid};

pub(super) const SCHEME: Scheme = Scheme {
    spellings: &[Spelling { name: NAME, features: &[], parameters: &[], takes_hosts: false }],
    example: "memory:",
    has_host: false,
    words: &[],
    check: accept_all,
    read,
};

pub(super) const NAME: &str = "memory";

fn read(at: &Located, _: &[Parameter]) -> Result<Open, LockError> {
    let url = &at.url;
    if !url.cannot_be_a_base() {
        return Err(invalid("a store in memory has no host; write memory: or memory:NAME"));
    }
    let name = decode(url.path(), "name")?;
    Ok(Box::new(move |_| Ok(AnyBackend::new(store(&name)))))
}

/// The named stores of this process; each is gone with the last service that uses it.
static STORES: Mutex<BTreeMap<String, Weak<MemoryBackend>>> = Mutex::new(BTreeMap::new());

/// The store of this name, new if nobody uses one; without a name always a new one.
fn store(name: &str) -> Arc<MemoryBackend> {
    if name.is_empty() {
        return Arc::default();
    }
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(store) = stores.get(name).and_then(Weak::upgrade) {
        return store;
    }
    stores.retain(|_, store| store.strong_count() > 0);
    let store = Arc::default();
    stores.insert(name.to_owned(), Arc::downgrade(&store));
    store
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_store_for_as_long_as_somebody_uses_it() {
        let first = store("a_name_is_one_store");
        assert!(Arc::ptr_eq(&first, &store("a_name_is_one_store")));
        assert!(!Arc::ptr_eq(&first, &store("a_name_is_another_store")));
        assert!(!Arc::ptr_eq(&store(""), &store("")));

        let gone = Arc::downgrade(&first);
        drop(first);
        assert!(gone.upgrade().is_none(), "the registry keeps a store alive");
        let later = store("a_name_is_one_store");
        assert_eq!(Arc::strong_count(&later), 1);
    }
}
