//! The stores behind `memory:NAME`: one a name in a process, gone with its last service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use lock_core::memory::MemoryBackend;

static STORES: Mutex<BTreeMap<String, Weak<MemoryBackend>>> = Mutex::new(BTreeMap::new());

/// The store of this name, new if nobody uses one; without a name always a new one.
pub(crate) fn store(name: &str) -> Arc<MemoryBackend> {
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
