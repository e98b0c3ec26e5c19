//! `regreen check`: all findings of all files.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use regreen_engine::library;

use crate::out;

/// Arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Files and folders.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Findings as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let files = library::read(&options.paths)?;
    anyhow::ensure!(!files.is_empty(), "there is no .yaml file");
    let (set, findings) = library::compile(&files);
    if options.json {
        out::json(&findings.plain())?;
    } else {
        out::error(&findings.render(std::io::stderr().is_terminal()));
        let errors = findings
            .list
            .iter()
            .filter(|finding| finding.severity == regreen_playbook::Severity::Error)
            .count();
        let playbooks = set.as_ref().map_or(0, |set| set.playbooks.len());
        out::line(&match errors {
            0 => format!(
                "{} files, {playbooks} playbooks: good, {} warnings",
                files.len(),
                findings.list.len()
            ),
            n => format!("{} files: {n} errors, {} warnings", files.len(), findings.list.len() - n),
        });
    }
    Ok(ExitCode::from(u8::from(findings.has_errors())))
}
