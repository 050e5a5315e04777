//! The list on a terminal: drawn anew with each answer, and when a key asks for another order.

use std::{pin::pin, time::Duration};

use anyhow::Context;
use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use futures_util::StreamExt;
use ratatui::{
    DefaultTerminal, Frame,
    layout::{Constraint, Layout},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Cell, Paragraph, Row as TableRow, Table},
};
use tokio::time;

use super::{
    board::{Board, Row, Sort},
    client::Dispatchers,
    table::{COLUMNS, cells, is_figure, summary},
};

const KEYS: &str = "q quit   a by age   b by backlog   r by rate   ↑ ↓ scroll";

/// Shows it until a key ends it. The terminal is given back as it was, whatever happens.
pub(super) async fn show(
    dispatchers: &Dispatchers,
    sort: Sort,
    every: Duration,
) -> anyhow::Result<()> {
    let mut terminal = ratatui::try_init().context("the terminal cannot be used")?;
    let shown = follow(&mut terminal, dispatchers, sort, every).await;
    ratatui::restore();
    shown
}

async fn follow(
    terminal: &mut DefaultTerminal,
    dispatchers: &Dispatchers,
    mut sort: Sort,
    every: Duration,
) -> anyhow::Result<()> {
    let asked = |sort, after| async move {
        time::sleep(after).await;
        dispatchers.ask(sort).await
    };
    // Keys interrupt no question, and what is slow to answer holds up no key.
    let mut asking = pin!(asked(sort, Duration::ZERO));
    let mut events = EventStream::new();
    let (mut board, mut scrolled) = (Board::default(), 0_usize);
    loop {
        tokio::select! {
            fresh = &mut asking => {
                board = fresh;
                asking.set(asked(sort, every));
            }
            event = events.next() => match event.transpose().context("no keys can be read")?.map(wish) {
                None | Some(Wish::Quit) => return Ok(()),
                Some(Wish::Sort(by)) => {
                    sort = by;
                    board.sort_by(sort);
                    asking.set(asked(sort, Duration::ZERO));
                }
                Some(Wish::Up) => scrolled = scrolled.saturating_sub(1),
                Some(Wish::Down) => scrolled += 1,
                Some(Wish::Nothing) => {}
            },
        }
        scrolled = scrolled.min(board.destinations.len().saturating_sub(1));
        terminal.draw(|frame| draw(frame, &board, scrolled)).context("nothing can be drawn")?;
    }
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Quit,
    Sort(Sort),
    Up,
    Down,
    /// To be drawn anew, at most.
    Nothing,
}

fn wish(event: Event) -> Wish {
    let Event::Key(key) = event else { return Wish::Nothing };
    if key.kind == KeyEventKind::Release {
        return Wish::Nothing;
    }
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Wish::Quit,
        KeyCode::Char('a') => Wish::Sort(Sort::Age),
        KeyCode::Char('b') => Wish::Sort(Sort::Backlog),
        KeyCode::Char('r') => Wish::Sort(Sort::Rate),
        KeyCode::Up => Wish::Up,
        KeyCode::Down => Wish::Down,
        _ => Wish::Nothing,
    }
}

fn draw(frame: &mut Frame<'_>, board: &Board, scrolled: usize) {
    let summary = summary(board);
    let height = u16::try_from(summary.len()).unwrap_or(u16::MAX);
    let [top, list, bottom] =
        Layout::vertical([Constraint::Length(height), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    let lines: Vec<_> = summary.into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines), top);
    let widths =
        COLUMNS.map(|(_, width)| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)));
    let heading = line(COLUMNS.map(|(heading, _)| heading.to_owned()));
    let rows =
        board.destinations.iter().skip(scrolled).map(|row| line(cells(row)).style(style(row)));
    let table = Table::new(rows, widths)
        .column_spacing(2)
        .header(heading.style(Style::new().add_modifier(Modifier::REVERSED)));
    frame.render_widget(table, list);
    frame.render_widget(Line::from(KEYS).style(Style::new().add_modifier(Modifier::DIM)), bottom);
}

fn line(cells: [String; COLUMNS.len()]) -> TableRow<'static> {
    TableRow::new(cells.into_iter().enumerate().map(|(column, cell)| {
        let text = Line::from(cell);
        Cell::from(if is_figure(column) { text.right_aligned() } else { text })
    }))
}

fn style(row: &Row) -> Style {
    match row.state.as_str() {
        "open" | "half_open" => Style::new().fg(Color::Red),
        "throttled" | "deferred" => Style::new().fg(Color::Yellow),
        "closed" | "deleted" => Style::new().add_modifier(Modifier::DIM),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::top::board::tests::{page, row, url};

    fn drawn(scrolled: usize) -> Vec<String> {
        let rows = (1..=30).map(|nth| row(&format!("ep_{nth}"), "open", 100 - nth, None, 0.0));
        let board = Board::of(vec![(url(1), Ok(page("a", rows.collect())))], Sort::Backlog, 50);
        let mut terminal = Terminal::new(TestBackend::new(132, 10)).unwrap();
        terminal.draw(|frame| draw(frame, &board, scrolled)).unwrap();
        let text = terminal.backend().to_string();
        text.lines().map(|line| line.trim_matches('"').trim_end().to_owned()).collect()
    }

    #[test]
    fn sums_list_and_keys_are_drawn() {
        let lines = drawn(0);
        assert!(lines[0].starts_with("1 of 1 dispatchers"), "{lines:#?}");
        assert!(lines[1].starts_with("STATE") && lines[1].ends_with("ENDPOINT"), "{lines:#?}");
        assert!(lines[2].starts_with("open") && lines[2].ends_with("ep_1"), "{lines:#?}");
        assert!(lines[8].ends_with("ep_7") && lines[9].starts_with("q quit"), "{lines:#?}");
        assert!(drawn(20)[2].ends_with("ep_21"));
    }

    #[test]
    fn keys_are_understood() {
        let pressed = |code| wish(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        assert_eq!(pressed(KeyCode::Char('q')), Wish::Quit);
        assert_eq!(pressed(KeyCode::Char('c')), Wish::Nothing);
        assert_eq!(pressed(KeyCode::Char('r')), Wish::Sort(Sort::Rate));
        assert_eq!(pressed(KeyCode::Down), Wish::Down);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(wish(Event::Key(interrupt)), Wish::Quit);
        assert_eq!(wish(Event::Resize(1, 1)), Wish::Nothing);
    }
}
