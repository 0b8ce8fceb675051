//! Variants over seeds: what is left behind, that it goes on where it was stopped, and what is refused.

use serde_json::Value;

use crate::support::{Place, tiny_on_discs};

/// Two variants, two seeds, a few milliseconds a step.
fn plan() -> String {
    let mut text = String::from("seeds = [3, 4]\n");
    for line in tiny_on_discs().trim().lines() {
        text += &line
            .replace('[', "[base.")
            .replace("styles = [base.", "styles = [");
        text.push('\n');
    }
    text.replace("steps = 12", "steps = 4")
        + "[[variant]]\nname = \"learned\"\n[[variant]]\nname = \"alone\"\nabout = \"A = 0\"\nset = [\"discriminator.head=patch\"]\n"
}

#[test]
fn a_table_comes_of_every_variant_and_seed_and_nothing_is_done_twice() {
    let place = Place::of_discs();
    place.write("plan.toml", plan().as_bytes());
    let arguments = ["ablate", "plan.toml", "--device", "flex", "--out", "out"];
    let said = place.run(&arguments).done();
    assert_eq!(said.out.matches("train  ").count(), 4, "{said:#?}");
    let table = place.text("out/table.md");
    assert!(said.out.contains(&table), "{said:#?}");
    assert!(
        table.contains("2 seeds, 4 steps each") && table.contains("| `alone` A = 0 |"),
        "{table}"
    );
    assert_eq!(table.matches("difference from `learned`").count(), 3);
    // Of so few held-out pictures there is no KID; everything about the discriminator is there.
    let (discriminators, _) = table.split_once("difference").expect("two tables");
    assert!(
        !table.contains("NaN") && !discriminators.contains("| - |"),
        "{table}"
    );
    let json: Value = serde_json::from_str(&place.text("out/table.json")).expect("JSON");
    let outcomes = json["outcomes"].as_array().expect("a list");
    assert_eq!(outcomes.len(), 4);
    for outcome in outcomes {
        for figure in ["pooled_auc", "own_auc_within", "own_iou"] {
            let value = outcome["figures"][figure].as_f64().expect("a number");
            assert!((0.0..=1.0).contains(&value), "{figure} {outcome:#}");
        }
    }
    // All on one page, and each on its own.
    let page = place.text("out/report.html");
    assert!(
        page.contains(
            "<a href=\"alone-3/report.html\">alone</a> <a href=\"alone-4/report.html\">seed 4</a>"
        ) && page.contains("<td>learned")
            && page.contains("4 trainings of 2 variants, all done")
            && page.contains("The same held-out pictures by each")
            && page.contains("<output>learned</output>"),
        "{page}"
    );
    let own = place.text("out/alone-3/report.html");
    assert!(
        own.contains("step 4 of 4")
            && own.contains("Scores on held-out pictures")
            && !own.contains("Not scored yet"),
        "{own}"
    );
    // Each is a run like any other.
    place
        .run(&["evaluate", "--run", "out/alone-4", "--device", "flex"])
        .done();

    // A lost result is made anew from its checkpoint, the same; the rest is taken as it is.
    let result = |place: &Place| -> Value {
        let mut value: Value =
            serde_json::from_str(&place.text("out/alone-3/result.json")).expect("JSON");
        value["figures"]["secs_a_step"] = 0.into();
        value
    };
    let before = result(&place);
    std::fs::remove_file(place.path("out/alone-3/result.json")).expect("a file");
    let again = place.run(&arguments).done();
    assert_eq!(
        (
            again.out.matches("have   ").count(),
            again.out.matches("train  ").count()
        ),
        (3, 1)
    );
    assert!(again.out.contains("from step 4 of 4"), "{again:#?}");
    assert_eq!(result(&place), before);

    place.write("other.toml", plan().replace("[3, 4]", "[3]").as_bytes());
    place.refuses(
        &["ablate", "other.toml", "--out", "out"],
        2,
        "another ablation was begun here",
    );
    place.refuses(
        &["ablate", "plan.toml", "--out", "out/alone-3"],
        2,
        "the folder is not empty and holds no ablation",
    );
    place.write("out/alone-3/result.json", b"{");
    place.refuses(&arguments, 2, "the result is damaged");
}

#[test]
fn a_variant_that_diverges_or_tells_no_styles_leaves_the_others_their_table() {
    let place = Place::of_discs();
    place.discs("pictures", 40);
    let variants = r#"
        [[variant]]
        name = "sound"
        [[variant]]
        name = "burst"
        set = ["loss.reconstruction=1e30", "train.rollbacks_max=1"]
        [[variant]]
        name = "hinge"
        set = ["discriminator.head=patch", "loss.adversarial_kind=hinge"]
    "#;
    let text = plan().replace("[3, 4]", "[3]");
    let base = text.split("[[variant]]").next().expect("a first part");
    place.write("plan.toml", format!("{base}{variants}").as_bytes());
    let arguments = ["ablate", "plan.toml", "--device", "flex", "--out", "out"];
    let said = place.run(&arguments).done();
    assert!(
        said.out
            .contains("back   step 1 diverged: g_norm is inf; back to the checkpoint of step 0")
            && said
                .out
                .contains("burst seed 3 diverged, step 1: g_norm is inf"),
        "{said:#?}"
    );
    let table = place.text("out/table.md");
    assert!(
        table.contains("`burst` seed 3 **diverged** after 1 roll-backs and has no figures"),
        "{table}"
    );
    let json: Value = serde_json::from_str(&place.text("out/table.json")).expect("JSON");
    let figures = |variant: &str| -> Vec<String> {
        let all = json["outcomes"].as_array().expect("a list");
        let found = all.iter().find(|outcome| outcome["variant"] == variant);
        let figures = found.and_then(|outcome| outcome["figures"].as_object());
        figures.expect("figures").keys().cloned().collect()
    };
    assert!(figures("sound").iter().any(|name| name == "pooled_auc"));
    assert_eq!(figures("burst"), [""; 0]);
    // Of fewer than thirty pictures a KID would say nothing.
    assert_eq!(
        figures("hinge"),
        ["l1", "perceptual", "secs_a_step", "ssim"]
    );
    // Done is done, the failure too.
    let again = place.run(&arguments).done();
    assert_eq!(again.out.matches("have   ").count(), 3, "{again:#?}");
    assert_eq!(place.text("out/table.md"), table);

    // A discriminator that was not taught styles is not asked for them.
    place.refuses(
        &["recognize", "--run", "out/hinge-3", "pictures/filled"],
        2,
        "the discriminator of this run cannot name styles",
    );
    let said = place
        .run(&["evaluate", "--run", "out/hinge-3", "--device", "flex"])
        .done();
    assert!(
        said.out.contains("cannot name styles") && !said.out.contains("patches right"),
        "{said:#?}"
    );
}

#[test]
fn a_sweep_trains_every_combination_and_ends_what_does_not_improve() {
    let place = Place::of_discs();
    place.discs("pictures", 40);
    let text = plan()
        .replace("[3, 4]", "[3]")
        .replace("steps = 4", "steps = 40");
    let base = text.split("[[variant]]").next().expect("a first part");
    // Without a rate nothing improves after the first validation.
    let sweep = "[sweep]\npatience = 2\n[sweep.keys]\n\"train.generator_rate\" = [0.001, 0]\n";
    let base = base.replace("checkpoint_steps = 5", "checkpoint_steps = 4");
    place.write("plan.toml", format!("{base}{sweep}").as_bytes());
    let arguments = ["ablate", "plan.toml", "--device", "flex", "--out", "out"];
    let said = place.run(&arguments).done();
    let result = |name: &str| -> Value {
        let text = place.text(&format!("out/{name}-3/result.json"));
        serde_json::from_str(&text).expect("JSON")
    };
    let (moving, still) = (result("s001"), result("s002"));
    let ended = still["ended_early"].as_u64().expect("it was ended");
    assert!((8..40).contains(&ended), "{still:#}");
    assert!(said.out.contains("early  step "), "{said:#?}");
    let table = place.text("out/table.md");
    assert!(
        table.contains("| `s002` train.generator_rate=0 |"),
        "{table}"
    );
    assert!(
        table.contains(&format!("`s002` seed 3 was ended at step {ended}")),
        "{table}"
    );
    assert!(moving["figures"]["l1"].is_number() && still["figures"]["l1"].is_number());
    // Which is best by validation pictures: in the table, on the page and in a terminal of 80 columns, which
    // says what each variant is.
    let metric = still["best"]["metric"].as_str().expect("a figure");
    let heading = format!("Best first, by {metric} on validation pictures");
    let page = place.text("out/report.html");
    assert!(
        table.contains(&heading) && page.contains(&heading),
        "{page}"
    );
    let of = |name: &str, rate: &str| {
        format!("report.html\">{name}</a><td>train.generator_rate={rate}<td>{metric} ")
    };
    assert!(
        page.contains(&of("s001", "0.001")) && page.contains(&of("s002", "0")),
        "{page}"
    );
    assert!(
        page.contains(&format!("s002 seed 3 was ended at step {ended}")),
        "{page}"
    );
    let mut command = place.command(&arguments);
    command.env("COLUMNS", "80");
    let shown = crate::support::said(command).done().out;
    assert!(shown.contains(&heading), "{shown}");
    let reported = format!("s002  {metric} ");
    let line = shown.lines().find(|line| line.starts_with(&reported));
    assert!(
        line.is_some_and(|line| line.ends_with("train.generator_rate=0")),
        "{shown}"
    );
    assert!(
        shown.lines().all(|line| line.chars().count() <= 80),
        "{shown}"
    );
    // Done is done.
    let again = place.run(&arguments).done();
    assert_eq!(again.out.matches("have   ").count(), 2, "{again:#?}");
}
