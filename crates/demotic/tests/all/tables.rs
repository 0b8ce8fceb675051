//! Tables at the widths of terminals. `COLUMNS` says how many columns there are where output is no terminal.

use crate::support::{Place, said, words};

#[test]
fn tables_fit_the_width_and_are_whole_where_a_program_reads() {
    let place = Place::with_run_on_discs();
    let in_place = |place: &Place, columns: Option<usize>, arguments: &str| {
        let mut command = place.command(&words(arguments));
        if let Some(columns) = columns {
            command.env("COLUMNS", columns.to_string());
        }
        said(command).done().out
    };
    let evaluate = "evaluate --run run --device flex";
    let compare = "compare --config tiny.toml --devices flex --steps 4";
    let bench = "bench --device flex --secs 0.01 --only cpu/flex/B8_8x8_L3";
    for (arguments, kept) in [
        (
            // The longest names there are.
            "data inspect --size-px 16 --styles fluent-high-contrast,openmoji,openmoji-line emoji",
            &[" train", " test", "aligned", "openmoji"][..],
        ),
        (
            evaluate,
            &["model", "nearest", "l1", "ssim", "perceptual", "in sum"],
        ),
        (compare, &["s a step", "pictures/s", "G grad", "G step"]),
        (bench, &["ms", "crf_grid/cpu/flex/B8_8x8_L3"]),
        ("devices", &["flex", "auto"]),
        ("configs", &["quickstart"]),
    ] {
        for columns in [60, 80, 120, 200] {
            let out = in_place(&place, Some(columns), arguments);
            for line in out.lines() {
                let width = line.chars().count();
                assert!(width <= columns, "{arguments}: {width} of {columns}: {out}");
            }
            for word in kept {
                assert!(
                    out.contains(word),
                    "{arguments}, {columns}: `{word}` of {out}"
                );
            }
        }
    }
    // Where a row has no room for its figures, each direction is a heading, and each line says whose figures
    // it has: also of so few pictures that there are no intervals to leave out.
    for columns in [60, 80] {
        let out = in_place(&place, Some(columns), evaluate);
        let lines = out.lines().filter(|line| line.starts_with("  model "));
        assert!(lines.count() >= 2 && out.contains(" -> "), "{out}");
    }
    // What a line has no room for is named; a program gets all of it in one line a row.
    let note = "intervals, held-out ones: in a wider terminal, and in the JSON";
    // Of fewer than 30 pictures there are none.
    let of_enough = Place::with_run();
    let [narrow, whole] = [Some(80), None].map(|columns| in_place(&of_enough, columns, evaluate));
    assert!(
        narrow.contains(note) && !whole.contains(note),
        "{narrow}\n{whole}"
    );
    let row = |line: &&str| line.contains("model") && line.matches('(').count() >= 4;
    assert!(whole.lines().any(|line| row(&line)), "{whole}");
    assert!(!narrow.lines().any(|line| row(&line)), "{narrow}");
}
