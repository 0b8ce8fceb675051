//! The terminal: how wide it is, whether it shows colours, and what fits into a line of it.

use std::io::IsTerminal;

use demotic_core::number::Whole;
use demotic_core::table::{WHOLE, shortened, width_of};

/// Columns where nothing says how many there are.
const COLUMNS: usize = 80;
/// Blocks of an eighth to eight eighths of a line's height.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Where the lines of a command go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Letters of a line.
    pub(crate) columns: usize,
    /// A person's terminal rather than a file or another program.
    pub(crate) is_screen: bool,
    is_coloured: bool,
}

impl Terminal {
    /// Standard output as it is now. Colours are left out where `NO_COLOR` is set to anything, and on a
    /// terminal that calls itself dumb.
    ///
    /// # Source
    /// <https://no-color.org>
    pub(crate) fn of_output() -> Self {
        let is_screen = std::io::stdout().is_terminal();
        let columns = terminal_size::terminal_size_of(std::io::stdout())
            .map(|(width, _)| usize::from(width.0))
            .filter(|columns| *columns > 0);
        let says = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            columns: columns.unwrap_or(COLUMNS),
            is_screen,
            is_coloured: is_screen
                && says("NO_COLOR").is_none()
                && says("TERM").is_none_or(|term| term != "dumb"),
        }
    }

    /// Letters that a line may have: those of a screen, elsewhere any number.
    pub(crate) fn width(self) -> usize {
        if self.is_screen { self.columns } else { WHOLE }
    }

    /// Columns for a table: those of a screen; elsewhere, where a program may read it, as many as it takes,
    /// unless `COLUMNS` says how many there are.
    pub(crate) fn of_table() -> usize {
        let output = Self::of_output();
        if output.is_screen {
            return output.columns;
        }
        let said = std::env::var("COLUMNS").ok();
        let said = said.and_then(|columns| columns.parse().ok());
        said.map_or(WHOLE, |columns: usize| columns.clamp(1, WHOLE))
    }

    /// A text of lines whose first word says what they are about: that word in its colour.
    pub(crate) fn painted(self, text: &str) -> String {
        if !self.is_coloured {
            return text.to_owned();
        }
        let lines = text.split('\n').map(|line| {
            let (word, rest) = line.split_at(line.find(' ').unwrap_or(line.len()));
            let colour = match word {
                "warn" | "back" | "early" => "33",
                "failed" | "error" => "31",
                "done" | "next" => "32",
                "run" | "device" | "data" | "model" | "train" | "size" | "time" | "set"
                | "names" | "left" | "margin" | "more" | "step" | "valid" | "pace" | "resume"
                | "end" => "36",
                _ => return line.to_owned(),
            };
            format!("\x1b[{colour}m{word}\x1b[0m{rest}")
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// A line cut to what a screen shows of it; whole where it goes elsewhere.
    pub(crate) fn cut(self, line: &str) -> String {
        if !self.is_screen {
            return line.to_owned();
        }
        shortened(line, self.columns)
    }
}

/// Parts in their order, two blanks between; of those that do not fit, the last in rank are left out.
pub(crate) fn fitted(parts: &[(usize, String)], columns: usize) -> String {
    let mut ranks: Vec<usize> = parts.iter().map(|(rank, _)| *rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let up_to = |most: usize| {
        let kept = parts.iter().filter(|(rank, _)| *rank <= most);
        let kept: Vec<&str> = kept.map(|(_, part)| part.as_str()).collect();
        kept.join("  ")
    };
    let lines = ranks.iter().rev().map(|rank| up_to(*rank));
    let mut lines = lines.filter(|line| width_of(line) <= columns);
    lines
        .next()
        .unwrap_or_else(|| ranks.first().map_or_else(String::new, |rank| up_to(*rank)))
}

/// Numbers as blocks, the lowest one's an eighth high; the newest last, at most `width` of them.
pub(crate) fn spark(values: &[f32], width: usize) -> String {
    let shown = &values[values.len().saturating_sub(width)..];
    let finite = || shown.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (
        finite().fold(f32::INFINITY, f32::min),
        finite().fold(f32::NEG_INFINITY, f32::max),
    );
    let block = |value: f32| {
        let share = if high > low {
            (value - low) / (high - low)
        } else {
            0.0
        };
        BLOCKS[(share * 7.0).round().to_usize()]
    };
    finite().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(is_coloured: bool) -> Terminal {
        Terminal {
            columns: 12,
            is_screen: true,
            is_coloured,
        }
    }

    #[test]
    fn only_a_terminal_with_colours_gets_them() {
        let text = "warn   it is\nunknown word\nstep";
        assert_eq!(terminal(false).painted(text), text);
        assert_eq!(
            terminal(true).painted(text),
            "\x1b[33mwarn\x1b[0m   it is\nunknown word\n\x1b[36mstep\x1b[0m"
        );
    }

    #[test]
    fn a_line_is_cut_on_a_screen_alone() {
        assert_eq!(terminal(false).cut("twelve lette"), "twelve lette");
        assert_eq!(terminal(false).cut("twelve letters"), "twelve lett…");
        let file = Terminal {
            is_screen: false,
            ..terminal(false)
        };
        assert_eq!(file.cut("twelve letters"), "twelve letters");
    }

    #[test]
    fn parts_that_do_not_fit_go_by_their_rank() {
        let parts = [(0, "step 1"), (2, "d 0.5"), (1, "g 0.25"), (0, "left 3s")]
            .map(|(rank, text)| (rank, text.to_owned()));
        assert_eq!(fitted(&parts, 40), "step 1  d 0.5  g 0.25  left 3s");
        assert_eq!(fitted(&parts, 29), "step 1  g 0.25  left 3s");
        assert_eq!(fitted(&parts, 22), "step 1  left 3s");
        assert_eq!(
            fitted(&parts, 3),
            "step 1  left 3s",
            "what must be told is told"
        );
    }

    #[test]
    fn numbers_are_blocks_of_their_height() {
        assert_eq!(spark(&[1.0, 8.0, 4.5, f32::NAN, 1.0], 10), "▁█▅▁");
        assert_eq!(spark(&[9.0, 2.0, 2.0], 2), "▁▁");
        assert_eq!(spark(&[], 4), "");
    }
}
