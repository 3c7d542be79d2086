//! Distributed locks for Rust: Redis, Valkey and memory behind one API.
