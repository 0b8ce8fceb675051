//! Variants over seeds: what is left behind, that it goes on where it was stopped, and what is refused.

use serde_json::Value;

use crate::support::{Place, TINY};

/// Two variants, two seeds, a few milliseconds a step.
fn plan() -> String {
    let mut text = String::from("seeds = [3, 4]\n");
    for line in TINY.trim().lines() {
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
    let place = Place::new();
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
    assert!(
        !table.contains("NaN") && !table.contains("| - |"),
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
        "the run folder is not empty",
    );
    place.write("out/alone-3/result.json", b"{");
    place.refuses(&arguments, 2, "the result is damaged");
}

#[test]
fn a_variant_that_diverges_or_tells_no_styles_leaves_the_others_their_table() {
    let place = Place::new();
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
    let text = plan().replace("[3, 4]", "[3]").replace(
        "styles = [\"openmoji-line\", \"openmoji\"]",
        "source = \"pictures\"",
    );
    let base = text.split("[[variant]]").next().expect("a first part");
    place.write("plan.toml", format!("{base}{variants}").as_bytes());
    let arguments = ["ablate", "plan.toml", "--device", "flex", "--out", "out"];
    let said = place.run(&arguments).done();
    assert!(
        said.out
            .contains("back   step 1: g_norm is inf; on from step 0")
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
    assert_eq!(
        figures("hinge"),
        ["kid", "l1", "perceptual", "secs_a_step", "ssim"]
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
        said.out.contains("cannot name styles") && !said.out.contains("style of patch told"),
        "{said:#?}"
    );
}
