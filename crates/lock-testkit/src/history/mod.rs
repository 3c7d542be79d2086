//! Recording and checking lock runs.
