//! Who is compared: raw Redis, the library in its forms, and peers.

pub(crate) mod dapr;
pub(crate) mod pairs;
pub(crate) mod raw;
pub(crate) mod rivals;
pub(crate) mod stint;
