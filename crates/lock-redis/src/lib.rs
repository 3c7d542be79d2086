//! The Redis and Valkey backend of `distlock`.
//!
//! TODO-DOCS

mod backend;
mod builder;
mod connection;
mod error;
mod handshake;
mod keys;
mod link;
mod reply;
mod scripts;
mod server_clock;

pub use backend::RedisBackend;
pub use builder::{Mode, RedisBackendBuilder};
