//! Finds the real binaries: what `make tools` put into `.tools/bin`, else PATH.

use std::path::{Path, PathBuf};

/// The binary's path.
///
/// # Panics
/// When it is nowhere, with the command that installs it: a test without its part must not pass.
#[must_use]
pub fn find(names: &[&str]) -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = vec![project];
    folders.extend(std::env::split_paths(&path));
    for folder in &folders {
        for name in names {
            let file = folder.join(name);
            if file.is_file() {
                return file;
            }
        }
    }
    panic!(
        "{} is not installed: run `make tools` in the project's root (`make opensearch` for OpenSearch)",
        names.join(" or ")
    );
}
