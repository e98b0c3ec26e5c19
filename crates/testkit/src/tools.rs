//! Finds the real binaries: what `make tools` put into `.tools/bin`, else PATH.

use std::path::{Path, PathBuf};

/// The binary's path.
///
/// # Panics
/// When it is nowhere, with the command that installs it: a test without its part must not pass.
#[must_use]
pub fn find(names: &[&str]) -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin");
    let mut folders = vec![project];
    folders.extend(on_path());
    look(&folders, names).unwrap_or_else(|| {
        panic!(
            "{} is not installed: run `make tools` in the project's root (`make opensearch` for OpenSearch)",
            names.join(" or ")
        )
    })
}

/// The path of what the system's own packages bring, daemons included.
///
/// # Panics
/// When it is nowhere, with the command that installs it.
#[must_use]
pub fn system(name: &str, package: &str) -> PathBuf {
    let mut folders: Vec<PathBuf> = on_path().collect();
    folders.push("/usr/sbin".into());
    look(&folders, &[name])
        .unwrap_or_else(|| panic!("{name} is not installed: run `apt-get install {package}` as root"))
}

fn on_path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

fn look(folders: &[PathBuf], names: &[&str]) -> Option<PathBuf> {
    folders.iter().flat_map(|folder| names.iter().map(|name| folder.join(name))).find(|file| file.is_file())
}
