//! What a person at a terminal waits for, on standard error: what is being done and for how long, or how many
//! are done. It goes with the work, and is never there where a program reads.

use std::fmt;
use std::io::IsTerminal;
use std::time::Duration;

use demotic_core::number::Whole;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// From one look of the line to the next: it moves, so that nobody takes the program to hang.
const TURN: Duration = Duration::from_millis(250);

/// Does what cannot be counted; meanwhile it is told in words, such as `reading the pictures`. `is_told`: not
/// where JSON is asked for.
pub(crate) fn during<T>(what: &'static str, is_told: bool, work: impl FnOnce() -> T) -> T {
    let _line = Line::of(target(is_told), what);
    work()
}

/// How many of some things are done; the line goes with it.
#[must_use]
pub(crate) struct Count(Line);

impl Count {
    /// None yet of so many `things`. `is_told` as of [`during`].
    pub(crate) fn new(all: usize, things: &'static str, is_told: bool) -> Self {
        Self::of(target(is_told), all, things)
    }

    fn of(target: ProgressDrawTarget, all: usize, things: &'static str) -> Self {
        let template = "{bar:24} {pos}/{len} {msg}  {elapsed}{left}";
        Self(Line::new(target, Some(all.to_u64()), template, things))
    }

    /// One more is done.
    pub(crate) fn one(&self) {
        self.0.0.inc(1);
    }
}

/// A line that is drawn again and again until it is dropped.
struct Line(ProgressBar);

impl Line {
    fn of(target: ProgressDrawTarget, what: &'static str) -> Self {
        Self::new(target, None, "{spinner} {msg}  {elapsed}", what)
    }

    fn new(
        target: ProgressDrawTarget,
        all: Option<u64>,
        template: &str,
        message: &'static str,
    ) -> Self {
        let style = ProgressStyle::with_template(template).expect("the template is well formed");
        let style = style.with_key("left", left);
        let bar = ProgressBar::with_draw_target(all, target)
            .with_style(style)
            .with_message(message);
        if !bar.is_hidden() {
            bar.enable_steady_tick(TURN);
        }
        Self(bar)
    }
}

/// How long the rest takes: not before one is done, for nobody knows.
fn left(state: &ProgressState, line: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        // A line that cannot be drawn is no error.
        let _ = write!(line, ", left {:#}", HumanDuration(state.eta()));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The terminal; nothing where there is none.
fn target(is_told: bool) -> ProgressDrawTarget {
    if is_told && std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal that keeps what is written, `<` for a line that is cleared.
    #[derive(Clone, Debug, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl Screen {
        fn target(&self) -> ProgressDrawTarget {
            ProgressDrawTarget::term_like(Box::new(self.clone()))
        }

        fn text(&self) -> String {
            self.0.lock().expect("no writer panics").clone()
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().expect("no writer panics").push_str(text);
            Ok(())
        }

        fn clear_line(&self) -> io::Result<()> {
            self.write_str("<")
        }

        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_is_told_what_is_done_and_the_line_goes_with_the_work() {
        let screen = Screen::default();
        let count = Count::of(screen.target(), 2, "pictures");
        count.0.0.force_draw();
        let text = screen.text();
        assert!(text.contains(" 0/2 pictures  "), "{text}");
        assert!(!text.contains("left"), "nobody knows yet: {text}");
        count.one();
        count.0.0.force_draw();
        let text = screen.text();
        let parts = [" 1/2 pictures  ", "s, left "];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        drop(count);
        assert!(screen.text().ends_with('<'), "{:?}", screen.text());

        let screen = Screen::default();
        let line = Line::of(screen.target(), "reading the pictures");
        line.0.force_draw();
        assert!(screen.text().contains(" reading the pictures  "));
        drop(line);
        assert!(screen.text().ends_with('<'), "{:?}", screen.text());
    }

    #[test]
    fn where_json_is_asked_for_nothing_is_told() {
        assert!(target(false).is_hidden());
        assert_eq!(during("adding", false, || 1 + 1), 2);
    }
}
