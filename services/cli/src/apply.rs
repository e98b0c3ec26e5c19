//! `regreen apply`: files become the set in force, checked here and by the engine.

use std::{
    collections::BTreeMap, io::IsTerminal as _, path::PathBuf, process::ExitCode, sync::Arc, time::Duration,
};

use anyhow::Context as _;
use regreen_bus::writer::Writer;
use regreen_engine::{library, recover};
use regreen_schemas::{event::Event, fact, subject::FactKind};

use crate::{args::Connect, ask, client, operate, out};

/// Arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Files and folders: all of the set, for whatever is not here is not in force any more.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    connect: Connect,
}

pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let files = library::read(&options.paths)?;
    let (set, findings) = library::compile(&files);
    if !findings.list.is_empty() {
        out::error(&findings.render(std::io::stderr().is_terminal()));
    }
    if set.is_none() || files.is_empty() {
        out::error("nothing was changed: these files are not good yet");
        return Ok(ExitCode::from(1));
    }
    let wanted = library::set_of(&files);
    let connected = client::connect(&options.connect).await?;
    let bus = &connected.bus;
    let recovered = recover::recover(bus).await?;
    let state = &recovered.state;
    if state.set.as_ref().is_some_and(|(hash, _)| *hash == wanted.hash()) {
        out::line("it is in force already");
        return Ok(ExitCode::SUCCESS);
    }
    let before = state.set.as_ref().and_then(|(hash, _)| recovered.sets.get(hash));
    let changes = changes(before, &wanted);
    changes.iter().for_each(|line| out::line(line));
    let nobody = "there is nobody to ask: give --yes when you have looked";
    if !options.yes && !ask::yes("bring this in force?", nobody)? {
        out::error("nothing was changed");
        return Ok(ExitCode::from(1));
    }
    library::store(bus, &files).await.context("the files' bodies are not stored")?;
    let writer = Writer::start(bus, FactKind::Set, &connected.operator, Duration::from_secs(10));
    let fact = writer.store(&wanted).await.context("it was not stored")?.seq;
    let events = operate::decided(bus, state.seq, fact).await?;
    if events.iter().any(|event| matches!(event, Event::SetAccepted { .. })) {
        out::line(&format!("in force: {} files, set {}; open runs keep theirs", files.len(), wanted.hash()));
        return Ok(ExitCode::SUCCESS);
    }
    let rejected = events.iter().find_map(|event| match event {
        Event::FactRejected { reason } => Some(format!("refused by the engine: {reason}")),
        _ => None,
    });
    let why = operate::refusal(&events).or(rejected);
    out::error(&why.context("the engine read it and said nothing of it")?);
    Ok(ExitCode::from(1))
}

/// What a set changes, a line a file, as a plan is shown.
fn changes(before: Option<&fact::Set>, after: &fact::Set) -> Vec<String> {
    let hashes = |set: &fact::Set| -> BTreeMap<Arc<str>, Arc<str>> {
        set.files.iter().map(|file| (file.path.clone(), file.hash.clone())).collect()
    };
    let (before, after) = (before.map(hashes).unwrap_or_default(), hashes(after));
    let gone = before.keys().filter(|path| !after.contains_key(*path)).map(|path| format!("- {path}"));
    let come = after.iter().filter_map(|(path, hash)| match before.get(path) {
        None => Some(format!("+ {path}")),
        Some(known) if known != hash => Some(format!("~ {path}")),
        Some(_) => None,
    });
    gone.chain(come).collect()
}

#[cfg(test)]
mod tests {
    use regreen_schemas::fact::SetFile;

    use super::*;

    #[test]
    fn what_changes_is_said_file_by_file() {
        let set = |files: &[(&str, &str)]| fact::Set {
            files: files
                .iter()
                .map(|(path, hash)| SetFile { path: (*path).into(), hash: (*hash).into() })
                .collect(),
        };
        let before = set(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let after = set(&[("b", "2"), ("c", "1"), ("d", "1")]);
        assert_eq!(changes(Some(&before), &after), ["- a", "~ b", "+ d"]);
        assert_eq!(changes(None, &set(&[("a", "1")])), ["+ a"]);
    }
}
