//! From words to pictures and back, as a person types it.

use std::fs;

use image::{Rgba, RgbaImage};
use serde_json::Value;

use crate::resume::begin;
use crate::support::{Place, Said, TINY, png, words};
use crate::trust::kill_after;

/// The lines of a command's JSON.
fn lines(said: &Said) -> Vec<Value> {
    let lines = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"));
    lines.collect()
}

#[test]
fn phrases_in_either_language_recall_their_emoji() {
    let place = Place::new();
    let typed = [
        "draw",
        "--json",
        "-",
        "so tired",
        "笑死我了",
        "broke my heart",
        "OMG 😂",
    ];
    let reported = lines(&place.run(&typed).done());
    for (line, expected) in reported.iter().zip([
        &["😴", "😪", "😫", "🥱", "😩"][..],
        &["😂", "🤣"],
        &["💔"],
        &["😂"],
    ]) {
        let first = line["recalled"][0]["emoji"].as_str().expect("an emoji");
        assert!(expected.contains(&first), "{line:#}");
        let probs: Vec<f64> = line["recalled"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|recalled| recalled["prob"].as_f64().expect("a number"))
            .collect();
        assert!(
            probs.len() >= 5 && probs.windows(2).all(|pair| pair[0] >= pair[1]),
            "{line:#}"
        );
        assert!(probs.iter().sum::<f64>() <= 1.0 + 1e-6);
        assert_eq!(line["known"], true);
    }
    let said = place.run(&["draw", "so tired"]).done();
    assert!(
        said.out.starts_with("so tired: ") && said.err.is_empty(),
        "{said:#?}"
    );
    let said = place.run(&["draw", "so", "tired", "--anyway"]).done();
    assert_eq!(said.err, "2 phrases; quote them for one: 'so tired'\n");
    // Where something is wrong, that is said alone.
    let said = place.run(&["draw", "so", "zxqv"]);
    said.refused(1, "zxqv");
    assert!(!said.err.contains("quote them"), "{said:#?}");
    let said = place.run(&["draw", "tired", "好累", "--anyway"]).done();
    assert!(said.err.is_empty(), "two words of two languages: {said:#?}");
    let said = place.run(&["draw", "😴"]).done();
    assert!(
        said.out.contains("(by the emoji itself)") && !said.out.contains("similarity"),
        "{said:#?}"
    );
    // Every idea that is asked for is named, however sure the first one is.
    let named = |more: &[&str]| {
        let said = place.run(&[&["draw", "我太难了"], more].concat()).done();
        said.out.matches('%').count()
    };
    assert_eq!((named(&[]), named(&["-n", "3"])), (1, 3));
}

#[test]
fn what_is_not_known_is_said_and_drawn_only_on_request() {
    let place = Place::new();
    // The last two share parts of words alone.
    for phrase in ["zxqv wgh", "שלום", "asdf qwer", "quantum chromodynamics"] {
        let said = place.run(&["draw", phrase, "--json", "-"]);
        said.refused(1, phrase);
        assert_eq!(lines(&said)[0]["known"], false);
        let anyway = place.run(&["draw", phrase, "--anyway"]).done();
        assert!(anyway.out.contains('%'), "{anyway:#?}");
    }
    place
        .run(&["rephrase", "zxqv wgh", "--to", "name"])
        .refused(1, "zxqv wgh");
    place
        .run(&["draw", "שלום"])
        .refused(1, "expected English or Chinese words, or an emoji");
}

#[test]
fn mixed_scripts_emoji_inside_a_text_and_files_of_phrases_are_answered() {
    let place = Place::new();
    let list = "\u{feff}so tired 好累 שלום\r\n\n  i am 😴😴 today \n加油\n";
    place.write("p.txt", list.as_bytes());
    let reported = lines(&place.run(&words("draw 好累 --file p.txt --json -")).done());
    let phrases: Vec<&str> = reported
        .iter()
        .map(|line| line["phrase"].as_str().expect("a phrase"))
        .collect();
    assert_eq!(
        phrases,
        ["好累", "so tired 好累 שלום", "i am 😴😴 today", "加油"]
    );
    let tired = ["😴", "😪", "😫", "🥱", "😩"];
    for (line, expected) in reported
        .iter()
        .zip([&tired[..], &tired, &["😴"], &["📣", "💪", "✊"]])
    {
        let first = line["recalled"][0]["emoji"].as_str().expect("an emoji");
        assert!(expected.contains(&first), "{line:#}");
    }
}

#[test]
fn an_idea_is_drawn_in_a_style_from_another_ones_drawing_and_its_own_only_on_request() {
    let place = Place::new();
    // Of all emoji, killed before they are scored, which takes longer than all that is done here.
    let train = words("tiny.toml --steps 1000 --out run --set train.best_metric=l1");
    kill_after(&place, "run", begin(&place, &train), 6, 0);
    let draw = |more: &str| {
        let typed =
            format!("draw grinning --run run --style openmoji --device flex --json - {more}");
        place.run(&words(&typed)).done()
    };
    let line = lines(&draw("--out a.png")).remove(0);
    assert_eq!(line["drawn"][0]["from"], "openmoji-line", "{line:#}");
    let near = line["drawn"][0]["nearest_l1"].as_f64().expect("a number");
    assert!(near > 1e-3, "not a copy of a training picture: {near}");
    let real = lines(&draw("--out b.png --real")).remove(0);
    assert_eq!(real["drawn"][0]["from"], "real");
    let pictures = ["a.png", "b.png"].map(|name| {
        let picture = image::open(place.path(name)).expect("a picture").to_rgb8();
        assert_eq!((picture.width(), picture.height()), (256, 256));
        picture
    });
    assert!(pictures[0] != pictures[1]);
    // Drawn at this size, not enlarged from the networks': colours change within every block of pixels.
    for picture in &pictures {
        let pairs = picture.as_raw().as_chunks::<6>().0.iter();
        assert!(pairs.filter(|pair| pair[..3] != pair[3..]).count() > 100);
    }
    for (more, size) in [("--size-px 96", 96), ("--size-px 300 --real", 300)] {
        draw(&format!("--out sized.png --force {more}"));
        let picture = image::open(place.path("sized.png")).expect("a picture");
        assert_eq!((picture.width(), picture.height()), (size, size));
    }
    place.refuses(
        &words("draw sad 太阳 --run run --style openmoji --device flex --size-px 8192 --out l.png"),
        2,
        "megapixels",
    );
    // The same words give the same picture; a sheet for several.
    draw("--out c.png");
    assert_eq!(place.read("a.png"), place.read("c.png"));
    let said = place
        .run(&[
            "draw",
            "so tired",
            "笑死",
            "-n",
            "3",
            "--run",
            "run",
            "--style",
            "openmoji",
            "--out",
            "sheet.png",
            "--device",
            "flex",
        ])
        .done();
    assert!(said.out.contains("phrase 2 is 笑死\n"), "{said:#?}");
    let sheet = image::open(place.path("sheet.png")).expect("a sheet");
    assert!(sheet.width() > 256 && sheet.height() > 200);
    // One picture a phrase: six side by side.
    draw("happy sad tired angry party rain sun --out row.png");
    let row = image::open(place.path("row.png")).expect("a sheet");
    let (width, height) = (row.width(), row.height());
    let cell = (width - 4) / 6;
    assert_eq!(width, 6 * cell + 4);
    assert!((2 * cell..3 * cell).contains(&height), "{width} x {height}");
    place.refuses(
        &words("draw grinning --run run --style openmoji --device flex --out a.png"),
        2,
        "--force",
    );
}

#[test]
fn kaomoji_answer_without_a_run() {
    let place = Place::new();
    let said = place
        .run(&[
            "draw", "so happy", "开心", "--style", "kaomoji", "-n", "3", "--json", "-",
        ])
        .done();
    for line in lines(&said) {
        let faces = line["kaomoji"].as_array().expect("faces");
        assert_eq!(faces.len(), 3, "{line:#}");
        assert!(
            faces
                .iter()
                .all(|face| face.as_str().is_some_and(|face| face.chars().count() > 1))
        );
    }
    place
        .run(&words("draw sad --style kaomoji --out face.txt"))
        .done();
    assert!(place.text("face.txt").trim().chars().count() > 1);
}

#[test]
fn own_pictures_bring_their_phrases_and_are_told_by_them() {
    let place = Place::new();
    place.discs("own", 12);
    fs::write(
        place.path("own/phrases.tsv"),
        "name\tlanguage\tregister\tphrase\ndisc-03\ten\tcolloquial\tsmall but mighty\ndisc-03\tzh\tcolloquial\t小小的圆\n",
    )
    .expect("a file");
    place.write(
        "own/filled/disc-11.txt",
        "big as a house\n大得很\n".as_bytes(),
    );
    let said = place.run(&["data", "inspect", "own"]).done();
    assert!(
        said.out
            .contains("phrases  en      14  1.2 a picture, 12 of 12"),
        "{said:#?}"
    );
    assert!(
        said.out
            .contains("phrases  zh       2  0.2 a picture, 2 of 12"),
        "{said:#?}"
    );
    // They are read, and so not reported among what is not.
    assert!(!said.out.contains("not read"), "{said:#?}");
    let json: Value =
        serde_json::from_str(&place.run(&["data", "inspect", "--json", "own"]).done().out)
            .expect("JSON");
    assert_eq!(json["phrases"][1]["phrases"], 2);
    let tiny = TINY.replace("styles = [\"openmoji-line\", \"openmoji\"]", "");
    place.write("own.toml", tiny.as_bytes());
    place
        .train(&["own.toml", "--data", "own", "--out", "mine", "--steps", "2"])
        .done();
    let typed = [
        "draw",
        "small but mighty",
        "大得很",
        "--run",
        "mine",
        "--style",
        "hollow",
        "--device",
        "flex",
        "--out",
        "o.png",
        "--json",
        "-",
    ];
    let reported = lines(&place.run(&typed).done());
    assert_eq!(
        reported[0]["recalled"][0]["key"], "disc-03",
        "{reported:#?}"
    );
    assert_eq!(
        reported[1]["recalled"][0]["key"], "disc-11",
        "{reported:#?}"
    );
    assert!(reported[0]["recalled"][0]["emoji"].is_null());
    assert_eq!(reported[0]["drawn"][0]["from"], "filled");
    // One alone has its picture's own size, and is what `translate` makes of that.
    for (more, size) in [(&[][..], 16), (&["--size-px", "40"][..], 40)] {
        let drawn = words("--run mine --style hollow --device flex --force --out one.png");
        let drawn = [&["draw", "small but mighty"], &drawn[..], more].concat();
        place.run(&drawn).done();
        let translated = "translate --run mine --to hollow --device flex --force --out two.png own/filled/disc-03.png";
        place.run(&[&words(translated)[..], more].concat()).done();
        assert_eq!(place.read("one.png"), place.read("two.png"), "{more:?}");
        let one = image::open(place.path("one.png")).expect("a picture");
        assert_eq!((one.width(), one.height()), (size, size));
    }
    // An idea that the own pictures lack comes from a foundry's drawing.
    let typed = [
        "draw", "so tired", "--run", "mine", "--style", "hollow", "--device", "flex", "--out",
        "p.png", "--json", "-",
    ];
    let reported = lines(&place.run(&typed).done());
    assert_eq!(reported[0]["drawn"][0]["from"], "openmoji", "{reported:#?}");
    // And the way back.
    let said = place
        .run(&["say", "--run", "mine", "--json", "own/filled/disc-11.png"])
        .done();
    let json: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(json[0]["recalled"][0]["key"], "disc-11", "{json:#}");
    assert!(
        json[0]["said"]
            .as_array()
            .is_some_and(|said| said.iter().any(|s| s["phrase"] == "big as a house"))
    );
}

#[test]
fn pictures_are_told_in_the_language_and_register_asked_for() {
    let place = Place::new();
    let grey = RgbaImage::from_fn(40, 40, |x, y| {
        let distance = (x as f32 - 19.5).hypot(y as f32 - 19.5);
        if distance < 18.0 {
            Rgba([250, 60, 50, 255])
        } else {
            Rgba([0; 4])
        }
    });
    place.write("disc.png", &png(&grey));
    for (more, language, register) in [
        ("--lang zh --register name", "zh", "name"),
        ("--lang en --register colloquial", "en", "colloquial"),
    ] {
        let said = place
            .run(&words(&format!("say disc.png --json -n 4 {more}")))
            .done();
        let json: Value = serde_json::from_str(&said.out).expect("JSON");
        let said = json[0]["said"].as_array().expect("phrases");
        assert!(!said.is_empty() && said.len() <= 4, "{json:#}");
        for phrase in said {
            assert_eq!(
                (&phrase["language"], &phrase["register"]),
                (&language.into(), &register.into()),
                "{json:#}"
            );
            assert_eq!(phrase["known"], true);
        }
    }
}

#[test]
fn a_picture_of_one_colour_shows_nothing() {
    let place = Place::new();
    // Nearly white, as a scan of empty paper is.
    let blank = RgbaImage::from_fn(90, 40, |x, y| {
        let light = if (x + y) % 2 == 0 { 252 } else { 255 };
        Rgba([light, light, 255, 255])
    });
    place.write("blank.png", &png(&blank));
    place
        .run(&["say", "blank.png"])
        .refused(1, "nothing to see");
    let said = place.run(&["say", "--json", "blank.png"]);
    let json: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(json[0]["recalled"], Value::Array(Vec::new()), "{json:#}");
}

#[test]
fn phrases_change_their_register() {
    let place = Place::new();
    // Phrases that hardly count are shown to those who ask for a number of them.
    let answers = |more: &[&str]| {
        let typed = [&["rephrase", "我太难了", "--to", "name"], more].concat();
        place.run(&typed).done().out
    };
    let shown = answers(&[]);
    assert!(
        shown.contains("known") && !shown.contains("0.00"),
        "{shown}"
    );
    assert_eq!(answers(&["-n", "5"]).matches("known").count(), 5);
    let line: Value = serde_json::from_str(&answers(&["--json"])).expect("JSON");
    assert_eq!(line["said"].as_array().map(Vec::len), Some(5), "{line:#}");
    let reported = lines(
        &place
            .run(&[
                "rephrase",
                "face with tears of joy",
                "--to",
                "colloquial",
                "--json",
            ])
            .done(),
    );
    assert!(
        reported[0]["said"]
            .as_array()
            .is_some_and(|said| !said.is_empty()),
        "{reported:#?}"
    );
    assert!(reported[0]["said"][0]["phrase"] != "face with tears of joy");
    let reported = lines(
        &place
            .run(&[
                "rephrase", "so tired", "--to", "name", "--lang", "zh", "--json",
            ])
            .done(),
    );
    let first = reported[0]["said"][0]["phrase"].as_str().expect("a phrase");
    assert!(!first.is_ascii(), "{reported:#?}");
    let said = place.run(&["rephrase", "so tired", "--to", "name"]).done();
    assert!(said.out.contains("known"), "{said:#?}");
    // Letters of Chinese take two columns each.
    let said = words("rephrase tired --to colloquial --lang zh -n 8 --anyway");
    let said = place.run(&said).done();
    let rows = said
        .out
        .lines()
        .filter_map(|line| line.split_once("  zh  "));
    let is_chinese = |letter: char| ('\u{4e00}'..='\u{9fff}').contains(&letter);
    let rows: Vec<&str> = rows
        .map(|(phrase, _)| phrase)
        .filter(|phrase| phrase.trim().chars().all(is_chinese))
        .collect();
    assert!(!rows.is_empty(), "{said:#?}");
    for row in rows {
        let columns = row
            .chars()
            .map(|letter| 1 + usize::from(is_chinese(letter)));
        assert_eq!(columns.sum::<usize>(), 30, "`{row}`");
    }
}

#[test]
fn rude_phrases_are_left_out_unless_asked_for() {
    let place = Place::new();
    let list = include_str!("../../../demotic-core/assets/phrases/colloquial.tsv");
    let rude = list
        .lines()
        .find(|line| line.contains("\ten\t1\t"))
        .expect("one is marked");
    let phrase = rude.rsplit('\t').next().expect("a phrase");
    let listed = |more: &[&str]| {
        let said = place
            .run(&[&["draw", phrase, "--json", "-", "--anyway"], more].concat())
            .done();
        lines(&said)[0]["listed"].clone()
    };
    assert_eq!(
        (listed(&[]), listed(&["--rude"])),
        (false.into(), true.into()),
        "{phrase}"
    );
}

#[test]
fn lists_are_imported_to_the_same_bytes_and_nothing_is_lost() {
    let place = Place::new();
    place.write(
        "mine.tsv",
        "emoji\tlanguage\trude\tphrase\n😴\ten\t0\tso tired\n😴\tzh\t0\t好累\n🏳\ten\t0\ti give up\n".as_bytes(),
    );
    let import = |more: &str| {
        place.run(&words(&format!(
            "data import --phrases --out o mine.tsv {more}"
        )))
    };
    let said = import("").done();
    assert!(said.out.contains("ideas    1 of 1551"), "{said:#?}");
    assert!(
        said.out
            .contains("left out 1 of the list, of emoji that are not built in: 🏳"),
        "{said:#?}"
    );
    let first = place.read("o/phrases.tsv.gz");
    assert!(place.text("o/NOTICE").contains("own\n"));
    import("").refused(2, "there already");
    place.write("o/mine.txt", b"mine");
    import("--replace").done();
    assert_eq!(place.read("o/phrases.tsv.gz"), first);
    assert_eq!(place.text("o/mine.txt"), "mine");
}

#[test]
fn a_run_learns_its_words_once_and_every_command_uses_them() {
    let place = Place::new();
    // Of the pictures' networks words need nothing: the settings say what the pictures are.
    place.write("run/config.toml", TINY.as_bytes());
    place.refuses(
        &words("learn-words --run run --set loss.kl=1"),
        2,
        "words.KEY=VALUE",
    );
    place.refuses(
        &words("learn-words --run run --set words.drop=2"),
        2,
        "words.drop: expected 0 to 0.95",
    );
    let learn = words("learn-words --run run --device flex --steps 30");
    place.run(&learn).done();
    let stats = place.text("run/words/stats.jsonl");
    let reported: Vec<Value> = stats
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    let parts: Vec<&str> = reported
        .iter()
        .filter_map(|line| line["part"].as_str())
        .collect();
    assert_eq!(
        parts,
        [
            "encoder",
            "speaker_en",
            "speaker_zh",
            "discriminator",
            "kaomoji",
            "kaomoji_discriminator",
            "reader",
        ]
    );
    for (at, what) in [(0, "validation phrases"), (6, "held-out drawings")] {
        let held_out = &reported[at]["held_out"];
        let [first, five] = ["first", "five"].map(|key| held_out[key].as_f64().expect(what));
        assert!((0.0..=1.0).contains(&five) && first <= five, "{held_out}");
    }
    // All is learnt: the same command does nothing more.
    place.run(&learn).done();
    assert_eq!(place.text("run/words/stats.jsonl"), stats);
    place
        .run(&words("learn-words --run run --device flex --steps 40"))
        .refused(2, "--restart");

    let read = [
        "read", "--run", "run", "--device", "flex", "--json", "so tired",
    ];
    let line = lines(&place.run(&read).done()).remove(0);
    let tokens = line["tokens"].as_array().expect("tokens");
    assert_eq!(tokens.len(), 2, "{line:#}");
    for token in tokens {
        let sum: f64 = ["fake", "name", "colloquial"]
            .iter()
            .map(|label| token[*label].as_f64().expect("a probability"))
            .sum();
        assert!((sum - 1.0).abs() < 1e-4, "{token}");
    }
    let typed = "draw sad --run run --device flex --style kaomoji -n 2 --json -";
    let line = lines(&place.run(&words(typed)).done()).remove(0);
    let listed = line["kaomoji"].as_array().expect("faces");
    let written = line["written"].as_array().expect("faces");
    assert!(listed.len() == 2 && !written.is_empty(), "{line:#}");
    for face in written {
        assert!(!listed.contains(&face["face"]), "{line:#}");
        let text = face["face"].as_str().expect("a text");
        let signs = face["signs"].as_array().expect("signs");
        assert_eq!(signs.len(), text.chars().count(), "{face:#}");
    }
    // What is said of a picture stands in a list, or is made up and says so.
    let red = RgbaImage::from_fn(40, 40, |x, _| {
        Rgba([250, 60, 50, if x < 20 { 255 } else { 0 }])
    });
    place.write("red.png", &png(&red));
    let reported = place
        .run(&words("say red.png --run run --device flex --json"))
        .done();
    let json: Value = serde_json::from_str(&reported.out).expect("JSON");
    let said = json[0]["said"].as_array().expect("phrases");
    for is_known in [true, false] {
        assert!(
            said.iter().any(|said| said["known"] == is_known),
            "{json:#}"
        );
    }
    place.run(&words("report run --out page.html")).done();
    let page = place.text("page.html");
    assert!(page.contains("<h2>Words</h2>") && page.contains("speaker en"));
}

#[test]
fn training_learns_words_at_its_end_where_the_settings_have_it() {
    // Few pictures: their scores take no time.
    let place = Place::of_discs();
    let learn = "words.encoder_steps=1 words.speaker_steps=1 words.discriminator_steps=1 words.reader_steps=0 words.kaomoji_steps=0";
    let train = |out: &str, learn_words: &str| {
        let mut typed: Vec<String> = ["tiny.toml", "--steps", "2", "--out", out]
            .map(str::to_owned)
            .into();
        for set in learn.split(' ').chain([learn_words]) {
            typed.extend(["--set".to_owned(), set.to_owned()]);
        }
        let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
        place.train(&typed).done()
    };
    train("always", "words.learn=always");
    assert!(place.path("always/words/words.safetensors").exists());
    assert!(place.path("always/evaluation.json").exists());
    // Two steps are a trial, not a run.
    train("auto", "words.learn=auto");
    assert!(!place.path("auto/words").exists());
    // A finished run is taken up where its words were left.
    fs::remove_file(place.path("always/words/words.safetensors")).expect("it is there");
    place.train(&words("--resume --out always")).done();
    assert!(place.path("always/words/words.safetensors").exists());
}
