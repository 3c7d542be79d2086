//! A picture on the terminal, which is left as it was found.

use std::fs::File;
use std::io::{Read, Write};
use std::time::SystemTime;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::picture::{self, Locks, Size};
use crate::signals::Blocked;
use crate::terminal::Terminal;

/// The other screen, without a cursor and without breaking lines.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// A terminal that knows these shows what is between them at once.
const BEGIN: &str = "\x1b[?2026h\x1b[H";
const END: &str = "\x1b[J\x1b[?2026l";

/// The terminal's screen while it shows locks.
pub(super) struct Screen {
    terminal: Terminal,
    device: File,
    /// How the terminal treats keys when this program does not run.
    before: Option<Termios>,
    heading: String,
    remark: String,
    note: &'static str,
    locks: Locks,
    is_gone: bool,
}

impl Screen {
    /// `None` if the terminal is not this program's, such as for a job in the background. `quit` is
    /// called for the key `q`, and says whether more keys are of interest.
    pub(super) fn open(heading: String, quit: impl Fn() -> bool + Send + 'static) -> Option<Self> {
        let terminal = Terminal::open().filter(Terminal::is_ours)?;
        let device = terminal.device().try_clone().ok()?;
        let keys = device.try_clone().ok()?;
        let mut screen = Self {
            terminal,
            device,
            before: None,
            heading,
            remark: String::new(),
            note: "",
            locks: Locks::new(),
            is_gone: false,
        };
        screen.enter();
        let listen = move || read_keys(keys, &quit);
        // Without it, Ctrl-C is left.
        std::thread::Builder::new().name("distlock-keys".to_owned()).spawn(listen).ok();
        Some(screen)
    }

    /// A remark for as long as there is no other one.
    pub(super) fn note(&mut self, note: &'static str) {
        self.note = note;
    }

    pub(super) fn show(&mut self, locks: Locks) {
        self.locks = locks;
        self.remark.clear();
        self.redraw();
    }

    /// What is shown may be old, and why.
    pub(super) fn fail(&mut self, why: String) {
        self.remark = why;
        self.redraw();
    }

    /// Whether there is no terminal any more.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Stops this program as Ctrl-Z does, and returns when it is in the foreground again.
    pub(super) fn stop(&mut self, blocked: &Blocked) {
        self.leave();
        blocked.stop();
        // `bg` continues it where it may not draw. Where nobody can stop it, it goes on all the same.
        for _ in 0..100 {
            if self.terminal.is_ours() {
                break;
            }
            blocked.stop_again();
        }
        self.enter();
        self.redraw();
    }

    pub(super) fn redraw(&mut self) {
        let remark = if self.remark.is_empty() { self.note } else { &self.remark };
        let now = SystemTime::now();
        let lines = picture::lines(&self.heading, remark, &self.locks, now, self.size());
        let mut frame = BEGIN.to_owned();
        for (number, line) in lines.iter().enumerate() {
            frame.push_str(if number == 0 { "" } else { "\r\n" });
            // The heads of the columns are bold.
            let is_head = number == 2;
            frame.push_str(if is_head { "\x1b[1m" } else { "" });
            frame.push_str(line);
            frame.push_str(if is_head { "\x1b[m\x1b[K" } else { "\x1b[K" });
        }
        frame.push_str(END);
        self.write(&frame);
    }

    fn size(&self) -> Size {
        let size =
            tcgetwinsize(&self.device).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
        size.map_or(Size { lines: 24, columns: 79 }, |size| Size {
            lines: size.ws_row.into(),
            // What clears the rest of a line would clear a character in the last column.
            columns: usize::from(size.ws_col) - 1,
        })
    }

    fn enter(&mut self) {
        // Keys come one by one, and are not shown; those that make signals still make them.
        if let Ok(before) = tcgetattr(&self.device) {
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            tcsetattr(&self.device, OptionalActions::Now, &quiet).ok();
            self.before = Some(before);
        }
        self.write(ENTER);
    }

    fn leave(&mut self) {
        self.write(LEAVE);
        if let Some(before) = self.before.take() {
            // What was typed is not for whoever comes next.
            tcsetattr(&self.device, OptionalActions::Flush, &before).ok();
        }
    }

    fn write(&mut self, text: &str) {
        // In one piece, so that no half picture is seen.
        if self.device.write_all(text.as_bytes()).is_err() {
            self.is_gone = true;
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

fn read_keys(mut keys: File, quit: &impl Fn() -> bool) {
    let mut key = [0];
    while let Ok(1) = keys.read(&mut key) {
        if matches!(key, [b'q' | b'Q']) && !quit() {
            return;
        }
    }
}
