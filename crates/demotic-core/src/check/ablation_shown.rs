//! The tables of an ablation as a terminal shows them.

use super::ablation::{Comparison, FIGURES, VariantMeans};
use crate::table::{Column, Fitted, Table, wrapped};

impl Comparison {
    /// What each variant is, in its order by validation pictures where there is one; means, then differences
    /// from the first variant, in lines of at most `width` columns.
    pub fn fitted(&self, width: usize) -> String {
        let about = self.about().replace("**", "");
        let mut all = Fitted {
            lines: about
                .trim_end()
                .split('\n')
                .map(|line| wrapped(line, width))
                .collect(),
            ..Fitted::default()
        };
        let longest = self.variants.iter().map(|v| v.name.len()).max();
        let named = |variant: &VariantMeans, figure: &str| {
            let gap = if figure.is_empty() || variant.about.is_empty() {
                ""
            } else {
                "  "
            };
            let (name, about) = (&variant.name, &variant.about);
            let line = format!("{name:<0$}  {figure}{gap}{about}", longest.unwrap_or(0));
            wrapped(line.trim_end(), width)
        };
        if let (Some(heading), Some(metric)) = (self.ranking_heading(), self.metric()) {
            all.lines.extend([String::new(), wrapped(&heading, width)]);
            for (variant, value) in self.ranked() {
                let figure = format!("{} {}", metric.name(), value.text(4, false));
                all.lines.push(named(variant, &figure));
            }
        } else if self.variants.iter().any(|v| !v.about.is_empty()) {
            all.lines.extend([String::new(), "Variants".to_owned()]);
            let variants = self.variants.iter();
            all.lines.extend(variants.map(|variant| named(variant, "")));
        }
        for (group, columns) in FIGURES {
            for is_difference in [false, true] {
                let figures = columns.iter().map(|(_, head, _)| Column::figure(*head));
                let first = Column::text("variant").at_least(8);
                let mut table = Table::new(std::iter::once(first).chain(figures));
                for variant in &self.variants {
                    let row = variant.figures(is_difference);
                    if row.is_empty() {
                        continue;
                    }
                    let cells = columns.iter().map(|(name, _, digits)| {
                        let value = row.get(*name).map(|v| v.text(*digits, is_difference));
                        value.unwrap_or_else(|| "-".to_owned())
                    });
                    let cells = std::iter::once(variant.name.clone()).chain(cells);
                    table.push(cells.map(Into::into));
                }
                all.lines.push(String::new());
                all.lines
                    .push(wrapped(&self.heading(group, is_difference), width));
                all.add(table.fitted(width));
            }
        }
        all.lines.iter().flat_map(|line| [line, "\n"]).collect()
    }
}
