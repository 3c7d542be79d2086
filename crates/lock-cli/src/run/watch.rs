//! While the command runs: passes signals on, follows stops, and ends the command if its lock is
//! lost.

use std::time::Duration;

use distlock::{LockError, LockGuard, LossReason};
use rustix::process::{Signal, getpgrp, kill_current_process_group};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};

use crate::arguments;
use crate::output::{Span, tell};
use crate::run::group::{Change, End, Group};
use crate::signals::Blocked;
use crate::terminal::Terminal;

/// How often a group whose leader has ended is looked at: of other processes than its children, the
/// system tells nobody when they end.
const LOOK: Duration = Duration::from_millis(10);

/// A command that is asked to stop has so long to do so before we stop beside it: it may be without
/// a processor for a while, or first put its screen in order.
const STOPPING: Duration = Duration::from_secs(1);

/// A program that was stopped learns at once that it goes on.
const HOPE: Duration = Duration::from_secs(1);

/// What happens meanwhile.
pub(super) enum Event {
    Signal(Signal),
    Changed(Change),
    Lost(LossReason),
}

/// How it all ended.
pub(super) struct Outcome {
    pub(super) end: End,
    pub(super) is_lost: bool,
    /// Whether the keys of the terminal were for the command when it ended.
    pub(super) had_terminal: bool,
}

pub(super) struct Watch<'a> {
    arguments: &'a arguments::Run,
    blocked: &'a Blocked,
    guard: &'a LockGuard,
    group: Group,
    terminal: Option<Terminal>,
    /// Whether the command gets the terminal back when it goes on.
    wants_terminal: bool,
    /// Whether a key of the terminal has stopped the command.
    is_stopped: bool,
    /// How long to wait for the command to stop, before we stop as we were asked to.
    stops_until: Option<Instant>,
    /// When we let it go on for the last time.
    continued_at: Option<std::time::Instant>,
    /// Whether it has stopped because it wants the terminal, and we are in the background.
    is_starved: bool,
    /// How long to hope that a shell has stopped us for that, and lets us go on.
    hopes_until: Option<Instant>,
    had_terminal: bool,
    end: Option<End>,
    loss: Option<LossReason>,
    /// Whether the group was told to end, by us or by whoever signalled us.
    is_ending: bool,
    /// When no longer to wait for the group.
    patience: Option<Instant>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(
        arguments: &'a arguments::Run,
        blocked: &'a Blocked,
        guard: &'a LockGuard,
        group: Group,
        terminal: Option<Terminal>,
    ) -> Self {
        Self {
            arguments,
            blocked,
            guard,
            group,
            terminal,
            wants_terminal: false,
            is_stopped: false,
            stops_until: None,
            continued_at: None,
            is_starved: false,
            hopes_until: None,
            had_terminal: false,
            end: None,
            loss: None,
            is_ending: false,
            patience: None,
        }
    }

    /// Returns when the command has ended, and with it, if it was told to end, the rest of its group.
    pub(super) async fn until_end(mut self, inbox: &mut UnboundedReceiver<Event>) -> Outcome {
        loop {
            if let Some(end) = self.end
                && (!self.is_ending || self.group.is_gone())
            {
                return self.outcome(end);
            }
            let look = self.end.map(|_| Instant::now() + LOOK);
            let wake = [look, self.patience, self.stops_until, self.hopes_until];
            let wake = wake.into_iter().flatten().min();
            let event = tokio::select! {
                biased;
                event = inbox.recv() => event,
                () = until(wake) => None,
            };
            match event {
                Some(Event::Signal(signal)) => self.signalled(signal),
                Some(Event::Changed(Change::Stopped(number, at))) => self.stopped(number, at),
                Some(Event::Changed(Change::Ended(end))) => self.ended(end),
                Some(Event::Lost(reason)) => self.lost(reason),
                None => {}
            }
            if is_due(&mut self.stops_until) {
                self.stop_self();
            }
            if is_due(&mut self.hopes_until) {
                self.is_starved = false;
                self.starved();
            }
            if is_due(&mut self.patience)
                && let Some(end) = self.out_of_patience()
            {
                return self.outcome(end);
            }
        }
    }

    fn outcome(&self, end: End) -> Outcome {
        // The command may have ended before its loss was told.
        let is_lost = self.loss.is_some() || !self.guard.is_held();
        if self.loss.is_none() && is_lost {
            let name = &self.arguments.name;
            tell(format_args!("lock {name:?} was lost just before the command ended"));
        }
        Outcome { end, is_lost, had_terminal: self.had_terminal }
    }

    fn signalled(&mut self, signal: Signal) {
        match signal {
            Signal::TSTP => self.asked_to_stop(),
            // Before we have stopped.
            Signal::CONT
                if (self.is_stopped || self.stops_until.is_some())
                    && !self.blocked.is_asked_to_stop() =>
            {
                self.forget_stop();
                self.resume();
            }
            // Whoever stopped us for a terminal lets us go on. After any other stop, `stop_self` has
            // returned already, and a command that was stopped again since then is to stay so.
            Signal::CONT if self.is_starved => {
                self.is_starved = false;
                self.hopes_until = None;
                self.resume();
            }
            Signal::CONT => {}
            Signal::TERM | Signal::HUP => {
                self.forget_stop();
                self.is_ending = true;
                self.group.signal(signal);
                // Who is stopped hears it only when it goes on.
                self.group.signal(Signal::CONT);
            }
            Signal::INT | Signal::QUIT => {
                self.is_ending = true;
                self.group.signal(signal);
            }
            other => self.group.signal(other),
        }
    }

    /// Stops the command, and then us: it may still read, until it stands still, what is typed for the
    /// shell that sees us stopped.
    fn asked_to_stop(&mut self) {
        if self.is_stopped || self.is_starved || self.group.is_stopped() {
            return self.stop_self();
        }
        self.group.signal(Signal::TSTP);
        self.stops_until = Some(Instant::now() + STOPPING);
    }

    /// Returns when we go on, and the command with us.
    fn stop_self(&mut self) {
        self.stops_until = None;
        self.take_terminal();
        self.blocked.stop();
        if self.is_starved {
            self.hopes_until = Some(Instant::now() + HOPE);
        } else {
            self.resume();
        }
    }

    /// Goes on although we were asked to stop.
    fn forget_stop(&mut self) {
        if self.stops_until.take().is_some() {
            self.blocked.forget_stop();
        }
    }

    /// The command was stopped: by reading from the terminal, by a key, or by somebody.
    fn stopped(&mut self, number: i32, at: std::time::Instant) {
        // The stop that we asked for may be told only now, when both of us have gone on.
        if self.continued_at.is_some_and(|continued_at| at < continued_at) {
            return;
        }
        if self.stops_until.is_some() {
            return self.stop_self();
        }
        let Some(terminal) = &self.terminal else { return };
        if !self.group.is_stopped() {
            return;
        }
        let has_terminal = terminal.belongs_to(self.group.id());
        match Signal::from_named_raw(number) {
            Some(Signal::TTIN | Signal::TTOU) if terminal.is_ours() || has_terminal => {
                // It was not given to the command so far, which needs it now.
                self.resume_with_terminal();
            }
            Some(Signal::TTIN | Signal::TTOU) => {
                // We are in the background, and so is the command: the shell is to see it stopped.
                self.wants_terminal = true;
                self.is_starved = true;
                kill_current_process_group(Signal::TSTP).ok();
            }
            _ if has_terminal => {
                // All of our group stop, as if the key had been for them: so does a script around us.
                self.take_terminal();
                self.is_stopped = true;
                kill_current_process_group(Signal::TSTP).ok();
            }
            // Somebody stopped the command alone, and will let it go on.
            _ => {}
        }
    }

    /// Nobody let us go on, so nobody had stopped us: no shell watches us, and none will ever give us
    /// the terminal for which the command has stopped. To the command that is a hang-up.
    fn starved(&mut self) {
        if self.terminal.as_ref().is_some_and(Terminal::is_ours) {
            return self.resume();
        }
        self.group.signal(Signal::HUP);
        self.group.signal(Signal::CONT);
    }

    /// Lets the command go on, unless it has lost its lock: while we were stopped, nobody renewed it.
    fn resume(&mut self) {
        if !self.guard.is_held() {
            return;
        }
        self.is_stopped = false;
        if self.wants_terminal && self.terminal.as_ref().is_some_and(Terminal::is_ours) {
            self.resume_with_terminal();
        } else {
            self.let_go_on();
        }
    }

    fn let_go_on(&mut self) {
        self.continued_at = Some(std::time::Instant::now());
        self.group.signal(Signal::CONT);
    }

    fn resume_with_terminal(&mut self) {
        if let Some(terminal) = &self.terminal {
            terminal.give_to(self.group.id());
        }
        self.wants_terminal = true;
        self.let_go_on();
    }

    /// Takes it back, and says whether it was with the command.
    fn take_terminal(&mut self) -> bool {
        let id = self.group.id();
        let lent = self.terminal.as_ref().filter(|terminal| terminal.belongs_to(id));
        if let Some(terminal) = lent {
            terminal.give_to(getpgrp());
            self.wants_terminal = true;
        }
        lent.is_some()
    }

    fn ended(&mut self, end: End) {
        self.end = Some(end);
        self.had_terminal = self.take_terminal();
        if matches!(end, End::Signal(_)) {
            // The same signal, or a key, may have been for all of the group.
            self.is_ending = true;
        }
        if self.is_ending && self.patience.is_none() {
            self.patience = Some(Instant::now() + self.arguments.kill_after);
        }
    }

    fn lost(&mut self, reason: LossReason) {
        self.loss = Some(reason);
        self.forget_stop();
        self.is_ending = true;
        self.patience = Some(Instant::now() + self.arguments.kill_after);
        // Before anything is told: somebody else may hold the lock already.
        self.group.end();
        let (name, why) = (&self.arguments.name, self.why(reason));
        let grace = Span(self.arguments.kill_after);
        tell(format_args!(
            "lock {name:?} was lost: {why}; the command is ended, and killed after {grace}"
        ));
    }

    /// Why the lock was lost: as the library says it, but where the cure is an option of ours.
    fn why(&self, reason: LossReason) -> String {
        match reason {
            LossReason::Expired if !self.guard.lease().is_kept_alive() => {
                format!("{reason}, and this lease is not renewed; --ttl sets how long it is")
            }
            LossReason::MaxHold => format!("{reason}; --max-hold sets that"),
            _ => {
                let said = self.guard.ensure_held().err();
                let said = said.as_ref().map(LockError::message);
                let why = said.and_then(|said| said.strip_prefix("the lease was lost: "));
                why.map_or_else(|| reason.to_string(), str::to_owned)
            }
        }
    }

    /// The group had its time. After a loss it is killed; otherwise the rest of it is left to itself.
    fn out_of_patience(&self) -> Option<End> {
        if self.loss.is_none() {
            return self.end;
        }
        self.group.kill();
        if self.end.is_none() {
            tell("the command did not end in time and was killed");
        }
        self.end
    }
}

/// Whether this time has come, which it does once.
fn is_due(until: &mut Option<Instant>) -> bool {
    until.take_if(|until| *until <= Instant::now()).is_some()
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
