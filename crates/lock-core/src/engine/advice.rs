//! Which names were advised that their leases are hardly long enough.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::backend::LockKey;

/// So many names are remembered. Whoever has more of them has heard the advice by then.
const MAX_NAMES: usize = 1_000;

/// The names whose users were advised.
#[derive(Default)]
pub(crate) struct Advice(Mutex<HashSet<LockKey>>);

impl Advice {
    /// Whether advice about this name is new, and so worth to be told.
    pub(crate) fn is_new(&self, key: &LockKey) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MAX_NAMES && told.insert(key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::name::LockName;

    #[test]
    fn a_name_is_advised_once_and_no_more_than_a_thousand_are_remembered() {
        let advice = Advice::default();
        let new = |number: usize| {
            let name = LockName::new(format!("x:{number}")).unwrap();
            advice.is_new(&LockKey::new("", name).unwrap())
        };
        assert!(new(1) && !new(1));
        assert_eq!((0..5_000).filter(|&number| new(number)).count(), MAX_NAMES - 1);
    }
}
