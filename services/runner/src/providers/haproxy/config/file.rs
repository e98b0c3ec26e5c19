//! Files are replaced whole or not at all: written beside the old one, brought to the disk, and renamed over it.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
};

use tokio::task::spawn_blocking;

use crate::rest::Wrong;

/// Longest file that is read.
const BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Rights of a file that was not there before.
const MODE: u32 = 0o644;
/// The bits of a mode that are rights.
const RIGHTS: u32 = 0o7777;
/// What is put after a file's name for the one that shall replace it.
const NEW: &str = ".regreen-new";
/// The same for the one that was replaced.
const OLD: &str = ".regreen-old";

/// Does what may wait for the disk, away from what must not wait.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.expect("invariant: what is done aside does not panic")
}

/// A text file.
///
/// # Errors
/// When it is not there, too long, or no text.
pub fn read(path: &Path) -> Result<String, Wrong> {
    let mut text = String::new();
    let file = File::open(path).map_err(wrong("read", path))?;
    let read = file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(wrong("read", path))?;
    if read as u64 > BYTES_MAX {
        return Err(Wrong::permanent(format!("{} is longer than {} MiB", path.display(), BYTES_MAX >> 20)));
    }
    Ok(text)
}

/// A file as it is before it is changed.
#[derive(Debug)]
pub struct Old {
    /// Where it is, wherever links lead.
    pub path: PathBuf,
    pub text: String,
    /// When it was written, in seconds of the epoch.
    pub written: i64,
}

impl Old {
    /// # Errors
    /// When it can't be read.
    pub fn read(path: &Path) -> Result<Self, Wrong> {
        let path = fs::canonicalize(path).map_err(wrong("read", path))?;
        let written = written(&path)?;
        Ok(Self { text: read(&path)?, path, written })
    }

    /// Puts the new one in its place, and keeps it beside. When the new one was written, too.
    ///
    /// # Errors
    /// Unless it is unknown, the old one is where it was.
    pub fn swap(self, new: New) -> Result<(Swapped, i64), Wrong> {
        let backup = beside(&self.path, OLD);
        // A second name keeps owner, rights and time as well: put back, it is what it was.
        remove(&backup).and_then(|()| fs::hard_link(&self.path, &backup)).map_err(wrong("write", &backup))?;
        if read(&self.path)? != self.text {
            let path = self.path.display();
            return Err(Wrong::not_yet(format!("{path} is being changed by somebody else")));
        }
        let at = written(new.path())?;
        new.take_place()?;
        Ok((Swapped { path: self.path, backup }, at))
    }
}

/// A file that was replaced, and the one of before.
#[derive(Debug)]
pub struct Swapped {
    path: PathBuf,
    backup: PathBuf,
}

impl Swapped {
    /// Puts the one of before back.
    ///
    /// # Errors
    /// Then nobody knows which of the two is there: a person must look.
    pub fn back(self) -> Result<(), Wrong> {
        let (path, backup) = (self.path.display(), self.backup.display());
        fs::rename(&self.backup, &self.path).and_then(|()| settle(&self.path)).map_err(|error| {
            Wrong::unknown(format!(
                "HAProxy did not load {path}, and it can't be put back from {backup}: {error}"
            ))
        })
    }
}

fn written(path: &Path) -> Result<i64, Wrong> {
    Ok(fs::metadata(path).map_err(wrong("read", path))?.mtime())
}

/// A file that shall replace another one. Until it does, and unless it does, nothing has changed.
#[derive(Debug)]
pub struct New {
    path: PathBuf,
    over: PathBuf,
    taken: bool,
}

impl New {
    /// Written beside the old one, with its owner and rights.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn write(over: &Path, text: &str) -> Result<Self, Wrong> {
        let new = Self { path: beside(over, NEW), over: over.into(), taken: false };
        let failed = wrong("write", &new.path);
        // What an attempt left behind that was ended in the middle.
        remove(&new.path).map_err(&failed)?;
        let old = match fs::metadata(over) {
            Ok(old) => Some(old),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(wrong("read", over)(error)),
        };
        new.fill(text, old.as_ref()).map_err(failed)?;
        Ok(new)
    }

    fn fill(&self, text: &str, old: Option<&Metadata>) -> io::Result<()> {
        let mode = old.map_or(MODE, |old| old.permissions().mode() & RIGHTS);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&self.path)?;
        file.write_all(text.as_bytes())?;
        // What the process's mask took away.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        let owner = |of: &Metadata| (of.uid(), of.gid());
        if let Some(old) = old.filter(|old| file.metadata().is_ok_and(|own| owner(&own) != owner(old))) {
            chown(&self.path, Some(old.uid()), Some(old.gid()))?;
        }
        file.sync_all()
    }

    /// Where it is now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the old one's place.
    ///
    /// # Errors
    /// Nothing has changed, or it is unknown whether the disk has it.
    pub fn take_place(mut self) -> Result<(), Wrong> {
        fs::rename(&self.path, &self.over).map_err(wrong("replace", &self.over))?;
        self.taken = true;
        settle(&self.over).map_err(|error| {
            Wrong::unknown(format!(
                "{} is replaced, and may not be on the disk yet: {error}",
                self.over.display()
            ))
        })
    }
}

impl Drop for New {
    fn drop(&mut self) {
        if !self.taken {
            // One that can't be taken away now is taken away before the next one is written.
            let _ = remove(&self.path);
        }
    }
}

/// A file's neighbour, named after it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Takes a file away, if there is one.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Brings the names of a file's folder to the disk.
fn settle(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// What a failure means while nothing has changed yet.
fn wrong(verb: &'static str, path: &Path) -> impl Fn(io::Error) -> Wrong + use<> {
    let path = path.display().to_string();
    move |error| {
        let reason = format!("can't {verb} {path}: {error}");
        match error.kind() {
            ErrorKind::PermissionDenied => Wrong::permanent(format!(
                "{reason}; give the runner's user the right to it and to its folder"
            )),
            ErrorKind::NotFound | ErrorKind::InvalidData | ErrorKind::ReadOnlyFilesystem => {
                Wrong::permanent(reason)
            }
            _ => Wrong::not_yet(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_its_rights_or_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("haproxy.cfg");
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        // What was left behind by somebody who ended in the middle is no hindrance, and what is not used goes.
        fs::write(beside(&path, NEW), "torn").expect("written");
        drop(New::write(&path, "unused").expect("written"));
        assert_eq!((read(&path).expect("read"), beside(&path, NEW).exists()), ("old".into(), false));
        let new = New::write(&path, "new").expect("written");
        assert_eq!(read(new.path()).expect("read"), "new");
        new.take_place().expect("replaced");
        assert_eq!((read(&path).expect("read"), beside(&path, NEW).exists()), ("new".into(), false));
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & RIGHTS, 0o640);
        let gone = New::write(&dir.path().join("no/file"), "x").expect_err("no folder");
        assert!(gone.reason.contains("can't write"), "{}", gone.reason);
    }
}
