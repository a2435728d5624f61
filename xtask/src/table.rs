//! Results as tables.

use console::{Alignment, measure_text_width, pad_str};

use crate::error::Result;
use crate::output::{line, stdout_columns};
use crate::terminal::words;

/// What stands before a cell that is below the others of its row.
const BELOW_INDENT: usize = 2;

/// Prints rows, of which the first names the columns, on standard output.
pub(crate) fn table(rows: &[Vec<String>]) -> Result<()> {
    let lines = table_lines(rows, stdout_columns());
    lines.iter().flatten().try_for_each(line)
}

/// Prints names and their values on standard output.
pub(crate) fn pairs(rows: &[Vec<String>]) -> Result<()> {
    let lines = aligned(rows, stdout_columns());
    lines.iter().flatten().try_for_each(line)
}

/// The lines of each row of a table, of which the first names the columns. They are aligned,
/// if that fits into the columns of a terminal, but for last cells. If not, a row is a block
/// with a line for each cell. Nothing is cut, because someone will want to copy it.
pub(crate) fn table_lines(rows: &[Vec<String>], columns: Option<usize>) -> Vec<Vec<String>> {
    let lines = aligned(rows, columns);
    let fits = |line: &String| columns.is_none_or(|columns| measure_text_width(line) <= columns);
    if lines.iter().all(|lines| lines.first().is_none_or(fits)) {
        return lines;
    }
    let Some((names, rows)) = rows.split_first() else {
        return Vec::new();
    };
    let widths = names.iter().skip(1).map(|name| measure_text_width(name));
    let width = widths.max().unwrap_or_default();
    let room = columns.map(|columns| columns.saturating_sub(2 * BELOW_INDENT + width));
    let block = |row: &Vec<String>| {
        let cells = names.iter().zip(row).skip(1);
        let cells = cells.filter(|(_, cell)| !cell.is_empty());
        let below = cells.flat_map(|(name, cell)| {
            let names = std::iter::once(name.as_str()).chain(std::iter::repeat(""));
            let lines = names.zip(words(cell, room));
            lines.map(|(name, line)| format!("{:BELOW_INDENT$}{name:width$}  {line}", ""))
        });
        row.first().cloned().into_iter().chain(below).collect()
    };
    let heading = names.first().filter(|name| !name.is_empty());
    std::iter::once(heading.cloned().into_iter().collect())
        .chain(rows.iter().map(block))
        .collect()
}

/// The lines of each row: one with aligned cells, and one for a last cell that would not fit
/// into the columns of a terminal.
fn aligned(rows: &[Vec<String>], columns: Option<usize>) -> Vec<Vec<String>> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let cell = measure_text_width(cell);
            match widths.get_mut(column) {
                Some(width) => *width = (*width).max(cell),
                None => widths.push(cell),
            }
        }
    }
    let line = |cells: &[String]| {
        let padded: Vec<_> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| pad_str(cell, *width, Alignment::Left, None))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let lines = |row: &Vec<String>| {
        let whole = line(row);
        match row.split_last() {
            Some((last, others))
                if !others.is_empty()
                    && columns.is_some_and(|columns| measure_text_width(&whole) > columns) =>
            {
                vec![line(others), format!("{:BELOW_INDENT$}{last}", "")]
            }
            _ => vec![whole],
        }
    };
    rows.iter().map(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[&[&str]]) -> Vec<Vec<String>> {
        let row = |row: &&[&str]| row.iter().map(|&cell| cell.to_owned()).collect();
        cells.iter().map(row).collect()
    }

    #[test]
    fn a_last_cell_that_does_not_fit_is_below_its_row() {
        let table = rows(&[
            &["FUNCTION", "STATE", "URL"],
            &["count-stock", "Active", "https://one.example/"],
            &["日本", "Failed", ""],
        ]);
        let wide = [
            "FUNCTION     STATE   URL",
            "count-stock  Active  https://one.example/",
            "日本         Failed",
        ];
        let lines = |columns| table_lines(&table, columns).concat();
        assert_eq!(lines(None), wide);
        assert_eq!(lines(Some(41)), wide);
        assert_eq!(
            lines(Some(40)),
            [
                "FUNCTION     STATE   URL",
                "count-stock  Active",
                "  https://one.example/",
                "日本         Failed",
            ]
        );
        let pairs = rows(&[&["A", "1"], &["URL", "https://one.example/"]]);
        assert_eq!(
            aligned(&pairs, Some(24)).concat(),
            ["A    1", "URL", "  https://one.example/"]
        );
    }

    #[test]
    fn a_table_that_does_not_fit_is_a_block_for_each_row() {
        let table = rows(&[
            &["FUNCTION", "STATE", "URL"],
            &["count-stock", "Active", "https://one.example/"],
            &["日本", "Failed", ""],
        ]);
        assert_eq!(
            table_lines(&table, Some(18)).concat(),
            [
                "FUNCTION",
                "count-stock",
                "  STATE  Active",
                "  URL    https://one.example/",
                "日本",
                "  STATE  Failed",
            ]
        );
        let actions = rows(&[&["", "ROLE", "ACTION"], &["+", "one", "s3:Get, s3:Put"]]);
        assert_eq!(
            table_lines(&actions, Some(5)).concat(),
            [
                "+",
                "  ROLE    one",
                "  ACTION  s3:Get,",
                "          s3:Put"
            ]
        );
    }
}
