//! Compiles and runs the Rust code in the README and in the pages of `docs/` as doctests.
//!
//! It is a crate of its own because a published crate has no files outside of its directory.
//! `cargo xtask tidy` finds a page with Rust code that is missing here.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../../docs/guide.md")]
    struct Guide;

    #[doc = include_str!("../../../docs/migration.md")]
    struct Migration;

    #[doc = include_str!("../../../docs/quickstart.md")]
    struct QuickStart;
}
