//! Compiles and runs the Rust code in the README and in the pages of `docs/` as doctests.
//!
//! It is a crate of its own because a published crate has no files outside of its directory.
//! `cargo xtask tidy` finds a page with Rust code that is missing here.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../../docs/guide/first-lock.md")]
    struct GuideFirstLock;

    #[doc = include_str!("../../../docs/guide/configuration.md")]
    struct GuideConfiguration;

    #[doc = include_str!("../../../docs/guide/options.md")]
    struct GuideOptions;

    #[doc = include_str!("../../../docs/guide/tasks.md")]
    struct GuideTasks;

    #[doc = include_str!("../../../docs/guide/fencing.md")]
    struct GuideFencing;

    #[doc = include_str!("../../../docs/guide/failures.md")]
    struct GuideFailures;

    #[doc = include_str!("../../../docs/guide/waiting.md")]
    struct GuideWaiting;

    #[doc = include_str!("../../../docs/guide/status.md")]
    struct GuideStatus;

    #[doc = include_str!("../../../docs/guide/several.md")]
    struct GuideSeveral;

    #[doc = include_str!("../../../docs/guide/programs.md")]
    struct GuidePrograms;

    #[doc = include_str!("../../../docs/guide/telemetry.md")]
    struct GuideTelemetry;

    #[doc = include_str!("../../../docs/guide/testing.md")]
    struct GuideTesting;

    #[doc = include_str!("../../../docs/guide/footguns.md")]
    struct GuideFootguns;

    #[doc = include_str!("../../../docs/guide/redis.md")]
    struct GuideRedis;

    #[doc = include_str!("../../../docs/guide/quorum.md")]
    struct GuideQuorum;

    #[doc = include_str!("../../../docs/guide/dapr.md")]
    struct GuideDapr;

    #[doc = include_str!("../../../docs/migration.md")]
    struct Migration;

    #[doc = include_str!("../../../docs/quickstart.md")]
    struct QuickStart;
}
