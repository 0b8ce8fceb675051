//! Every combination of the configuration's choices either trains or is refused with a reason.

use std::collections::BTreeSet;

use burn::tensor::Device;
use demotic_core::Error;
use demotic_core::check::doctor::SMALL;
use demotic_core::settings::Config;
use demotic_core::train::{Figure, Trainer};

use crate::data::pictures_of;

/// Beside [`SMALL`].
const TINY: [&str; 8] = [
    "seed=3",
    "data.styles=[\"openmoji-line\", \"openmoji\", \"noto\"]",
    "generator.latent_channels=2",
    "generator.encoder_blocks=0",
    "generator.context_blocks=0",
    "train.batch=4",
    "train.steps=4",
    "loss.composite_warmup_steps=0",
];

/// The ways to keep the game stable, off and on.
const STABILITY: [&[&str]; 5] = [
    &[
        "discriminator.spectral_norm=false",
        "discriminator.spectral_norm=true",
    ],
    &[
        "discriminator.augment_prob=0",
        "discriminator.augment_prob=0.7",
    ],
    &["loss.r1=0", "loss.r1=1"],
    &["train.image_pool=0", "train.image_pool=3"],
    &["train.accumulate=1", "train.accumulate=2"],
];

/// All ways to take one setting of each list.
fn combinations(choices: &[&[&str]]) -> Vec<Vec<String>> {
    choices.iter().fold(vec![vec![]], |all, settings| {
        let longer = |known: &Vec<String>| {
            settings
                .iter()
                .map(|s| known.iter().cloned().chain([(*s).to_owned()]).collect())
                .collect::<Vec<Vec<String>>>()
        };
        all.iter().flat_map(longer).collect()
    })
}

/// All ways to take one setting of each list, and the settings of `in_turn` going round beside them. The
/// count of ways is no multiple of theirs, so that each meets every two of the others.
fn in_turn(choices: &[&[&str]], in_turn: &[&str]) -> Vec<Vec<String>> {
    let ways = combinations(choices).into_iter();
    let all: Vec<Vec<String>> = ways
        .zip(in_turn.iter().cycle())
        .map(|(way, turn)| [way, vec![(*turn).to_owned()]].concat())
        .collect();
    for turn in in_turn {
        let with: Vec<_> = all
            .iter()
            .filter(|way| way.iter().any(|s| s == turn))
            .collect();
        for (first, second) in (0..choices.len()).flat_map(|b| (0..b).map(move |a| (a, b))) {
            let met: BTreeSet<_> = with.iter().map(|way| (&way[first], &way[second])).collect();
            let pairs = choices[first].len() * choices[second].len();
            assert_eq!(met.len(), pairs, "{turn} beside {met:?}");
        }
    }
    all
}

/// The settings beside those that make everything small.
fn tiny(sets: &[String]) -> Vec<String> {
    let small = [
        ("discriminator.head=conv", "discriminator.head_width=8"),
        ("discriminator.head=dense", "discriminator.head_width=8"),
        ("discriminator.global=true", "discriminator.head_width=8"),
    ];
    let fitting = small
        .iter()
        .filter(|(choice, _)| sets.iter().any(|s| s == choice));
    let all = SMALL.iter().chain(&TINY).chain(fitting.map(|(_, set)| set));
    all.map(|s| (*s).to_owned())
        .chain(sets.iter().cloned())
        .collect()
}

/// Trains each way for two steps: (how many trained, reasons of the others).
fn walk(ways: Vec<Vec<String>>) -> (usize, Vec<(Vec<String>, String)>) {
    let (mut trained, mut refused) = (0, vec![]);
    for sets in ways {
        let all = tiny(&sets);
        let config = match Config::resolve(None, &all) {
            Ok(config) => config,
            Err(Error::Config(problems)) => {
                refused.push((sets, problems.join("\n")));
                continue;
            }
            Err(other) => panic!("{sets:?}: {other}"),
        };
        train(config, 2, &sets);
        trained += 1;
    }
    (trained, refused)
}

/// Some steps: both networks have gradients, all of them finite.
fn train(config: Config, steps: u32, sets: &[String]) {
    let data = pictures_of(&config);
    let mut trainer = Trainer::new(config, data, &Device::flex())
        .unwrap_or_else(|e| panic!("{sets:?} resolved, and then: {e}"));
    (0..steps).for_each(|_| trainer.advance().expect("finite"));
    let tick = trainer.tick().unwrap_or_else(|e| panic!("{sets:?}: {e}"));
    assert!(
        tick.is_some_and(|t| t[Figure::DNorm] > 0.0 && t[Figure::GNorm] > 0.0),
        "{sets:?}"
    );
}

#[test]
fn every_head_with_every_loss_and_every_tie_trains_or_is_refused_with_a_reason() {
    let (trained, refused) = walk(combinations(&[
        &[
            "discriminator.head=crf",
            "discriminator.head=patch",
            "discriminator.head=conv",
            "discriminator.head=dense",
        ],
        &[
            "loss.adversarial_kind=likelihood",
            "loss.adversarial_kind=hinge",
            "loss.adversarial_kind=least-squares",
            "loss.adversarial_kind=non-saturating",
        ],
        &[
            "discriminator.transitions=learned",
            "discriminator.transitions=potts",
        ],
        &[
            "discriminator.directions=both",
            "discriminator.directions=rows",
        ],
        &["loss.unary=0", "loss.unary=0.5"],
        &["discriminator.global=false", "discriminator.global=true"],
        &[
            "loss.adversarial_patchwise=false",
            "loss.adversarial_patchwise=true",
        ],
    ]));
    // The CRF: 32 ways with the likelihood; the other three heads: 4 losses, and nothing that changes chains.
    assert_eq!((trained, refused.len()), (32 + 12, 512 - 44));
    for (sets, reason) in refused {
        let is_named = sets.iter().any(|set| {
            let (key, value) = set.split_once('=').unwrap();
            reason.contains(key) && !["both", "0", "false", "learned"].contains(&value)
        });
        assert!(is_named, "{sets:?} refused by: {reason}");
    }
}

#[test]
fn every_way_to_keep_the_game_stable_goes_with_every_other_and_with_any_share_of_pairs() {
    let heads: &[&str] = &["discriminator.head=crf", "discriminator.head=dense"];
    let pairs = ["train.pairs=none", "train.pairs=all", "train.pairs=0.5"];
    let (trained, refused) = walk(in_turn(&[&[heads], &STABILITY[..]].concat(), &pairs));
    assert_eq!((trained, refused.len()), (64, 0));
}

#[test]
fn words_and_numbers_are_taken_where_both_mean_something_and_refused_elsewhere() {
    let resolve = |file: &str, set: &str| Config::resolve(Some(file), &[set.to_owned()]);
    for set in [
        "train.pairs=0.25",
        "train.pairs=\"none\"",
        "train.pairs=1",
        "discriminator.augment_prob=auto",
    ] {
        let config =
            resolve("[train]\npairs = 0.5\n", set).unwrap_or_else(|e| panic!("{set}: {e}"));
        let again = resolve(&config.to_toml(true), "seed=0").unwrap();
        assert_eq!(again, config, "{set}");
    }
    for (set, key) in [
        ("train.pairs=some", "train.pairs"),
        ("train.pairs=1.5", "train.pairs"),
        ("train.pairs=true", "train.pairs"),
        (
            "discriminator.augment_prob=-0.1",
            "discriminator.augment_prob",
        ),
        ("train.schedule=0.5", "train.schedule"),
    ] {
        let refused = resolve("", set).expect_err(set).to_string();
        assert!(refused.contains(key), "{set}: {refused}");
    }
}

#[test]
fn both_generators_take_style_codes_from_anywhere() {
    let (trained, refused) = walk(in_turn(
        &[
            &["generator.kind=conv", "generator.kind=recurrent"],
            &["generator.draw_steps=4", "generator.draw_steps=2"],
            &["train.pairs=none", "train.pairs=0.5"],
            &["train.accumulate=1", "train.accumulate=2"],
            &["loss.prior=0", "loss.prior=1"],
        ],
        &[
            "generator.style=table",
            "generator.style=latent",
            "generator.style=reference",
        ],
    ));
    // Drawing in two steps is the recurrent generator's alone.
    assert_eq!((trained, refused.len()), (24, 8));
    assert!(
        refused
            .iter()
            .all(|(_, reason)| reason.starts_with("generator.draw_steps: ")),
        "{refused:?}"
    );
}

#[test]
fn every_kind_of_channels_goes_with_every_network_that_sees_pictures() {
    let (trained, refused) = walk(in_turn(
        &[
            &["generator.style=table", "generator.style=reference"],
            &["discriminator.head=crf", "discriminator.head=dense"],
            &[
                "discriminator.augment_prob=0",
                "discriminator.augment_prob=0.7",
            ],
            &["loss.r1=0", "loss.r1=1"],
            &["train.pairs=none", "train.pairs=0.5"],
        ],
        &[
            "data.channels=rgb",
            "data.channels=rgba",
            "data.channels=grey",
        ],
    ));
    assert_eq!((trained, refused.len()), (32, 0));
}

/// All 234 ways to choose the networks, what they play for and how many pairs are shown; what pictures are
/// made of, the ways to keep the game stable, draws from the prior and the view of whole pictures take turns,
/// so that each of them meets each choice many times.
#[test]
fn every_choice_of_networks_losses_channels_and_pairs_goes_with_every_other() {
    let heads: Vec<[&str; 2]> = ["patch", "conv", "dense"]
        .iter()
        .flat_map(|head| {
            ["likelihood", "hinge", "least-squares", "non-saturating"].map(|kind| [*head, kind])
        })
        .chain([["crf", "likelihood"]])
        .collect();
    let choices = combinations(&[
        &["generator.kind=conv", "generator.kind=recurrent"],
        &[
            "generator.style=table",
            "generator.style=latent",
            "generator.style=reference",
        ],
        &["train.pairs=none", "train.pairs=all", "train.pairs=0.5"],
    ]);
    let stable = combinations(&STABILITY);
    let mut turns = stable.iter().cycle();
    let mut trained = 0;
    let channels = ["rgb", "rgba", "grey"];
    // Kinds of channels in turn, so that each meets every head and loss and every other choice: three times
    // fewer trainings than all combinations, every pair and every triple without channels still there.
    for (h, [head, kind]) in heads.iter().enumerate() {
        for (c, chosen) in choices.iter().enumerate() {
            let turn = (h + c) % channels.len();
            let channels = channels[turn];
            let mut sets = vec![
                format!("data.channels={channels}"),
                format!("discriminator.head={head}"),
                format!("loss.adversarial_kind={kind}"),
            ];
            if chosen.iter().any(|set| set == "generator.kind=recurrent") {
                sets.push("generator.draw_steps=2".to_owned());
            }
            // Neither five nor seven divides what the other choices repeat by.
            if trained % 5 < 2 {
                sets.push("loss.prior=1".to_owned());
            }
            if *head == "crf" && trained % 7 < 3 {
                sets.push("discriminator.global=true".to_owned());
            }
            sets.extend(chosen.iter().chain(turns.next().expect("endless")).cloned());
            let config =
                Config::resolve(None, &tiny(&sets)).unwrap_or_else(|e| panic!("{sets:?}: {e}"));
            train(config, 1, &sets);
            trained += 1;
        }
    }
    assert_eq!(trained, 234);
}
