//! Decides. Pure: no I/O, no clock, no randomness, no tokio. [`decide`] turns a fact into events, [`State::apply`]
//! folds events into state; production, recovery, explanation and simulation share both.

mod advance;
mod alerts;
pub mod approve;
mod begin;
mod breaker;
mod compound;
mod course;
mod cx;
mod decide;
mod discovery;
mod dispatch;
pub mod env;
mod episodes;
pub mod evaluate;
mod facts;
mod guards;
mod library;
mod operators;
mod pace;
mod rate;
mod roster;
mod run;
mod runs;
mod signals;
mod state;
mod story;
mod tells;
mod thread;
mod undo;
mod verdicts;
mod watchdog;
mod windows;

pub use breaker::Breaker;
pub use decide::{Input, decide, due};
pub use discovery::{Discovery, Wrong};
pub use episodes::Episode;
pub use facts::suspicion;
pub use library::Library;
pub use pace::Pace;
pub use rate::{Bucket, Rate};
pub use run::{Act, Attempt, Done, How, Progress, Run, Seen, Stage, Watching};
pub use state::{Flap, Illegal, Phase, Saw, State, TimerKey, fold, fold_items};
pub use story::Stories;
pub use thread::Tell;
pub use watchdog::Watchdog;
pub use windows::{Member, Window};

/// Bounds and times of the domain, each with its name.
pub mod bounds {
    use regreen_schemas::Span;

    /// Most open runs of a domain.
    pub const RUNS_MAX: usize = 20_000;
    /// Most episodes, open or lately closed; beyond it new alerts are decided without being remembered.
    pub const EPISODES_MAX: usize = 200_000;
    /// How long a command may wait for its runner (rule 19).
    pub const CLAIM: Span = Span::seconds(30);
    /// The same for a look: it changes nothing, so that one which is lost is soon asked for again.
    pub const LOOK_CLAIM: Span = Span::seconds(5);
    /// Longest time between a ticket and the call (rule 18).
    pub const CALL_WINDOW: Span = Span::seconds(5);
    /// How long an answer is waited for, where the playbook does not say.
    pub const APPROVAL_WITHIN: Span = Span::minutes(30);
    /// What is left to do at a run's end, undos and `finally`, may begin so long after its deadline.
    pub const GRACE: Span = Span::minutes(30);
    /// What a run left that did nothing is decided again after this.
    pub const AFTER_NOTHING: Span = Span::minutes(1);
    /// Most events in a window of `correlate`.
    pub const WINDOW_MAX: usize = 1000;
    /// Failed runs of a playbook that its breaker remembers.
    pub const FAILURES_MAX: usize = 100;
    /// How long what has no end of its own may still start a playbook: an event, a time, the end of a run.
    pub const EVENT_OPEN: Span = Span::minutes(60);
    /// How long it is watched whether a repair may be taken back.
    pub const FAILBACK_OPEN: Span = Span::minutes(30 * 24 * 60);
    /// Time between two looks at a provider's list of nodes.
    pub const DISCOVER_EVERY: Span = Span::seconds(60);
    /// A time that is looked at so late was missed.
    pub const SCHEDULE_LATE: Span = Span::minutes(1);
    /// Time between two looks at an unknown outcome (wire.md).
    pub const SECOND_LOOK: Span = Span::seconds(2);
    /// An alert that was not heard of for this long is over.
    pub const SILENT_AFTER: Span = Span::minutes(300);
    /// A firing that is older than the closing is a straggler for this long.
    pub const STRAGGLERS: Span = Span::minutes(10);
    /// Still firing so long after `repaired`: somebody is told once.
    pub const STILL_FIRING: Span = Span::minutes(15);
    /// An episode is decided again at most so often.
    pub const RECONSIDER: Span = Span::seconds(5);
    /// A vantage without digest for this long is silent: three missed (rule 22).
    pub const DIGESTS_MISSED: Span = Span::seconds(15);
    /// Requests that a call is reckoned with until its result says how many it made: a look before, the request itself,
    /// and as many looks at what it came to as a minute takes. What it made beyond is taken then; nothing is given back.
    pub const RATE_CALL: u32 = 10;
    /// The same of a call that only reads.
    pub const RATE_READ: u32 = 1;
    /// One in so many requests of what a rate holds at once is kept for runs: discovery keeps away from it.
    pub const RATE_KEPT: i64 = 10;
    /// Most requests beyond what was reckoned with that a result is believed to have made.
    pub const RATE_SPENT_MAX: u32 = 1000;
    /// Longest time that a provider may ask for a credential to be left alone.
    pub const RATE_PAUSE_MAX: Span = Span::minutes(60);
    /// Longest time over which a limit counts.
    pub const RATE_PER_MAX: Span = Span::minutes(24 * 60);
    /// First pause before a step's next attempt; doubles.
    pub const RETRY_MIN: Span = Span::seconds(1);
    /// Longest pause before a step's next attempt, unless the provider asks for more.
    pub const RETRY_MAX: Span = Span::seconds(30);
    /// Tries to tell somebody before it is given up.
    pub const TELL_TRIES: u32 = 10;
    /// News that one message may hold.
    pub const NEWS_MAX: usize = 20;
    /// Longest line of a message's news, in bytes.
    pub const NEWS_BYTES_MAX: usize = 500;
    /// Longest text of a message, in bytes.
    pub const TELL_BYTES_MAX: usize = 4 * 1024;
    /// Longest pause that a receiver may ask for.
    pub const TELL_PAUSE_MAX: Span = Span::minutes(10);
    /// Longest line of a plan that is shown, in bytes.
    pub const PLAN_LINE_MAX: usize = 400;
    /// Most lines of a plan that are shown.
    pub const PLAN_LINES_MAX: usize = 40;
    /// A verdict that changes so often…
    pub const FLAP_CHANGES: usize = 6;
    /// … within this time flaps; unchanged for as long it is steady.
    pub const FLAP_WINDOW: Span = Span::minutes(10);
    /// Longest time for one try to tell.
    pub const TELL_TIMEOUT: Span = Span::seconds(10);
    /// No runner takes a command for this long: the run says so.
    pub const NO_SERVER: Span = Span::minutes(2);
    /// The system speaks of itself at most so often.
    pub const SYSTEM_TELLS: Span = Span::minutes(60);
    /// Fewest destructive attempts that a budget's key remembers.
    pub const SPENDS_MIN: u32 = 100;
    /// A silence of the log that makes a takeover suspect (rule 14).
    pub const SUSPECT_SILENCE: Span = Span::minutes(15);
    /// A difference of clocks that makes a takeover suspect (rule 14).
    pub const SUSPECT_SKEW: Span = Span::seconds(30);
}
