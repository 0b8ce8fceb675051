//! The contact sheet of `demotic data inspect`: pictures of every style under its name.

use demotic_core::data::{Dataset, Split};

use crate::samples::sheet_names;
use crate::sheet::{self, Block, Sheet};

/// Rows of a contact sheet.
const SHEET_ROWS: usize = 24;

/// Names that styles share, one per row; and below them, each in a column of its own, the styles that share
/// none of those.
pub(super) fn contact_sheet(dataset: &Dataset) -> Sheet {
    let styles: Vec<usize> = (0..dataset.styles().len()).collect();
    let of_item = |item: usize| {
        styles
            .iter()
            .filter(|&&style| dataset.has_picture(style, item))
            .count()
    };
    let all: Vec<usize> = (0..dataset.item_count()).collect();
    let most = all.iter().map(|&item| of_item(item)).max().unwrap_or(0);
    let shared: Vec<usize> = all
        .into_iter()
        .filter(|&item| most > 1 && of_item(item) == most)
        .collect();
    let shown = evenly(&shared);
    let (together, alone): (Vec<usize>, Vec<usize>) = styles
        .iter()
        .partition(|&&style| shown.iter().any(|&item| dataset.has_picture(style, item)));
    let picture = |style: usize, item: usize| {
        let is_there = dataset.has_picture(style, item);
        is_there.then(|| dataset.picture(style, item))
    };
    let paired: Vec<Vec<Option<Vec<f32>>>> = shown
        .iter()
        .map(|&item| together.iter().map(|&style| picture(style, item)).collect())
        .collect();
    let of_style: Vec<Vec<usize>> = alone
        .iter()
        .map(|&style| {
            let splits = Split::ALL.map(|split| dataset.items(style, split));
            let mut items = splits.concat();
            items.sort_unstable();
            evenly(&items)
        })
        .collect();
    let rows = of_style.iter().map(Vec::len).max().unwrap_or(0);
    let single: Vec<Vec<Option<Vec<f32>>>> = (0..rows)
        .map(|row| {
            let columns = alone.iter().zip(&of_style);
            columns
                .map(|(&style, items)| items.get(row).and_then(|&item| picture(style, item)))
                .collect()
        })
        .collect();
    let title = format!(
        "{} of {} names that styles share",
        shown.len(),
        shared.len()
    );
    let names = |columns: &[usize]| -> Vec<String> {
        let styles = columns.iter().map(|&style| &dataset.styles()[style]);
        styles.map(|style| style.name.clone()).collect()
    };
    let mut blocks = Vec::new();
    if !together.is_empty() {
        blocks.push(block(title, names(&together), &paired));
    }
    if !alone.is_empty() {
        blocks.push(block("styles by themselves".into(), names(&alone), &single));
    }
    let size_px = dataset.size_px() as usize;
    sheet::draw(&blocks, size_px, false, &sheet_names(dataset))
}

/// At most [`SHEET_ROWS`] of a list, spread evenly.
fn evenly(items: &[usize]) -> Vec<usize> {
    let stride = items.len().div_ceil(SHEET_ROWS).max(1);
    items.iter().step_by(stride).copied().collect()
}

fn block(title: String, columns: Vec<String>, rows: &[Vec<Option<Vec<f32>>>]) -> Block<'_> {
    Block {
        title,
        columns,
        rows: rows
            .iter()
            .map(|row| row.iter().map(Option::as_deref).collect())
            .collect(),
    }
}
