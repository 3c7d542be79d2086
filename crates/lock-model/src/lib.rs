//! Exhaustive exploration of the lock protocol's state machines.
