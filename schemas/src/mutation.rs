//! Wrong builds, one a rule, to show that the property test and the simulation would notice. Without the feature
//! `mutations`, which no release has, there is none and every question answers no at compile time. It stands here
//! because every crate that keeps a rule can see it.

/// A mistake that this thread can be told to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Dispatches while catching up (rule 13).
    DispatchWhileCatchingUp,
    /// Makes attempt n+1 because a deadline passed (rule 17).
    RepeatBlindly,
    /// Starts although the lock is held.
    IgnoreLock,
    /// Starts within the cooldown.
    IgnoreCooldown,
    /// Spends more than the budget.
    IgnoreBudget,
    /// Acts while most of a group is not up.
    IgnoreStorm,
    /// Acts below the healthy minimum.
    IgnoreMinHealthy,
    /// Takes looks from before the effect for a verify (rule 23).
    StaleLooks,
    /// Decides an alert twice.
    DecideTwice,
    /// Dispatches while stopped (rule 16).
    IgnoreStop,
    /// Takes an unknown verdict for down.
    UnknownIsDown,
    /// Starts a second run for an episode that was handled.
    ForgetHandled,
    /// Takes a result from hands that do not hold the ticket.
    AnyHands,
    /// Never gives an open run a deadline.
    NoDeadline,
    /// Takes anybody's yes.
    AnybodyApproves,
    /// Takes a yes to another plan.
    AnyPlan,
    /// Sends more by a credential than its rate allows.
    IgnoreRate,
    /// Lets commands out before their record is acknowledged (rule 6).
    LetOutEarly,
    /// Takes a write in doubt for written (rule 7).
    TrustDoubt,
    /// Decides without a net: a panic takes the engine down (rule 10).
    NoNet,
    /// Takes the wall clock for `now` (rule 12).
    WallClock,
    /// Repeats what is idempotent without a ticket (rule 15).
    NoTicket,
    /// Takes tickets without the stop's guard (rule 16).
    NoStopGuard,
    /// Takes a silent vantage's last words for still true (rule 22).
    SilenceIsConsent,
    /// No mistake of a rule: panics on an alert with the label `poison`, for rule 10 to be needed.
    Poison,
}

#[cfg(feature = "mutations")]
mod active {
    use std::cell::RefCell;

    use super::Mutation;

    thread_local!(static ACTIVE: RefCell<Vec<Mutation>> = const { RefCell::new(Vec::new()) });

    /// Makes this thread make these mistakes, and no other.
    pub fn set(mutations: impl IntoIterator<Item = Mutation>) {
        ACTIVE.with_borrow_mut(|active| {
            active.clear();
            active.extend(mutations);
        });
    }

    /// Whether this thread shall make the mistake.
    #[must_use]
    pub fn is(mutation: Mutation) -> bool {
        ACTIVE.with_borrow(|active| active.contains(&mutation))
    }
}

#[cfg(feature = "mutations")]
pub use active::{is, set};

/// Never, in a build without the feature.
#[cfg(not(feature = "mutations"))]
#[must_use]
pub const fn is(_: Mutation) -> bool {
    false
}
