//! The terminal: taken, drawn on, and given back whatever happens.

use std::{io, time::Duration};

use anyhow::Context as _;
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use futures::StreamExt as _;
use ratatui::DefaultTerminal;
use regreen_kit::shutdown;
use tokio::time::{Instant, MissedTickBehavior};

use super::{
    draw::{Paint, draw},
    follow::Feeds,
};

/// Shortest time between two frames.
const FRAME_MIN: Duration = Duration::from_millis(200);
/// Longest time between two frames: ages go on.
const FRAME_MAX: Duration = Duration::from_secs(1);
/// Lines of one page up or down.
const PAGE: isize = 10;

/// A terminal that is given back when it goes out of scope; after a panic a hook has done so before the message.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| give_back())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    // A terminal that is gone needs nothing back.
    let _ = ratatui::try_restore();
}

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// Nothing.
    Nothing,
    /// A frame now.
    Redraw,
    /// So many lines further.
    Scroll(isize),
    /// To end.
    End,
}

/// Draws until a person or a signal ends it.
///
/// # Errors
/// When the terminal can't be had, or nothing is followed any more.
pub async fn run(mut feeds: Feeds, paint: Paint) -> anyhow::Result<()> {
    let mut screen = Screen::open().context("the terminal can't be used: try `regreen top --once`")?;
    let mut events = EventStream::new();
    let mut frames = tokio::time::interval(FRAME_MIN);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut signals = std::pin::pin!(shutdown::signals());
    let (mut scroll, mut changed, mut drawn) = (0usize, true, Instant::now());
    loop {
        tokio::select! {
            biased;
            () = &mut signals => return Ok(()),
            event = events.next() => match asked(&event.context("the terminal is gone")??) {
                Asked::End => return Ok(()),
                Asked::Nothing => {}
                Asked::Redraw => changed = true,
                Asked::Scroll(lines) => (scroll, changed) = (scroll.saturating_add_signed(lines), true),
            },
            _ = frames.tick() => if changed || drawn.elapsed() >= FRAME_MAX {
                let board = feeds.board();
                screen.0.draw(|frame| scroll = draw(&board, scroll, paint, frame.buffer_mut()))?;
                (changed, drawn) = (false, Instant::now());
            },
            newer = feeds.seen.changed() => {
                newer.context("the log is not followed any more: this is a bug of Regreen")?;
                changed = true;
            }
        }
    }
}

fn asked(event: &Event) -> Asked {
    match event {
        Event::Resize(..) => Asked::Redraw,
        Event::Key(key) if key.kind != KeyEventKind::Release => pressed(*key),
        _ => Asked::Nothing,
    }
}

fn pressed(key: KeyEvent) -> Asked {
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Asked::End,
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Asked::End,
        KeyCode::Up | KeyCode::Char('k') => Asked::Scroll(-1),
        KeyCode::Down | KeyCode::Char('j') => Asked::Scroll(1),
        KeyCode::PageUp => Asked::Scroll(-PAGE),
        KeyCode::PageDown => Asked::Scroll(PAGE),
        KeyCode::Home => Asked::Scroll(isize::MIN),
        KeyCode::End => Asked::Scroll(isize::MAX),
        _ => Asked::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let plain = |code| pressed(KeyEvent::new(code, KeyModifiers::NONE));
        let end = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!([plain(KeyCode::Char('q')), plain(KeyCode::Esc), pressed(end)], [Asked::End; 3]);
        assert_eq!(plain(KeyCode::Char('c')), Asked::Nothing);
        assert_eq!((plain(KeyCode::Up), plain(KeyCode::Down)), (Asked::Scroll(-1), Asked::Scroll(1)));
        assert_eq!(asked(&Event::Resize(80, 24)), Asked::Redraw);
        assert_eq!(0usize.saturating_add_signed(isize::MIN), 0, "home is the top from everywhere");
    }
}
