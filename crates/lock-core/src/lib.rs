//! Distributed locks: the backend trait, guards, leases, the keeper, and the memory backend.
