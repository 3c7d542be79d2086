//! The operations, one a file.

mod acquire;
