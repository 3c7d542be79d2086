//! Plain values: names, options, outcomes and errors. They know neither a clock nor a store.

pub mod duration_text;
pub(crate) mod error;
pub(crate) mod fencing;
pub(crate) mod handover;
pub(crate) mod holder;
pub(crate) mod loss;
pub mod message_text;
pub(crate) mod name;
pub(crate) mod options;
#[cfg(feature = "serde")]
mod options_serde;
pub(crate) mod process;
pub(crate) mod server_info;
pub(crate) mod status;
pub mod time_text;
