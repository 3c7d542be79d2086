//! What is measured, how, and what several rounds make of it.

pub(crate) mod awake;
pub(crate) mod closed_loop;
pub(crate) mod cpu;
pub(crate) mod figures;
pub(crate) mod server;
