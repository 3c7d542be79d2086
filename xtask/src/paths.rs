//! Where the workspace is, and room for what is made there.

use std::fs;
use std::io;
use std::path::Path;

/// The directory of the workspace.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// Removes a directory with all that is in it, if it is there.
pub(crate) fn remove_tree(directory: &Path) -> io::Result<()> {
    fs::remove_dir_all(directory).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}
