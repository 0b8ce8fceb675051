//! Tables and lines of text laid out for a width. What a line has no room for goes in a set order: intervals,
//! letters of names, columns of least importance; then the columns go below each other. A figure is never
//! cut.

/// A width that holds every table; also the largest that a format takes (`{:65535}`).
pub const WHOLE: usize = 0xffff;
/// Blanks between columns.
const GAP: usize = 2;
/// Letters that the topic of a line is padded to.
pub(crate) const TOPIC: usize = 6;
/// Stands for the letters that a name was shortened by.
const CUT: char = '…';
/// Letters that are two columns wide on a terminal: most of East Asia's and of the emoji.
const WIDE: [(u32, u32); 9] = [
    (0x1100, 0x115f),
    (0x2e80, 0xa4cf),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe30, 0xfe6f),
    (0xff00, 0xff60),
    (0xffe0, 0xffe6),
    (0x1f300, 0x1faff),
    (0x20000, 0x3fffd),
];
/// Letters that lie over the one before them.
const FLAT: [(u32, u32); 3] = [(0x300, 0x36f), (0x200b, 0x200f), (0xfe00, 0xfe0f)];

/// Columns of a terminal that a text takes.
pub fn width_of(text: &str) -> usize {
    let within = |ranges: &[(u32, u32)], letter: char| {
        let mut ranges = ranges.iter();
        ranges.any(|(low, high)| (*low..=*high).contains(&u32::from(letter)))
    };
    let width = |letter: char| {
        if within(&FLAT, letter) {
            0
        } else {
            1 + usize::from(within(&WIDE, letter))
        }
    };
    text.chars().map(width).sum()
}

/// A text with blanks behind it up to so many columns of a terminal.
pub fn padded(text: &str, width: usize) -> String {
    let room = " ".repeat(width.saturating_sub(width_of(text)));
    text.to_owned() + &room
}

/// The beginning of a text that takes at most `width` columns, marked where it was cut.
pub fn shortened(text: &str, width: usize) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        if width_of(&kept) + width_of(letter.encode_utf8(&mut [0; 4])) + 1 > width {
            break;
        }
        kept.push(letter);
    }
    kept.push(CUT);
    kept
}

/// A line broken at its blanks into lines of at most `width` columns. Where it begins with a topic, padded by
/// blanks or just as long as topics are padded to, those after the first begin below what follows it. A
/// longer word stays whole.
pub fn wrapped(line: &str, width: usize) -> String {
    if width_of(line) <= width {
        return line.to_owned();
    }
    let blanks = |text: &str| text.len() - text.trim_start_matches(' ').len();
    let lead = blanks(line);
    let word = line[lead..].find(' ').unwrap_or(line.len() - lead);
    let gap = blanks(&line[lead + word..]);
    let is_full = line.as_bytes().get(lead + TOPIC) == Some(&b' ');
    let second = match (gap, is_full) {
        (2.., _) => lead + word + gap,
        (_, true) => lead + TOPIC + 1,
        _ => lead,
    };
    let indent = if second <= width / 2 { second } else { lead };
    let (mut out, mut taken) = (line[..lead].to_owned(), lead);
    let mut is_first = true;
    let mut rest = &line[lead..];
    while !rest.is_empty() {
        let gap = blanks(rest);
        let end = rest[gap..].find(' ').map_or(rest.len(), |end| gap + end);
        let word = &rest[gap..end];
        if is_first || taken + gap + width_of(word) <= width {
            out.push_str(&rest[..end]);
            taken += gap + width_of(word);
        } else {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            out.push_str(word);
            taken = indent + width_of(word);
        }
        is_first = false;
        rest = &rest[end..];
    }
    out
}

/// A column of a table.
#[derive(Clone, Debug)]
pub struct Column {
    head: String,
    is_figure: bool,
    /// Columns that its text may be shortened to; a figure's never is.
    least: Option<usize>,
    /// 0 stays; of others, the highest go first.
    rank: usize,
}

impl Column {
    /// A column of names and words, from the left.
    pub fn text(head: impl Into<String>) -> Self {
        Self {
            head: head.into(),
            is_figure: false,
            least: None,
            rank: 0,
        }
    }

    /// A column of figures, to the right.
    pub fn figure(head: impl Into<String>) -> Self {
        Self {
            is_figure: true,
            ..Self::text(head)
        }
    }

    /// May be shortened to so many letters where there is no room.
    #[must_use]
    pub fn at_least(mut self, letters: usize) -> Self {
        self.least = Some(letters);
        self
    }

    /// May be left out where there is no room; the highest rank goes first.
    #[must_use]
    pub fn rank(mut self, rank: usize) -> Self {
        self.rank = rank;
        self
    }
}

/// What stands in a row and a column.
#[derive(Clone, Debug)]
pub struct Cell {
    long: String,
    /// Without its interval.
    short: Option<String>,
}

impl Cell {
    /// `0.075 (0.071 0.079)`, and `0.075` where there is no room.
    pub(crate) fn interval([value, low, high]: [f64; 3], digits: usize) -> Self {
        Self {
            long: format!("{value:.digits$} ({low:.digits$} {high:.digits$})"),
            short: Some(format!("{value:.digits$}")),
        }
    }

    fn shown(&self, is_short: bool) -> &str {
        match &self.short {
            Some(short) if is_short => short,
            _ => &self.long,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            long: text.into(),
            short: None,
        }
    }
}

/// Rows under heads.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// A table laid out for a width.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fitted {
    /// In order, without line ends; no blanks at their ends.
    pub lines: Vec<String>,
    /// What there was no room for: heads of columns, and `intervals`.
    pub left_out: Vec<String>,
    /// Whether a row takes several lines, for its columns stand below each other.
    pub is_split: bool,
}

impl Fitted {
    /// Puts another below.
    pub fn add(&mut self, other: Self) {
        self.is_split |= other.is_split;
        self.lines.extend(other.lines);
        for what in other.left_out {
            if !self.left_out.contains(&what) {
                self.left_out.push(what);
            }
        }
    }

    /// Where what was left out is to be had; nothing where all is there.
    pub fn note(&self) -> Option<String> {
        let what = self.left_out.join(", ");
        (!what.is_empty()).then(|| format!("{what}: in a wider terminal, and in the JSON"))
    }
}

impl Table {
    /// Without rows. Where every head is empty, there is no line of heads.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    ///
    /// # Panics
    /// If it has not as many cells as there are columns.
    pub fn push(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells: Vec<Cell> = cells.into_iter().collect();
        assert_eq!(cells.len(), self.columns.len(), "a cell a column");
        self.rows.push(cells);
    }

    /// Lays it out in lines of at most `width` columns.
    pub fn fitted(&self, width: usize) -> Fitted {
        let all: Vec<usize> = (0..self.columns.len()).collect();
        if line(&self.widths(&all, false)) <= width {
            return Fitted {
                lines: self.lines(&all, &self.widths(&all, false), false),
                ..Fitted::default()
            };
        }
        let has_short = self.rows.iter().flatten().any(|cell| cell.short.is_some());
        let mut left_out: Vec<String> = Vec::new();
        if has_short {
            left_out.push("intervals".to_owned());
        }
        let mut kept = all;
        loop {
            let widths = self.shrunk(&kept, width);
            if line(&widths) <= width {
                let lines = self.lines(&kept, &widths, true);
                return Fitted {
                    lines,
                    left_out,
                    is_split: false,
                };
            }
            // The last of those of the highest rank.
            let next = (0..kept.len()).max_by_key(|place| self.columns[kept[*place]].rank);
            match next.filter(|place| self.columns[kept[*place]].rank > 0) {
                Some(place) => left_out.push(self.columns[kept.remove(place)].head.clone()),
                None => break,
            }
        }
        Fitted {
            lines: self.below_each_other(&kept, width),
            left_out,
            is_split: true,
        }
    }

    /// Columns of names and words, and beside them as many figures as have room; the others below, with the
    /// names again. Without figures the first names the row.
    fn below_each_other(&self, kept: &[usize], width: usize) -> Vec<String> {
        let is_figure = |place: &&usize| self.columns[**place].is_figure;
        let figures: Vec<usize> = kept.iter().filter(is_figure).copied().collect();
        let names: Vec<usize> = kept
            .iter()
            .filter(|place| !is_figure(place))
            .copied()
            .collect();
        let (names, mut others) = if figures.is_empty() {
            kept.split_at(usize::from(kept.len() > 1))
        } else {
            (&names[..], &figures[..])
        };
        let mut lines = Vec::new();
        while !others.is_empty() {
            let fits = |count: &usize| {
                let part = [names, &others[..*count]].concat();
                line(&self.shrunk(&part, width)) <= width
            };
            let count = (1..=others.len()).rev().find(fits).unwrap_or(1);
            let part = [names, &others[..count]].concat();
            lines.extend(self.lines(&part, &self.shrunk(&part, width), true));
            others = &others[count..];
        }
        lines
    }

    /// Widths of columns as they are.
    fn widths(&self, kept: &[usize], is_short: bool) -> Vec<usize> {
        let of = |place: &usize| {
            let cells = self.rows.iter();
            let cells = cells.map(|row| width_of(row[*place].shown(is_short)));
            cells
                .max()
                .unwrap_or(0)
                .max(width_of(&self.columns[*place].head))
        };
        kept.iter().map(of).collect()
    }

    /// Widths without intervals, the widest names shortened as far as need be and may be.
    fn shrunk(&self, kept: &[usize], width: usize) -> Vec<usize> {
        let mut widths = self.widths(kept, true);
        while line(&widths) > width {
            let may = |place: &usize| {
                let least = self.columns[kept[*place]].least;
                least.is_some_and(|least| widths[*place] > least)
            };
            let widest = (0..kept.len())
                .filter(may)
                .max_by_key(|place| widths[*place]);
            let Some(widest) = widest else { break };
            widths[widest] -= 1;
        }
        widths
    }

    fn lines(&self, kept: &[usize], widths: &[usize], is_short: bool) -> Vec<String> {
        let laid = |texts: Vec<&str>| {
            let mut out = String::new();
            for ((place, text), width) in kept.iter().zip(texts).zip(widths) {
                let column = &self.columns[*place];
                let text = if column.least.is_some() {
                    shortened(text, *width)
                } else {
                    text.to_owned()
                };
                let room = " ".repeat(width.saturating_sub(width_of(&text)));
                let [before, after] = if column.is_figure {
                    [room, text]
                } else {
                    [text, room]
                };
                out.push_str(&before);
                out.push_str(&after);
                out.push_str(&" ".repeat(GAP));
            }
            out.trim_end().to_owned()
        };
        let heads = kept.iter().map(|place| self.columns[*place].head.as_str());
        let heads: Vec<&str> = heads.collect();
        let has_heads = heads.iter().any(|head| !head.is_empty());
        let rows = self.rows.iter().map(|row| {
            let texts = kept.iter().map(|place| row[*place].shown(is_short));
            laid(texts.collect())
        });
        has_heads
            .then(|| laid(heads))
            .into_iter()
            .chain(rows)
            .collect()
    }
}

/// Columns of a line of so wide cells.
fn line(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            Column::text("style").at_least(6),
            Column::figure("n").rank(1),
            Column::figure("l1"),
            Column::figure("ssim"),
        ]);
        let row = |name: &str, n: &str| {
            [
                name.into(),
                n.into(),
                Cell::interval([0.25, 0.125, 0.5], 3),
                "0.767".into(),
            ]
        };
        table.push(row("openmoji-line", "172"));
        table.push(row("noto", "9"));
        table
    }

    #[test]
    fn what_has_no_room_goes_in_its_order_and_no_figure_is_cut() {
        let shown = |width: usize| {
            let fitted = table().fitted(width);
            let widest = fitted.lines.iter().map(|line| width_of(line)).max();
            assert!(widest.is_some_and(|widest| widest <= width), "{fitted:#?}");
            (fitted.lines.join("\n"), fitted.left_out.join(", "))
        };
        let whole = "style            n                   l1   ssim\n\
                     openmoji-line  172  0.250 (0.125 0.500)  0.767\n\
                     noto             9  0.250 (0.125 0.500)  0.767";
        assert_eq!(shown(200), (whole.to_owned(), String::new()));
        assert_eq!(shown(46), (whole.to_owned(), String::new()));
        let values = "style            n     l1   ssim\n\
                      openmoji-line  172  0.250  0.767\n\
                      noto             9  0.250  0.767";
        assert_eq!(shown(45), (values.to_owned(), "intervals".to_owned()));
        let names = "style       n     l1   ssim\n\
                     openmoj…  172  0.250  0.767\n\
                     noto        9  0.250  0.767";
        assert_eq!(shown(27), (names.to_owned(), "intervals".to_owned()));
        let fewer = "style         l1   ssim\n\
                     openmojiz  0.250  0.767\n\
                     noto       0.250  0.767"
            .replace("openmojiz", "openmoji…");
        assert_eq!(shown(23), (fewer, "intervals, n".to_owned()));
        let below = "style      l1\n\
                     openm…  0.250\n\
                     noto    0.250\n\
                     style    ssim\n\
                     openm…  0.767\n\
                     noto    0.767";
        assert_eq!(shown(13), (below.to_owned(), "intervals, n".to_owned()));
        // Words behind a figure name the row, too.
        let mut ways = Table::new([
            Column::text("style"),
            Column::figure("n"),
            Column::text("method"),
            Column::figure("l1"),
        ]);
        ways.push(["noto".into(), "9".into(), "model".into(), "0.250".into()]);
        assert_eq!(
            ways.fitted(20).lines,
            [
                "style  method  n",
                "noto   model   9",
                "style  method     l1",
                "noto   model   0.250"
            ]
        );
        assert!(ways.fitted(20).is_split && !ways.fitted(40).is_split);
        // Narrower than a name and a figure: the figures are whole all the same.
        let lines = table().fitted(5).lines;
        assert!(
            lines.iter().any(|line| line.ends_with("0.767")),
            "{lines:?}"
        );
        assert_eq!(
            table().fitted(23).note().as_deref(),
            Some("intervals, n: in a wider terminal, and in the JSON")
        );
        assert_eq!(table().fitted(46).note(), None);
    }

    #[test]
    fn a_table_without_heads_has_rows_alone() {
        let mut table = Table::new([Column::text(""), Column::figure("")]);
        table.push(["style".into(), "12 train".into()]);
        table.push(["a".into(), "7 train".into()]);
        assert_eq!(
            table.fitted(80).lines,
            ["style  12 train", "a       7 train"]
        );
    }

    #[test]
    fn letters_of_two_columns_count_twice() {
        assert_eq!(width_of("笑死"), 4);
        assert_eq!(padded("笑死", 6), "笑死  ");
        assert_eq!(padded("笑死我", 4), "笑死我");
        assert_eq!(width_of("e\u{301}a"), 2);
        assert_eq!(width_of("😴"), 2);
        assert_eq!(shortened("笑死我了", 5), "笑死…");
    }

    #[test]
    fn long_lines_break_at_blanks_below_their_second_word() {
        assert_eq!(
            wrapped("note   of fewer than thirty pictures", 22),
            "note   of fewer than\n       thirty pictures"
        );
        assert_eq!(
            wrapped("        memory   1 GiB each", 20),
            "        memory   1\n        GiB each"
        );
        assert_eq!(
            wrapped("device flex of two threads", 20),
            "device flex of two\n       threads"
        );
        assert_eq!(
            wrapped("loss and gradient on flex", 20),
            "loss and gradient on\nflex"
        );
        assert_eq!(
            wrapped("in sum ahead in all figures", 20),
            "in sum ahead in all\n       figures"
        );
        assert_eq!(wrapped("short", 5), "short");
        assert_eq!(wrapped("unbreakable words", 4), "unbreakable\nwords");
        assert_eq!(wrapped("", 4), "");
    }
}
