//! The Redis and Valkey backend of distlock.
