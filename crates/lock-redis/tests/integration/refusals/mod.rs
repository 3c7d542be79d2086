//! Servers that refuse: what they say, what becomes of it, and what a wait does.

mod disabled;
mod passing;
mod permissions;
mod stores;
