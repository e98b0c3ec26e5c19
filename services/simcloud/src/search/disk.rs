//! What a node keeps: one file, a record a line, read again at its start. A line that was cut off by a kill was never
//! answered for, and is dropped. Nothing is synced: what is killed here are processes, not machines.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{
    member::{Decision, Kept, Member, Role},
    model::{At, NodeId, Peer},
};

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The first one.
    Id(NodeId),
    Term {
        term: u64,
        voted: Option<NodeId>,
    },
    Decided {
        at: At,
        decision: Decision,
    },
    Whole(Box<Kept>),
}

/// The file.
pub struct Disk {
    path: PathBuf,
    file: File,
    id: NodeId,
}

impl Disk {
    /// Opens the folder's file; makes it, with the id that a new node gets.
    pub fn open(folder: &Path, fresh: impl FnOnce() -> String) -> anyhow::Result<(Self, NodeId, Kept)> {
        fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
        let path = folder.join("node.jsonl");
        let text = if path.exists() { fs::read_to_string(&path)? } else { String::new() };
        let (id, kept) = replay(&text).with_context(|| format!("{} can't be understood", path.display()))?;
        let id = id.unwrap_or_else(|| NodeId(fresh()));
        let file = whole(&path, &id, &kept)?;
        Ok((Self { path, file, id: id.clone() }, id, kept))
    }

    /// Adds a record.
    pub fn add(&mut self, record: &Record) -> anyhow::Result<()> {
        if let Record::Whole(kept) = record {
            self.file = whole(&self.path, &self.id, kept)?;
            return Ok(());
        }
        let line = serde_json::to_string(record)? + "\n";
        self.file.write_all(line.as_bytes()).with_context(|| format!("can't write {}", self.path.display()))
    }
}

/// Writes the file anew, whole or not at all.
fn whole(path: &Path, id: &NodeId, kept: &Kept) -> anyhow::Result<File> {
    let new = path.with_extension("new");
    let mut file = File::create(&new).with_context(|| format!("can't write {}", new.display()))?;
    for record in [Record::Id(id.clone()), Record::Whole(Box::new(kept.clone()))] {
        writeln!(file, "{}", serde_json::to_string(&record)?)?;
    }
    fs::rename(&new, path)?;
    Ok(file)
}

fn replay(text: &str) -> anyhow::Result<(Option<NodeId>, Kept)> {
    let whole_lines = text.rfind('\n').map_or("", |end| &text[..end]);
    let nobody = Peer {
        id: NodeId(String::new()),
        name: String::new(),
        transport: String::new(),
        http: String::new(),
        ephemeral: String::new(),
    };
    let mut member = Member { me: nobody, role: Role::Candidate, kept: Kept::default() };
    let mut own = None;
    for line in whole_lines.lines() {
        match serde_json::from_str(line)? {
            Record::Id(id) => own = Some(id),
            Record::Term { term, voted } => (member.kept.term, member.kept.voted) = (term, voted),
            Record::Decided { at, decision } => drop(member.take(at, decision)),
            Record::Whole(kept) => member.kept = *kept,
        }
    }
    Ok((own, member.kept))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::search::documents::Operation;

    #[test]
    fn what_was_written_is_there_again_and_half_a_line_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Disk::open(folder.path(), || "id-1".into()).expect("a disk");
        let (mut disk, id, kept) = open();
        assert_eq!((id.0.as_str(), &kept), ("id-1", &Kept::default()));
        let operation =
            |id: &str| Operation { index: "i".into(), id: id.into(), source: Some(json!({"a": 1})) };
        let (one, two) = (At { term: 1, index: 1 }, At { term: 1, index: 2 });
        disk.add(&Record::Term { term: 1, voted: Some(id) }).expect("written");
        disk.add(&Record::Decided { at: one, decision: Decision::Document(operation("d1")) })
            .expect("written");
        let (mut disk, id, kept) = open();
        assert_eq!((id.0.as_str(), kept.term, kept.at), ("id-1", 1, one));
        assert!(kept.documents.get("i", "d1").is_some());
        disk.add(&Record::Decided { at: two, decision: Decision::Document(operation("d2")) })
            .expect("written");
        let path = folder.path().join("node.jsonl");
        let text = fs::read_to_string(&path).expect("the file");
        fs::write(&path, &text[..text.len() - 3]).expect("cut off");
        assert_eq!(open().2.at, one, "what was cut off did not happen");
    }
}
