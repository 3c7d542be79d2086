//! Closed-loop comparisons of distlock against raw Redis and other crates.
