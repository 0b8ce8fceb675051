//! What a run is, in plain words and few lines: its header has all of it, in log.txt and by `--explain`.

use std::path::Path;

use demotic_core::data::Split;
use demotic_core::table::{width_of, wrapped};
use demotic_core::train::{Header, Trainer};

use crate::terminal::Terminal;

/// Most letters of the line of settings; the file has all.
const SETTINGS: usize = 160;
/// Most lines.
const LINES: usize = 8;
/// What is about the pictures: broken rather than cut, for its end says what to do.
const ADVICE: [&str; 3] = ["left", "warn", "margin"];
/// What goes first where there are more: log.txt and header.json have it.
const SPARED: [&str; 4] = ["set ", "size ", "names ", "margin "];

/// The lines, each as long as the terminal allows; advice may take several.
pub(crate) fn greeting(
    run: &Path,
    trainer: &Trainer<'_>,
    header: &Header,
    time: Option<&str>,
    terminal: Terminal,
) -> Vec<String> {
    let (config, dataset) = (trainer.config(), trainer.dataset());
    let styles = dataset.styles();
    let count = |splits: &[Split]| {
        let of = |style: usize| {
            splits
                .iter()
                .map(move |split| dataset.items(style, *split).len())
        };
        thousands((0..styles.len()).flat_map(of).sum::<usize>() as u64)
    };
    let names: Vec<String> = styles.iter().map(|style| style.name.clone()).collect();
    let of = |topic: &str| -> Vec<&str> {
        let facts = header.facts.iter().filter(|fact| fact.topic == topic);
        facts.map(|fact| fact.text.as_str()).collect()
    };
    let (generator, discriminator) = trainer.parameter_counts();
    let mut lines = vec![
        format!("run    {}", run.display()),
        format!("device {}", of("device").join("; ")),
        listed(
            &format!(
                "data   {} pictures of {} px, {} held out: ",
                count(&[Split::Train]),
                dataset.size_px(),
                count(&[Split::Validation, Split::Test])
            ),
            &names,
            terminal.width(),
        ),
        sized(
            &format!(
                "train  {} steps of {} pictures; ",
                thousands(config.train.steps),
                config.train.batch
            ),
            [generator, discriminator].map(|count| thousands(count as u64)),
            terminal.width(),
        ),
    ];
    lines.extend(time.into_iter().flat_map(str::lines).map(str::to_owned));
    let settings: Vec<String> = header
        .settings
        .iter()
        .map(|entry| match entry.section.as_str() {
            "" => format!("{} {}", entry.key, entry.value),
            section => format!("{section}.{} {}", entry.key, entry.value),
        })
        .collect();
    if !settings.is_empty() {
        let columns = terminal.width().min(SETTINGS);
        lines.push(listed("set    ", &settings, columns));
    }
    lines.extend(of("names").into_iter().map(|text| format!("names  {text}")));
    // What was left out of the pictures, what may be wrong with them, and what training does about it.
    for topic in ADVICE {
        let texts = of(topic);
        if let Some(first) = texts.first() {
            let more = match texts.len() - 1 {
                0 => String::new(),
                more => format!("({more} more in log.txt) "),
            };
            lines.push(format!("{topic:<7}{more}{first}"));
        }
    }
    lines.push(
        "more   --explain says what everything here and below means; log.txt has it, too".into(),
    );
    few(lines, terminal.width())
        .iter()
        .map(|line| terminal.cut(line))
        .collect()
}

/// At most [`LINES`] of the lines, as far as there are some to spare: for the ends of advice, too, where that
/// makes room for them.
fn few(lines: Vec<String>, columns: usize) -> Vec<String> {
    let broken = |lines: &[String]| -> Vec<String> {
        let broken = lines.iter().map(|line| {
            let is_advice = ADVICE.iter().any(|topic| line.starts_with(topic));
            if is_advice {
                wrapped(line, columns)
            } else {
                line.clone()
            }
        });
        let broken: Vec<String> = broken.collect();
        broken
            .iter()
            .flat_map(|line| line.lines())
            .map(str::to_owned)
            .collect()
    };
    let spared = |count: &dyn Fn(&[String]) -> usize| {
        let mut kept = lines.clone();
        for topic in SPARED {
            if count(&kept) > LINES {
                kept.retain(|line| !line.starts_with(topic));
            }
        }
        kept
    };
    let whole = broken(&spared(&|kept| broken(kept).len()));
    if whole.len() <= LINES {
        whole
    } else {
        spared(&<[String]>::len)
    }
}

/// How large both networks are behind what is said before, in fewer words where there is no room.
fn sized(before: &str, [generator, discriminator]: [String; 2], columns: usize) -> String {
    let whole = format!("{before}generator {generator} weights, discriminator {discriminator}");
    if width_of(&whole) <= columns {
        return whole;
    }
    format!("{before}{generator} + {discriminator} weights")
}

/// As many of the names as fit behind what is said before them, one at least, and how many there are beside.
fn listed(before: &str, names: &[String], columns: usize) -> String {
    let first = |count: usize| {
        let more = match names.len() - count {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{before}{}{more}", names[..count].join(", "))
    };
    let lines = (1..=names.len()).rev().map(first);
    let mut fitting = lines.filter(|line| width_of(line) <= columns);
    fitting.next().unwrap_or_else(|| first(names.len().min(1)))
}

/// `1,551`
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{LINES, few, listed, sized, thousands};

    #[test]
    fn names_that_do_not_fit_are_counted() {
        let names = ["noto", "openmoji", "fluent-high-contrast"].map(str::to_owned);
        let reported = [43, 42, 31, 3].map(|columns| listed("data   ", &names, columns));
        assert_eq!(
            reported,
            [
                "data   noto, openmoji, fluent-high-contrast",
                "data   noto, openmoji and 1 more",
                "data   noto and 2 more",
                "data   noto and 2 more",
            ]
        );
        assert_eq!(listed("set    ", &[], 28), "set    ");
    }

    #[test]
    fn lines_beyond_eight_go_by_what_can_be_spared() {
        let of = |topics: &str| -> Vec<String> {
            let lines = topics.split(' ').map(|topic| format!("{topic:<6} text"));
            few(lines.collect(), 80)
        };
        let reported = |lines: Vec<String>| -> String {
            let words = lines.iter().filter_map(|line| line.split(' ').next());
            words.collect::<Vec<_>>().join(" ")
        };
        let usual = "run device data train set names warn more";
        assert_eq!(reported(of(usual)), usual);
        assert_eq!(
            reported(of("run device data train set names left warn more")),
            "run device data train names left warn more"
        );
        let all = of("run device data train size time set names left warn more");
        assert_eq!(all.len(), LINES);
        assert_eq!(reported(all), "run device data train time left warn more");
        let all = of("run device data train time set names left warn margin more");
        assert_eq!(reported(all), "run device data train time left warn more");
    }

    #[test]
    fn advice_is_broken_where_there_is_room_and_large_numbers_have_fewer_words() {
        let advice = "warn   two styles are alike: give another name, or take one away";
        let lines = |count: usize| {
            let facts = (0..count).map(|at| format!("data   {at}"));
            facts.chain([advice.to_owned()]).collect::<Vec<_>>()
        };
        let broken = few(lines(6), 40);
        assert_eq!(broken.len(), LINES);
        assert_eq!(broken[6], "warn   two styles are alike: give");
        assert_eq!(broken[7], "       another name, or take one away");
        // There is no room for it: the terminal cuts it, and log.txt has it. Nothing goes in vain.
        assert_eq!(few(lines(7), 40), lines(7));
        let settings = || [vec!["set    train.batch 8".to_owned()], lines(6)].concat();
        let kept = few(settings(), 40);
        assert!(kept.len() == LINES && kept[0] == "data   0", "{kept:?}");
        let longer = [
            settings(),
            vec!["left   twelve pictures that are no pictures: mend them".into()],
        ]
        .concat();
        assert_eq!(few(longer.clone(), 40), longer[1..]);
        assert_eq!(few(longer[..8].to_vec(), 24), longer[..8]);

        let before = "train  2,000 steps of 16 pictures; ";
        let counts = || ["216,396", "169,240"].map(str::to_owned);
        assert_eq!(
            sized(before, counts(), 80),
            "train  2,000 steps of 16 pictures; 216,396 + 169,240 weights"
        );
        assert!(sized(before, counts(), 120).ends_with("discriminator 169,240"));
    }

    #[test]
    fn numbers_have_their_thousands_apart() {
        let reported: Vec<String> = [0, 12, 999, 1000, 1_234_567]
            .into_iter()
            .map(thousands)
            .collect();
        assert_eq!(reported, ["0", "12", "999", "1,000", "1,234,567"]);
    }
}
