//! The list as text: a few lines of sums, then one line for each destination.

use std::fmt::Write;

use super::board::{Board, Row};

/// Headings and widths; the last two columns hold ids and are as wide as they are.
pub(super) const COLUMNS: [(&str, usize); 10] = [
    ("STATE", 9),
    ("AGE", 6),
    ("BACKLOG", 9),
    ("FLIGHT", 6),
    ("GOOD/S", 8),
    ("BAD/S", 8),
    ("LIMIT", 6),
    ("NEXT", 6),
    ("APPLICATION", 27),
    ("ENDPOINT", 27),
];

/// The whole of it.
pub(super) fn text(board: &Board) -> String {
    let mut text = String::new();
    for line in summary(board) {
        text.push_str(&line);
        text.push('\n');
    }
    text.push('\n');
    let heading = COLUMNS.map(|(heading, _)| heading.to_owned());
    for cells in std::iter::once(heading).chain(board.destinations.iter().map(cells)) {
        text.push_str(aligned(&cells).trim_end());
        text.push('\n');
    }
    text
}

/// Who was asked, and the sums.
pub(super) fn summary(board: &Board) -> Vec<String> {
    let lanes: u16 = board.dispatchers.iter().map(|asked| asked.lanes).sum();
    let answered = board.dispatchers.len() - board.silent();
    let totals = &board.totals;
    let mut lines = vec![format!(
        "{answered} of {} dispatchers, {lanes} lanes   {} destinations by {}   backlog {}   in flight {}   \
         delivered {:.1}/s   failed {:.1}/s",
        board.dispatchers.len(),
        board.total,
        board.sort.name(),
        totals.backlog,
        totals.in_flight,
        totals.per_second.delivered,
        totals.per_second.failed(),
    )];
    for asked in &board.dispatchers {
        if let Some(error) = &asked.error {
            lines.push(format!("{} does not answer: {error}", asked.url));
        }
    }
    lines
}

/// One destination, column by column.
pub(super) fn cells(row: &Row) -> [String; COLUMNS.len()] {
    let span = |seconds: Option<f64>| seconds.map_or("-".to_owned(), short);
    let pinned = if row.pinned { "*" } else { "" };
    [
        format!("{}{pinned}", row.state),
        span(row.oldest_due_age_seconds),
        row.backlog.to_string(),
        row.in_flight.to_string(),
        format!("{:.1}", row.per_second.delivered),
        format!("{:.1}", row.per_second.failed()),
        span(Some(row.limiter_wait_seconds).filter(|wait| *wait > 0.0)),
        span(row.next_attempt_seconds),
        row.app_id.clone(),
        row.endpoint_id.clone(),
    ]
}

/// Whether the column holds figures.
pub(super) fn is_figure(column: usize) -> bool {
    (1..=7).contains(&column)
}

fn aligned(cells: &[String; COLUMNS.len()]) -> String {
    let mut line = String::new();
    for (column, (cell, (_, width))) in cells.iter().zip(COLUMNS).enumerate() {
        // Writing to a String cannot fail.
        let _ = match is_figure(column) {
            true => write!(line, "{cell:>width$}  "),
            false => write!(line, "{cell:<width$}  "),
        };
    }
    line
}

/// A span of time in at most five characters or so.
fn short(seconds: f64) -> String {
    match seconds {
        ..10.0 => format!("{seconds:.1}s"),
        10.0..120.0 => format!("{seconds:.0}s"),
        120.0..7_200.0 => format!("{:.0}m", seconds / 60.0),
        7_200.0..172_800.0 => format!("{:.0}h", seconds / 3_600.0),
        _ => format!("{:.0}d", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::board::{
        Sort,
        tests::{page, row, url},
    };

    #[test]
    fn it_reads_as_a_table() {
        let rows = vec![row("ep_1", "open", 10_000, Some(2_412.5), 0.0)];
        let answers = vec![(url(1), Ok(page("a", rows))), (url(2), Err("refused".to_owned()))];
        let text = text(&Board::of(answers, Sort::Age, 50));
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[0].starts_with("1 of 2 dispatchers, 32 lanes   7 destinations by age"),
            "{text}"
        );
        assert!(lines[0].ends_with("delivered 1.5/s   failed 1.0/s"), "{text}");
        assert_eq!(lines[1], "http://127.0.0.1:2/ does not answer: refused");
        let words: Vec<_> = lines[4].split_whitespace().collect();
        assert_eq!(words, ["open", "40m", "10000", "1", "0.0", "0.5", "-", "-", "app_1", "ep_1"]);
        assert_eq!(lines[3].find("ENDPOINT"), lines[4].find("ep_1"));
    }

    #[test]
    fn spans_are_short() {
        for (seconds, text) in
            [(0.0, "0.0s"), (41.2, "41s"), (120.0, "2m"), (7_200.0, "2h"), (4e5, "5d")]
        {
            assert_eq!(short(seconds), text);
        }
    }
}
