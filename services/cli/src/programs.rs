//! Where the programs are that we start: in the project's tools, beside us, or on PATH.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The first of the names that is found, as an absolute path; else what to do about it.
pub fn find(names: &[&str], remedy: &str) -> anyhow::Result<PathBuf> {
    let mut folders: Vec<PathBuf> = vec![".tools/bin".into()];
    folders.extend(std::env::current_exe()?.parent().map(Path::to_owned));
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut files = folders.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    let found = files.find(|file| file.is_file());
    let found = found.with_context(|| format!("{} is not installed: {remedy}", names.join(" or ")))?;
    Ok(std::path::absolute(found)?)
}
