//! `docs/first-playbook.md`, followed as a reader would: every command in one shell, as it stands there, and what each
//! prints compared with what the guide says. `…` in a line stands for anything; alone on a line, for any lines.
//!
//! The guide names ports, so it is followed in a network of its own. `REGREEN_UPDATE=1` writes the transcript anew.

#[path = "guide/blocks.rs"]
mod blocks;

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use blocks::{Given, commands, matches};
use regreen_testkit::{process::Process, tools, wait_for};

/// How long all of it may take.
const WITHIN: Duration = Duration::from_secs(120);
/// What parts the output of one command from the next one's.
const MARK: &str = "-- end of a command:";
/// A moment, of the form in which all are printed.
const MOMENT: &str = "2030-01-01T00:00:00.000Z";

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

/// What a command did.
struct Done {
    printed: String,
    well: bool,
}

#[tokio::test]
async fn the_guide_works_as_it_is_written() {
    let guide = fs::read_to_string(docs("first-playbook.md")).expect("the guide");
    let given = commands(&guide);
    assert!(given.len() > 20, "the guide's commands are not found");
    let done = follow(&given).await;
    let mut wrong = String::new();
    for (given, done) in given.iter().zip(&done) {
        let as_told = matches(&given.expected, &done.printed) && (done.well || !given.expected.is_empty());
        if !given.silent && !as_told || given.silent && !done.well {
            write!(
                wrong,
                "line {}: $ {}\n--- the guide says\n{}\n--- it printed\n{}\n\n",
                given.line, given.text, given.expected, done.printed
            )
            .expect("a string takes all");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(done.len(), given.len(), "it did not come to its end");
    transcript(&given, &done);
}

/// Runs all commands in one shell, and makes sure that nothing of it is left.
async fn follow(given: &[Given]) -> Vec<Done> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let place = fs::canonicalize(dir.path()).expect("it is there");
    let mut script = String::from("exec 2>&1\nip link set lo up\n");
    for given in given {
        writeln!(script, "{}\nprintf '\\n{MARK} %s\\n' \"$?\"", given.text).expect("a string takes all");
    }
    let (file, log) = (place.join("guide.sh"), place.join("guide.out"));
    fs::write(&file, script).expect("writable");
    let mut command = Command::new("unshare");
    // Who is not root is root of what is unshared.
    if fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        command.arg("--map-root-user");
    }
    command.args(["--net", "bash"]).arg(&file).current_dir(&place).env("PATH", path());
    let shell = Process::start(&mut command, &log).expect("unshare, of util-linux");
    let left = Left { place: place.clone(), _shell: shell };
    let printed = || fs::read_to_string(&log).unwrap_or_default();
    wait_for("the guide to come to its end", WITHIN, async || {
        let printed = printed();
        if printed.matches(MARK).count() == given.len() { Ok(()) } else { Err(printed) }
    })
    .await;
    wait_for("nothing to be left of the guide", Duration::from_secs(10), async || {
        let found = left.processes();
        if found.is_empty() { Ok(()) } else { Err(found) }
    })
    .await;
    let text = printed();
    let mut rest = text.as_str();
    let mut done = Vec::new();
    while let Some((printed, after)) = rest.split_once(&format!("\n{MARK} ")) {
        let (status, after) = after.split_once('\n').expect("the mark is a line");
        done.push(Done { printed: printed.to_owned(), well: status == "0" });
        rest = after;
    }
    done
}

/// The reader's PATH: our build, nats-server, and what the machine has.
fn path() -> std::ffi::OsString {
    let (own, nats) = (regreen_tests::regreen(), tools::find(&["nats-server"]));
    let folders = [own, nats].map(|file| file.parent().expect("a file lies in a folder").to_owned());
    let before = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&before))).expect("a PATH")
}

/// Everything that was started in a folder; ended when dropped.
struct Left {
    place: PathBuf,
    _shell: Process,
}

impl Left {
    /// Processes that work in the folder.
    fn processes(&self) -> Vec<(u32, String)> {
        let pids = fs::read_dir("/proc")
            .expect("/proc")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let here = |pid: &u32| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder.starts_with(&self.place))
        };
        let line = |pid: u32| {
            (pid, fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " "))
        };
        pids.filter(here).map(line).collect()
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            // It may have ended by itself.
            let _ = Command::new("kill").arg("-KILL").arg(pid.to_string()).status();
        }
    }
}

/// Compares the transcript with the guide, or writes it.
fn transcript(given: &[Given], done: &[Done]) {
    let file = docs("first-playbook.transcript.md");
    if std::env::var_os("REGREEN_UPDATE").is_some() {
        let mut text = String::from(
            "# What the guide printed\n\nEvery command of [first-playbook.md](first-playbook.md) with all that it printed, written by the test that follows it\n(`REGREEN_UPDATE=1`). What differs each time is masked: times, ids.\n",
        );
        for (given, done) in given.iter().zip(done) {
            let prompt = given.text.replace('\n', "\n> ");
            let printed: Vec<String> = done.printed.lines().map(steady).collect();
            let printed = printed.join("\n");
            write!(
                text,
                "\n```console\n$ {prompt}\n{printed}{}```\n",
                if printed.is_empty() { "" } else { "\n" }
            )
            .expect("a string takes all");
        }
        fs::write(&file, text).expect("writable");
    }
    let text = fs::read_to_string(&file).expect("the transcript; write it by REGREEN_UPDATE=1");
    let told = commands(&text);
    let hint = "the transcript is of another guide: write it anew by REGREEN_UPDATE=1";
    assert_eq!(told.len(), given.len(), "{hint}");
    for (given, told) in given.iter().zip(&told) {
        assert_eq!(given.text, told.text, "{hint}");
        let said = &told.expected;
        assert!(given.silent || matches(&given.expected, said), "{hint}: {}\n{said}", given.text);
    }
}

/// A line without what differs each time: one moment for all, no ids, no numbers of milliseconds.
fn steady(line: &str) -> String {
    let mut out = line.trim_end().to_owned();
    let is_moment = |text: &str| {
        text.bytes()
            .zip(MOMENT.bytes())
            .all(|(found, form)| if form.is_ascii_digit() { found.is_ascii_digit() } else { found == form })
    };
    for at in 0..out.len() {
        let range = at..at + MOMENT.len();
        if out.get(range.clone()).is_some_and(is_moment) {
            out.replace_range(range, MOMENT);
        }
    }
    let mut words: Vec<&str> = out.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    words.retain(|word| is_id(word) || is_millis(word));
    let masked =
        words.iter().map(|word| (word.to_string(), if is_id(word) { "x" } else { "0" }.repeat(word.len())));
    let masked: Vec<(String, String)> = masked.collect();
    masked.iter().fold(out, |out, (word, mask)| out.replace(word, mask))
}

/// Ids of runs and sets: 16 letters and digits of base32.
fn is_id(word: &str) -> bool {
    word.len() == 16 && word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
}

/// Milliseconds since 1970.
fn is_millis(word: &str) -> bool {
    word.len() == 13 && word.bytes().all(|byte| byte.is_ascii_digit())
}
