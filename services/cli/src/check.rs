//! `regreen check`: all findings of all files, in the form that is asked for; or the page of one code.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use regreen_engine::library;
use regreen_playbook::{Findings, Severity, codes, report};

use crate::out;

/// Arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Files and folders.
    #[arg(required_unless_present = "explain")]
    paths: Vec<PathBuf>,
    /// Form of the findings.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Warnings fail too.
    #[arg(long)]
    strict: bool,
    /// Prints the page of a code, such as RG501.
    #[arg(long, value_name = "CODE", conflicts_with_all = ["paths", "format", "strict"])]
    explain: Option<String>,
}

/// Form of the findings.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Every place drawn, for people.
    Human,
    /// An array, for programs.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Commands that GitHub draws at the lines of a pull request.
    Github,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if let Some(code) = &options.explain {
        let known = codes::parse(code).with_context(|| format!("there is no code `{code}`"))?;
        out::line(known.page.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let files = library::read(&options.paths)?;
    anyhow::ensure!(!files.is_empty(), "there is no .yaml, .yml or .hbs file");
    let (_, findings) = library::compile(&files);
    print(&findings, options.format)?;
    Ok(ExitCode::from(u8::from(fails(&findings, options.strict))))
}

fn print(findings: &Findings, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Human => out::line(report::human(findings, std::io::stdout().is_terminal()).trim_end()),
        Format::Json => out::json(&report::json(findings))?,
        Format::Sarif => out::json(&report::sarif(findings, env!("CARGO_PKG_VERSION")))?,
        // Without findings there is no line, not even an empty one.
        Format::Github => report::github(findings).lines().for_each(out::line),
    }
    Ok(())
}

/// Notes never fail anything.
fn fails(findings: &Findings, strict: bool) -> bool {
    findings.list.iter().any(|finding| match finding.severity {
        Severity::Error => true,
        Severity::Warning => strict,
        Severity::Note => false,
    })
}
