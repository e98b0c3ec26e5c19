//! `regreen new`: a playbook with its test, and what else the folder lacks to check and test it. What is written passes
//! `regreen check` and `regreen test` as it is; a person then edits it.

mod cases;
mod plan;
mod playbook;
mod set;

use std::{
    fs,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use regreen_engine::library::{self, File};

use crate::out;
use plan::Plan;

/// Arguments.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// Name of the playbook; its files are named like it.
    name: String,
    /// Folder to write into; made when it is not there.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// What a run acts on. With `none` it only tells people.
    #[arg(long, value_enum, default_value_t = Target::Node)]
    target: Target,
    /// What starts it.
    #[arg(long, value_enum, default_value_t = Trigger::Alert)]
    trigger: Trigger,
    /// The group of nodes to repair. [default: NAME without its last word, or the only group of the folder]
    #[arg(long)]
    group: Option<String>,
    /// A node and where it answers; may be given several times. For a folder without inventory.
    #[arg(long = "node", value_name = "NAME=HOST:PORT")]
    nodes: Vec<String>,
    /// Path that a healthy node answers with 200 to 299. For a folder without inventory.
    #[arg(long, value_name = "PATH", default_value = "/health")]
    health: String,
    /// Path that repairs a node by a POST.
    #[arg(long, value_name = "PATH", default_value = "/restart")]
    repair: String,
}

/// What a run acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// One node.
    Node,
    /// All nodes of a group that are down, one after the other.
    Group,
    /// Nothing.
    None,
}

/// What starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Trigger {
    /// An alert of Alertmanager; Regreen's own check must agree.
    Alert,
    /// Regreen's own check.
    Verdict,
    /// A person: `regreen start`.
    Manual,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let there =
        if options.dir.is_dir() { library::read(std::slice::from_ref(&options.dir))? } else { Vec::new() };
    let (set, findings) = library::compile(&there);
    let Some(set) = set else {
        out::error(&findings.render(std::io::stderr().is_terminal()));
        anyhow::bail!("the files in {} are not good yet: mend them first", options.dir.display());
    };
    let plan = Plan::new(options, &set)?;
    let files = plan.files();
    free(&options.dir, &files)?;
    good(&options.dir, there, &files)?;
    fs::create_dir_all(&options.dir).with_context(|| format!("{} can't be made", options.dir.display()))?;
    for file in &files {
        let path = options.dir.join(file.name.as_str());
        write(&path, &file.text).with_context(|| format!("{} can't be written", path.display()))?;
        out::line(&format!("{:<34} {}", path.display().to_string(), file.purpose));
    }
    hints(&options.dir, &plan);
    Ok(ExitCode::SUCCESS)
}

/// A file to write.
pub struct New {
    /// Its name in the folder.
    pub name: String,
    /// What it is, in a few words.
    pub purpose: &'static str,
    /// Its text.
    pub text: String,
}

/// Nothing is ever overwritten.
fn free(dir: &Path, files: &[New]) -> anyhow::Result<()> {
    let taken = files.iter().map(|file| dir.join(&file.name)).find(|path| path.exists());
    match taken {
        Some(path) => anyhow::bail!("{} is there already, and is not overwritten", path.display()),
        None => Ok(()),
    }
}

/// The folder is as good with the new files as without them.
fn good(dir: &Path, mut files: Vec<File>, new: &[New]) -> anyhow::Result<()> {
    let of_set = new.iter().filter(|file| !file.name.ends_with(".test.yaml"));
    files.extend(
        of_set.map(|file| File { path: dir.join(&file.name).display().to_string(), text: file.text.clone() }),
    );
    let (set, findings) = library::compile(&files);
    if set.is_none() {
        out::error(&findings.render(std::io::stderr().is_terminal()));
        anyhow::bail!("nothing was written: what is in {} already does not go with it", dir.display());
    }
    Ok(())
}

/// Writes a file that is not there.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    fs::File::options().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// What to do next, for the person at the terminal.
fn hints(dir: &Path, plan: &Plan) {
    let dir = dir.display();
    out::error("");
    if plan.placeholders() {
        out::error(&format!("put your own addresses into {dir}/inventory.yaml; those in it lead nowhere"));
    }
    out::error(&format!(
        "next:\n  regreen check {dir}\n  regreen test {dir}\n  regreen up --playbooks {dir}"
    ));
    out::error("it acts by itself: write `mode: observe` to see first what it would do");
}

#[cfg(test)]
mod tests;
