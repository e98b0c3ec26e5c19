//! `regreen test`: plays the tests beside playbooks, offline, on a virtual clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use regreen_engine::library;
use regreen_playbook::{diagnostic::Source, report as findings};
use regreen_rehearsal::{
    Options as Wanted, golden_paths, rehearse,
    report::{self, Style},
};

use crate::out;

/// How the name of a file ends that holds tests.
const TESTS: &str = ".test.yaml";

/// Arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Folders and files: playbooks with all that they need, and the tests beside them. A test file alone stands for its
    /// folder.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Only cases whose name holds this.
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Form of the report.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Writes golden traces anew, instead of comparing with them.
    #[arg(long)]
    update: bool,
    /// Prints what no case went through.
    #[arg(long)]
    coverage: bool,
    /// Fails when a playbook has less than this share of its branches covered, in percent.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    coverage_min: Option<u8>,
    /// Prints all that happens in each case.
    #[arg(long)]
    trace: bool,
}

/// Form of the report.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A line a case, and what differs, for people.
    Human,
    /// For programs.
    Json,
    /// JUnit's XML, for CI systems.
    Junit,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let sources = read(&options.paths)?;
    anyhow::ensure!(sources.iter().any(|source| source.path.ends_with(TESTS)), "there is no *{TESTS} file");
    let mut golden = BTreeMap::new();
    if !options.update {
        for path in golden_paths(sources.clone()) {
            if let Ok(text) = std::fs::read_to_string(&path) {
                golden.insert(path, text);
            }
        }
    }
    let wanted = Wanted { only: options.case.clone(), golden, update: options.update };
    let report = match rehearse(sources, &wanted) {
        Ok(report) => report,
        Err(found) => {
            out::error(findings::human(&found, std::io::stderr().is_terminal()).trim_end());
            return Ok(ExitCode::from(2));
        }
    };
    anyhow::ensure!(!report.cases.is_empty(), "no case is called like that");
    for (path, text) in &report.write {
        write(Path::new(path), text)?;
    }
    print(&report, options)?;
    let least = report.coverage.least();
    let short = options.coverage_min.is_some_and(|min| least < usize::from(min));
    if short {
        out::error(&format!("coverage: {least}% of the branches of a playbook, fewer than are wanted"));
    }
    Ok(ExitCode::from(u8::from(report.failed() > 0 || short)))
}

fn print(report: &regreen_rehearsal::Report, options: &Options) -> anyhow::Result<()> {
    match options.format {
        Format::Human => {
            let style = Style { colour: std::io::stdout().is_terminal(), trace: options.trace };
            if options.coverage {
                out::line(report::coverage(&report.coverage, style).trim_end());
            }
            out::line(report::human(report, style).trim_end());
        }
        Format::Json => out::json(&report::json(report))?,
        Format::Junit => out::line(report::junit(report).trim_end()),
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = || -> std::io::Result<()> {
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        std::fs::write(path, text)
    };
    written().with_context(|| format!("{} can't be written", path.display()))
}

/// The files of the set, and the tests beside them.
fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Source>> {
    let is_test = |path: &Path| path.to_string_lossy().ends_with(TESTS);
    let mut found = BTreeSet::new();
    let mut folders = Vec::new();
    for path in paths {
        if is_test(path) {
            found.insert(path.clone());
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            folders.push(folder.unwrap_or(Path::new(".")).to_owned());
        } else {
            tests(path, &mut found)?;
            folders.push(path.clone());
        }
    }
    found.extend(library::list(&folders)?);
    let read = |path: PathBuf| {
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("{} can't be read", path.display()))?;
        Ok(Source { path: path.display().to_string(), text })
    };
    found.into_iter().map(read).collect()
}

/// Tests in a folder, and in those within it.
fn tests(path: &Path, found: &mut BTreeSet<PathBuf>) -> anyhow::Result<()> {
    if !path.is_dir() {
        return Ok(());
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("{} can't be read", path.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        // Links are not followed here: one that leads upward would have no end.
        if entry.file_type()?.is_dir() && !name.starts_with('.') {
            tests(&path, found)?;
        } else if name.ends_with(TESTS) {
            found.insert(path);
        }
    }
    Ok(())
}
