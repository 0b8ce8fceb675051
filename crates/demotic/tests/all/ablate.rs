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
