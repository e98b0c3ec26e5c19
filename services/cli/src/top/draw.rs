//! A board as lines of a screen, or of a file. Pure: text outside the room is left out, and said so.

use std::borrow::Cow;

use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Row as TableRow, Table, Widget as _},
};

use super::{
    board::{Board, Row, Section, Tone},
    fit::{INDENT, share, wrap},
};

/// What the keys do.
const KEYS: &str = "q ends   up, down scroll the runs";
/// Between two columns.
const GAP: u16 = 2;

const RUNS: &[Constraint] = &[
    Constraint::Length(16),
    Constraint::Fill(2),
    Constraint::Fill(1),
    Constraint::Fill(6),
    Constraint::Length(6),
];
const CHECKS: &[Constraint] = &[Constraint::Length(8), Constraint::Length(36), Constraint::Fill(1)];
const ALERTS: &[Constraint] =
    &[Constraint::Length(16), Constraint::Fill(2), Constraint::Fill(5), Constraint::Length(6)];
/// One column: its text is wrapped.
const TEXT: &[Constraint] = &[Constraint::Fill(1)];

/// How it is painted.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    /// Without colour there is bold and dim alone (<https://no-color.org>).
    pub colour: bool,
}

impl Paint {
    fn style(self, tone: Tone) -> Style {
        let (colour, modifier) = match tone {
            Tone::Plain => (None, Modifier::empty()),
            Tone::Good => (Some(Color::Green), Modifier::empty()),
            Tone::Asks => (Some(Color::Yellow), Modifier::BOLD),
            Tone::Bad => (Some(Color::Red), Modifier::BOLD),
            Tone::Dim => (None, Modifier::DIM),
        };
        let style = Style::default().add_modifier(modifier);
        colour.filter(|_| self.colour).map_or(style, |colour| style.fg(colour))
    }
}

/// Draws a board over the whole buffer. Returns how far the runs are scrolled: no further than there are any.
pub fn draw(board: &Board, scroll: usize, paint: Paint, buffer: &mut Buffer) -> usize {
    let mut rest = buffer.area;
    head(board, paint).render(top(&mut rest, 1), buffer);
    rest.height = rest.height.saturating_sub(1);
    let keys = Rect { y: rest.bottom(), height: buffer.area.height.min(1), ..rest };
    if keys.y > 0 {
        Line::styled(KEYS, paint.style(Tone::Dim)).render(keys.intersection(buffer.area), buffer);
    }
    let scrolled = sections(board, scroll, paint, rest, buffer);
    scrolled.min(scroll)
}

/// A board as plain text, as tall as it needs to be.
pub fn text(board: &Board, width: u16) -> Vec<String> {
    let wants: u16 =
        parts(board, width).iter().fold(0, |sum, (section, _)| sum.saturating_add(want(section)));
    let area = Rect::new(0, 0, width, wants.saturating_add(1));
    let mut buffer = Buffer::empty(area);
    let mut rest = area;
    let paint = Paint { colour: false };
    head(board, paint).render(top(&mut rest, 1), &mut buffer);
    sections(board, 0, paint, rest, &mut buffer);
    let lines = area.rows().map(|row| line(&buffer, row).trim_end().to_owned());
    let mut lines: Vec<String> = lines.collect();
    lines.pop_if(|last| last.is_empty());
    lines
}

/// A wide character stands in the first of its cells.
fn line(buffer: &Buffer, row: Rect) -> String {
    let mut covered = 0;
    let mut text = String::new();
    for cell in row.columns().filter_map(|at| buffer.cell((at.x, at.y))) {
        if covered == 0 {
            text.push_str(cell.symbol());
            covered = Span::raw(cell.symbol()).width();
        }
        covered = covered.saturating_sub(1);
    }
    text
}

/// Takes lines off the top of what is left.
fn top(rest: &mut Rect, height: u16) -> Rect {
    let height = height.min(rest.height);
    let taken = Rect { height, ..*rest };
    (rest.y, rest.height) = (rest.y + height, rest.height - height);
    taken
}

fn head(board: &Board, paint: Paint) -> Line<'static> {
    let mut spans = vec![Span::styled("regreen", Style::default().add_modifier(Modifier::BOLD))];
    for (text, tone) in &board.head {
        spans.push(Span::raw(INDENT));
        spans.push(Span::styled(text.clone(), paint.style(*tone)));
    }
    Line::from(spans)
}

/// The sections in their order, with their columns.
fn parts(board: &Board, width: u16) -> [(Cow<'_, Section>, &'static [Constraint]); 5] {
    [
        (Cow::Owned(wrapped(&board.domain, width)), TEXT),
        (Cow::Owned(wrapped(&board.asks, width)), TEXT),
        (Cow::Borrowed(&board.runs), RUNS),
        (Cow::Borrowed(&board.checks), CHECKS),
        (Cow::Borrowed(&board.alerts), ALERTS),
    ]
}

fn sections(board: &Board, scroll: usize, paint: Paint, mut rest: Rect, buffer: &mut Buffer) -> usize {
    let parts = parts(board, rest.width);
    let wants: Vec<u16> = parts.iter().map(|(part, _)| want(part)).collect();
    let heights = share(rest.height, &wants);
    let mut scrolled = 0;
    for ((part, columns), height) in parts.iter().zip(heights) {
        let area = top(&mut rest, height);
        let room = usize::from(area.height.saturating_sub(1));
        let skip =
            if part.title == board.runs.title { scroll.min(part.rows.len().saturating_sub(room)) } else { 0 };
        scrolled = scrolled.max(skip);
        section(part, columns, skip, paint, area, buffer);
    }
    scrolled
}

/// Title, lines, and an empty line behind them.
fn want(section: &Section) -> u16 {
    u16::try_from(section.rows.len() + 2).unwrap_or(u16::MAX)
}

fn section(
    section: &Section,
    columns: &[Constraint],
    skip: usize,
    paint: Paint,
    mut area: Rect,
    buffer: &mut Buffer,
) {
    let title = top(&mut area, 1);
    let shown = (section.rows.len() - skip).min(usize::from(area.height));
    let mut summary = format!("{INDENT}{}", section.summary);
    if columns.len() == 1 && shown < section.total {
        // Its lines are not its things.
        summary.push_str(", cut");
    } else if shown > 0 && shown < section.total {
        summary.push_str(&format!(", {}–{} of {} here", skip + 1, skip + shown, section.total));
    } else if shown == 0 && section.total > 0 {
        summary.push_str(", no room here");
    }
    let name = Span::styled(section.title, Style::default().add_modifier(Modifier::BOLD));
    Line::from(vec![name, Span::styled(summary, paint.style(Tone::Dim))]).render(title, buffer);
    let rows = section.rows.iter().skip(skip).take(shown);
    let rows =
        rows.map(|row| TableRow::new(row.cells.iter().map(String::as_str)).style(paint.style(row.tone)));
    Table::new(rows, columns).column_spacing(GAP).render(area, buffer);
}

/// A section of text with each line broken at words.
fn wrapped(section: &Section, width: u16) -> Section {
    let lines = |row: &Row| {
        let tone = row.tone;
        wrap(&row.cells.concat(), usize::from(width)).into_iter().map(move |line| Row::new(tone, [line]))
    };
    let rows: Vec<Row> = section.rows.iter().flat_map(lines).collect();
    let more = rows.len() - section.rows.len();
    Section { rows, total: section.total + more, ..section.clone() }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};
    use regreen_decider::State;
    use regreen_schemas::Span as Time;

    use super::*;
    use crate::{
        fixture::{self, NOW},
        top::{
            board::Inputs,
            follow::{Ended, Seen},
        },
        wrong::Engine,
    };

    fn board(state: State, ended: Vec<Ended>, stopped: Option<&str>, engine: Engine) -> Board {
        let seen = Seen { state, ended, trouble: None };
        Board::new(&Inputs { seen: &seen, checks: None, stopped, engine, tick: Some(Time(340)) }, NOW)
    }

    fn screen(board: &Board, (width, height): (u16, u16), scroll: usize) -> (String, usize) {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal of memory");
        let mut scrolled = 0;
        let paint = Paint { colour: true };
        terminal.draw(|frame| scrolled = draw(board, scroll, paint, frame.buffer_mut())).expect("drawn");
        (terminal.backend().to_string(), scrolled)
    }

    fn busy() -> Board {
        board(fixture::busy(), fixture::ended(), Some("ana"), Engine::Heard)
    }

    #[test]
    fn a_calm_board() {
        let calm = board(fixture::calm(), fixture::ended(), None, Engine::Heard);
        insta::assert_snapshot!(screen(&calm, (120, 24), 0).0);
    }

    #[test]
    fn a_busy_board() {
        insta::assert_snapshot!(screen(&busy(), (120, 30), 0).0);
    }

    #[test]
    fn a_narrow_terminal() {
        insta::assert_snapshot!(screen(&busy(), (60, 12), 0).0);
    }

    #[test]
    fn no_size_is_too_small() {
        for width in (1..60).step_by(4) {
            for height in 1..12 {
                let (_, scrolled) = screen(&busy(), (width, height), usize::MAX);
                assert!(scrolled <= 5, "{width}x{height}: {scrolled}");
            }
        }
    }

    #[test]
    fn a_file_gets_all_lines_and_nothing_else() {
        let all = board(fixture::busy(), fixture::ended(), Some("ana"), Engine::Silent(Time::seconds(90)));
        insta::assert_snapshot!(text(&all, 100).join("\n"));
    }

    #[test]
    fn runs_scroll_to_their_end_and_no_further() {
        let (last, scrolled) = screen(&busy(), (120, 16), 100);
        assert!(scrolled > 0 && last.contains("aaaabbbbccccdddd"), "{last}");
        assert_eq!(screen(&busy(), (120, 16), scrolled), (last, scrolled));
        assert_eq!(screen(&busy(), (120, 60), 100).1, 0, "there is room for all");
    }

    #[test]
    fn without_colour_there_is_none() {
        let tones = [Tone::Plain, Tone::Good, Tone::Asks, Tone::Bad, Tone::Dim];
        assert!(tones.iter().all(|tone| Paint { colour: false }.style(*tone).fg.is_none()));
        assert_eq!(Paint { colour: true }.style(Tone::Bad).fg, Some(Color::Red));
    }
}
