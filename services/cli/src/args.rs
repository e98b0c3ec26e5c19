//! The command line.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args as ClapArgs, CommandFactory as _, Parser, Subcommand};

use crate::{
    apply, approve, check, checks, client, drill, evidence, explain, inventory, new, operate, reconcile,
    rehearse, settle, show, status, top, up, users, verdicts,
};

/// Turns an alert into a verified repair, safely, and proves what it did.
#[derive(Parser)]
#[command(name = "regreen", version, propagate_version = true, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs everything: ingest, probe, engine, runner, notifier, and a private NATS unless one is given.
    #[command(
        after_help = "Examples:\n  regreen up --playbooks playbooks/ --inventory inventory.yaml\n  regreen up --nats nats://10.0.0.5:4222 --playbooks playbooks/ --inventory inventory.yaml --listen 0.0.0.0:8080 --config config.yaml"
    )]
    Up(up::Options),
    /// Creates the streams of a domain on a NATS server. What is there already is not changed; a difference is told.
    #[command(after_help = "Example:\n  regreen init --nats nats://10.0.0.5:4222 --replicas 3")]
    Init(operate::Init),
    /// Makes one NATS user a service and person, with the least rights each: seeds, and what nats-server includes.
    #[command(
        after_help = "Example, for a server of your own:\n  regreen users --out keys --vantage ams --vantage fra --runner main --operator ana\n  echo 'include keys/authorization.conf' >> nats.conf\n  regreen init --nats nats://10.0.0.5:4222 --creds keys/admin.seed --replicas 3"
    )]
    Users(users::Options),
    /// Writes a playbook with its test, and what else the folder lacks. Nothing is overwritten.
    #[command(
        after_help = "Examples:\n  regreen new web-restart --dir playbooks --node web-1=10.0.0.1:8080 --node web-2=10.0.0.2:8080\n  regreen new web-restart --dir playbooks --trigger verdict --health /healthz --repair /admin/restart\n  regreen new disk-full --dir playbooks --target none"
    )]
    New(new::Options),
    /// Checks files and prints every finding. Exits 0 when they are good, 1 when not, 2 when they can't be checked.
    #[command(
        after_help = "Examples:\n  regreen check playbooks/ inventory.yaml\n  regreen check --strict --format sarif playbooks/ > findings.sarif\n  regreen check --explain RG501"
    )]
    Check(check::Options),
    /// Plays the tests beside playbooks, offline, on a virtual clock. Exits 0 when all pass, 1 when not, 2 when they can't
    /// be played.
    #[command(
        after_help = "Examples:\n  regreen test playbooks/\n  regreen test playbooks/ --coverage --coverage-min 100\n  regreen test playbooks/node-lost.test.yaml --case 'reboot helps' --trace\n  regreen test playbooks/ --format junit > tests.xml"
    )]
    Test(rehearse::Options),
    /// Brings files in force as the set, for engines that have no folder of their own. Shows what changes, and asks.
    #[command(
        after_help = "Examples:\n  regreen apply playbooks/ inventory.yaml\n  regreen apply --yes --nats nats://10.0.0.5:4222 --creds ana.seed --operator ana playbooks/"
    )]
    Apply(apply::Options),
    /// Starts a playbook by hand; it needs a trigger `manual`.
    #[command(after_help = "Example:\n  regreen start web-restart --target web-1 --input hard=true")]
    Start(operate::Start),
    /// Playbooks, and whether they may be trusted.
    Playbook {
        #[command(subcommand)]
        command: evidence::Playbook,
    },
    /// Runs, open and ended.
    Runs {
        #[command(subcommand)]
        command: show::Runs,
    },
    /// Alerts and what became of them.
    Alerts {
        #[command(subcommand)]
        command: show::Alerts,
    },
    /// Why it acted, or why it did not: every playbook and clause with its values, as of the decision.
    #[command(
        after_help = "Examples:\n  regreen explain c5ffedcb9d39b69c   the newest decision on an alert\n  regreen explain udn54g4hzoba3iz4   a run"
    )]
    Explain(explain::Options),
    /// Says whether an effect took place that nobody could look up: the run that asks goes on by it.
    #[command(
        after_help = "Examples:\n  regreen settle udn54g4hzoba3iz4 --done       the node was rebooted\n  regreen settle udn54g4hzoba3iz4 --not-done   it was not: it may be tried again"
    )]
    Settle(settle::Options),
    /// Approvals that are asked for.
    Approvals {
        #[command(subcommand)]
        command: approve::Approvals,
    },
    /// Says yes to what a run asks: shows the plan first, unless you name it.
    #[command(
        after_help = "Examples:\n  regreen approve udn54g4hzoba3iz4                            shows the plan, and asks\n  regreen approve udn54g4hzoba3iz4 --plan 7xk2q5m3n4p6r8s2   for scripts: the plan that was seen"
    )]
    Approve(approve::Approve),
    /// Says no to what a run asks: it ends.
    #[command(after_help = "Example:\n  regreen deny udn54g4hzoba3iz4 --reason 'the disk is being replaced'")]
    Deny(approve::Deny),
    /// Takes it over: who was not told yet is not told any more, and who was hears who has it.
    #[command(
        after_help = "Examples:\n  regreen ack udn54g4hzoba3iz4   a run\n  regreen ack c5ffedcb9d39b69c   an alert"
    )]
    Ack(approve::Ack),
    /// Lets a playbook act on a target again before its cooldown is over.
    #[command(after_help = "Example:\n  regreen clear-cooldown web-restart --target web-1")]
    ClearCooldown(approve::ClearCooldown),
    /// Pulls the stop switch: from its answer on, no attempt begins.
    Stop(operate::Stop),
    /// Releases the stop switch, or goes on after Suspect.
    Resume(operate::Resume),
    /// Goes on after Frozen: shows what is lost and open, asks, and writes who and why into the log.
    #[command(after_help = "Example:\n  regreen reconcile --reason 'FACTS was restored from last night'")]
    Reconcile(reconcile::Options),
    /// At a glance: what is wrong, and what to do, the gravest first. Exits 0 when nothing is wrong, 1 when something is.
    #[command(after_help = "Examples:\n  regreen status\n  regreen status --json | jq .problems")]
    Status(status::Options),
    /// The checks that are in force.
    Checks {
        #[command(subcommand)]
        command: checks::Command,
    },
    /// Every check's verdict: since when, and whether it has expired and says nothing any more.
    #[command(after_help = "Examples:\n  regreen verdicts\n  regreen verdicts --not-up")]
    Verdicts(verdicts::Options),
    /// Groups and nodes of the set in force: where they are, how they are, and what acts on them now.
    #[command(
        after_help = "Examples:\n  regreen inventory\n  regreen inventory --json | jq '.groups[].nodes[] | select(.lock)'"
    )]
    Inventory(inventory::Options),
    /// Live, in the terminal: what is wrong, who is asked, runs, checks that are not up, alerts.
    #[command(
        after_help = "Keys: up and down scroll the runs, q ends. Without a terminal it prints one frame and ends.\n\nExamples:\n  regreen top\n  regreen top --once\n  COLUMNS=200 regreen top | less"
    )]
    Top(top::Options),
    /// Breaks something for real, on this machine alone, and shows how it is repaired.
    #[command(after_help = "Example:\n  regreen drill hello")]
    Drill {
        #[command(subcommand)]
        drill: drill::Drill,
    },
    /// Prints what a shell needs to complete commands and options.
    #[command(
        after_help = "Example:\n  regreen completions bash > ~/.local/share/bash-completion/completions/regreen"
    )]
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Starts a program that dies with its parent.
    #[command(hide = true)]
    Child(regreen_kit::child::Options),
    /// The runner of `up`.
    #[command(hide = true)]
    RunnerProcess {
        /// Its file.
        file: PathBuf,
    },
}

/// How a command finds NATS.
#[derive(ClapArgs, Clone)]
pub struct Connect {
    /// Data directory of a running `regreen up`; its client.json says where NATS is.
    #[arg(long, default_value = ".regreen", global = true)]
    pub data_dir: PathBuf,
    /// Another server: nats://host:port.
    #[arg(long, global = true)]
    pub nats: Option<String>,
    /// File with the seed of the user's nkey, for `--nats`.
    #[arg(long, global = true)]
    pub creds: Option<PathBuf>,
    /// Your name, for `--nats`: the one that `regreen users --operator` made the seed for.
    #[arg(long, default_value = "local", global = true)]
    pub operator: String,
    /// The domain, for `--nats`.
    #[arg(long, default_value = "default", global = true)]
    pub domain: String,
}

/// Default address of `up`.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

impl Args {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Up(options) => up::run(&options),
            Command::Users(options) => users::run(&options),
            Command::New(options) => new::run(&options),
            Command::Check(options) => check::run(&options),
            Command::Test(options) => rehearse::run(&options),
            Command::Child(options) => Ok(regreen_kit::child::run(&options)?),
            Command::Completions { shell } => {
                clap_complete::generate(shell, &mut Self::command(), "regreen", &mut std::io::stdout());
                Ok(ExitCode::SUCCESS)
            }
            Command::Drill { drill } => drill::run(&drill),
            Command::RunnerProcess { file } => up::runner::run(&file),
            Command::Init(options) => client::block_on(operate::init(options)),
            Command::Apply(options) => client::block_on(apply::run(options)),
            Command::Start(options) => client::block_on(operate::start(options)),
            Command::Playbook { command } => client::block_on(evidence::run(command)),
            Command::Runs { command } => client::block_on(show::runs(command)),
            Command::Alerts { command } => client::block_on(show::alerts(command)),
            Command::Explain(options) => client::block_on(explain::run(options)),
            Command::Settle(options) => client::block_on(settle::run(options)),
            Command::Approvals { command } => client::block_on(approve::approvals(command)),
            Command::Approve(options) => client::block_on(approve::approve(options)),
            Command::Deny(options) => client::block_on(approve::deny(options)),
            Command::Ack(options) => client::block_on(approve::ack(options)),
            Command::ClearCooldown(options) => client::block_on(approve::clear_cooldown(options)),
            Command::Stop(options) => client::block_on(operate::stop(options)),
            Command::Resume(options) => client::block_on(operate::resume(options)),
            Command::Reconcile(options) => client::block_on(reconcile::run(options)),
            Command::Status(options) => client::block_on(status::run(options)),
            Command::Checks { command } => client::block_on(checks::run(command)),
            Command::Verdicts(options) => client::block_on(verdicts::run(options)),
            Command::Inventory(options) => client::block_on(inventory::run(options)),
            Command::Top(options) => top::run(options),
        }
    }
}
