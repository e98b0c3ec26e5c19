//! `regreen users`: one NATS user a service and person, with the least rights each, from the same table as `up`'s own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use regreen_bus::rights::{CLICKS, LOADER, Role, User, authorization};
use regreen_schemas::{Domain, id::is_token, subject::Names};

use crate::{
    client::{Client, write_private},
    out,
};

/// Arguments.
#[derive(clap::Args)]
pub struct Options {
    /// Folder of the seeds and of authorization.conf. Seeds that are there are kept.
    #[arg(long)]
    out: PathBuf,
    /// The domain.
    #[arg(long, default_value = "default")]
    domain: String,
    /// A vantage; may be given several times.
    #[arg(long = "vantage", default_value = "main")]
    vantages: Vec<String>,
    /// A runner's name; may be given several times.
    #[arg(long = "runner", default_value = "main")]
    runners: Vec<String>,
    /// A person with the command line; may be given several times.
    #[arg(long = "operator", default_value = "local")]
    operators: Vec<String>,
    /// A folder for each user, so that each can be mounted alone: `engine/engine.seed`, with the janitor's seed beside it;
    /// `nats/authorization.conf`.
    #[arg(long)]
    apart: bool,
    /// Address of the server: with it each operator gets a `client.json`, by which `regreen --data-dir FOLDER` finds all.
    #[arg(long, requires = "apart")]
    nats: Option<String>,
    /// A random secret for several: `name=folder,folder` keeps the same one as `folder/name` in each.
    #[arg(long = "token", value_parser = Token::parse)]
    tokens: Vec<Token>,
}

/// A secret that two sides share.
#[derive(Clone, Debug)]
struct Token {
    name: String,
    folders: Vec<String>,
}

impl Token {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, folders) = text.split_once('=').ok_or("name=folder,folder is wanted")?;
        let folders: Vec<String> = folders.split(',').map(str::to_owned).collect();
        for part in folders.iter().map(String::as_str).chain([name]) {
            if !is_token(part) {
                return Err(format!("`{part}` must match [a-z0-9_-]{{1,40}}"));
            }
        }
        Ok(Self { name: name.to_owned(), folders })
    }

    /// The one that is kept already, or a new one, in each of its folders.
    fn write(&self, out: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let files: Vec<_> = self.folders.iter().map(|folder| out.join(folder).join(&self.name)).collect();
        let kept = files.iter().map(|file| kept(file)).collect::<anyhow::Result<Vec<_>>>()?;
        let value = kept.into_iter().flatten().next().unwrap_or_else(random);
        for file in &files {
            write_into(file, value.as_bytes())?;
        }
        Ok(files)
    }
}

/// So many random bytes make a token.
const TOKEN_BYTES: usize = 24;

fn random() -> String {
    let bytes: [u8; TOKEN_BYTES] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let names = Names::new(&Domain::from(options.domain.as_str())).context("--domain is no token")?;
    let given = options.vantages.iter().chain(&options.runners).chain(&options.operators);
    for name in given {
        anyhow::ensure!(
            is_token(name),
            "`{name}` must match [a-z0-9_-]{{1,40}}: it becomes part of subjects"
        );
    }
    for taken in [CLICKS, LOADER] {
        anyhow::ensure!(
            options.operators.iter().all(|name| name != taken),
            "an operator can't be named `{taken}`: what services bring, not people, has this source"
        );
    }
    let mut roles = vec![Role::Admin, Role::Ingest, Role::Engine, Role::Janitor, Role::Notifier];
    roles.extend(options.vantages.iter().map(|vantage| Role::Probe { vantage: vantage.clone() }));
    roles.extend(options.runners.iter().map(|name| Role::Runner { name: name.clone() }));
    roles.extend(options.operators.iter().map(|name| Role::Operator { name: name.clone() }));
    let users = roles.into_iter().map(|role| user(options, role)).collect::<anyhow::Result<Vec<_>>>()?;
    let server = if options.apart { options.out.join("nats") } else { options.out.clone() };
    let file = server.join("authorization.conf");
    write_into(&file, authorization(&users, &names).as_bytes())?;
    out::line(&format!("{}: include it in nats-server's configuration", file.display()));
    for user in &users {
        out::line(&format!("{}", seed_file(options, &user.role).display()));
    }
    for user in &users {
        if let (Some(nats), Role::Operator { name }) = (&options.nats, &user.role) {
            let (nats, domain) = (nats.clone(), options.domain.clone());
            let client =
                Client { nats, domain, operator: name.clone(), seed: Some(user.seed.clone()), listen: None };
            let file = options.out.join(user.role.user()).join("client.json");
            write_into(&file, &serde_json::to_vec(&client)?)?;
        }
    }
    for token in &options.tokens {
        for file in token.write(&options.out)? {
            out::line(&format!("{}", file.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn seed_file(options: &Options, role: &Role) -> PathBuf {
    let name = format!("{}.seed", role.user());
    match role {
        _ if !options.apart => options.out.join(name),
        // It lives in the engine's process.
        Role::Janitor => options.out.join(Role::Engine.user()).join(name),
        _ => options.out.join(role.user()).join(name),
    }
}

/// The user with its kept seed, or a new one that is kept from now on.
fn user(options: &Options, role: Role) -> anyhow::Result<User> {
    let file = seed_file(options, &role);
    match kept(&file)? {
        Some(seed) => {
            User::from_seed(role, seed.trim()).with_context(|| format!("{} holds no seed", file.display()))
        }
        None => {
            let user = User::new(role);
            write_into(&file, user.seed.as_bytes())?;
            Ok(user)
        }
    }
}

/// What a file holds, if it is there.
fn kept(file: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} can't be read", file.display())),
    }
}

/// Writes a file that only its owner may read, and makes its folder.
fn write_into(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = file.parent().context("a file is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    write_private(file, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(out: &Path) -> Options {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Options {
            out: out.to_owned(),
            domain: "default".into(),
            vantages: names(&["ams"]),
            runners: names(&["main"]),
            operators: names(&["local"]),
            apart: true,
            nats: Some("nats://nats:4222".into()),
            tokens: vec![Token::parse("alertmanager=ingest,alertmanager").expect("a token")],
        }
    }

    #[test]
    fn each_user_has_a_folder_and_whatever_is_there_is_kept() {
        let out = tempfile::tempdir().expect("a temporary directory");
        run(&made(out.path())).expect("made");
        let read = |name: &str| fs::read_to_string(out.path().join(name)).expect("written");
        let kept =
            ["engine/engine.seed", "engine/janitor.seed", "probe-ams/probe-ams.seed", "ingest/alertmanager"];
        let before = kept.map(read);
        assert_eq!(before[3], read("alertmanager/alertmanager"), "both sides have the same");
        assert_eq!(before[3].len(), 2 * TOKEN_BYTES);
        fs::remove_file(out.path().join("alertmanager/alertmanager")).expect("there");
        run(&made(out.path())).expect("made again");
        assert_eq!(before, kept.map(read));
        assert_eq!(before[3], read("alertmanager/alertmanager"), "who lost it gets it again");
        let client: Client =
            serde_json::from_str(&read("operator-local/client.json")).expect("what the command line reads");
        assert_eq!(
            (client.nats.as_str(), client.seed),
            ("nats://nats:4222", Some(read("operator-local/operator-local.seed")))
        );
        let files = |folder: &str| fs::read_dir(out.path().join(folder)).expect("a folder").count();
        assert_eq!((files("engine"), files("ingest"), files("nats")), (2, 2, 1), "and nothing of others");
    }

    #[test]
    fn a_folder_is_no_way_out() {
        for wrong in ["alertmanager", "a=../b", "a/b=c", "a=b,", "=b"] {
            assert!(Token::parse(wrong).is_err(), "{wrong}");
        }
    }
}
