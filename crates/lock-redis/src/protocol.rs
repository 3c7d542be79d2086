//! What is said to a server, and how its answers are read.

pub(crate) mod dapr;
pub(crate) mod entry;
pub(crate) mod holder;
pub(crate) mod keys;
pub(crate) mod needs;
pub(crate) mod owner;
pub(crate) mod process;
pub(crate) mod reply;
pub(crate) mod scan;
pub(crate) mod scripts;
pub(crate) mod slots;
pub(crate) mod units;
