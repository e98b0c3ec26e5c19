//! `regreen users`: one NATS user a service and person, with the least rights each, from the same table as `up`'s own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use regreen_bus::rights::{CLICKS, LOADER, Role, User, authorization};
use regreen_schemas::{Domain, id::is_token, subject::Names};

use crate::{client::write_private, out};

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
    fs::create_dir_all(&options.out).with_context(|| format!("{} can't be made", options.out.display()))?;
    let users = roles.into_iter().map(|role| user(&options.out, role)).collect::<anyhow::Result<Vec<_>>>()?;
    let file = options.out.join("authorization.conf");
    write_private(&file, authorization(&users, &names).as_bytes())?;
    out::line(&format!("{}: include it in nats-server's configuration", file.display()));
    for user in &users {
        out::line(&format!("{}", seed_file(&options.out, &user.role).display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn seed_file(folder: &Path, role: &Role) -> PathBuf {
    folder.join(format!("{}.seed", role.user()))
}

/// The user with its kept seed, or a new one that is kept from now on.
fn user(folder: &Path, role: Role) -> anyhow::Result<User> {
    let file = seed_file(folder, &role);
    match fs::read_to_string(&file) {
        Ok(seed) => {
            User::from_seed(role, seed.trim()).with_context(|| format!("{} holds no seed", file.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let user = User::new(role);
            write_private(&file, user.seed.as_bytes())?;
            Ok(user)
        }
        Err(error) => Err(error).with_context(|| format!("{} can't be read", file.display())),
    }
}
