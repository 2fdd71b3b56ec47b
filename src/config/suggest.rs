//! The word that was probably meant.

use strsim::damerau_levenshtein;

/// No key or value of ours is longer, characters.
const MAX_WORD: usize = 64;

/// The candidate nearest to `word`, if one is near enough to be what was meant.
///
/// Case and the kind of separator do not count; else one slip in three letters (at least one) may differ, a swap of two
/// neighbours being one slip. Of equally near ones the first.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().count() > MAX_WORD {
        return None;
    }
    let word = folded(word);
    let distance = |candidate: &str| damerau_levenshtein(&word, &folded(candidate));
    let slips = (word.chars().count() / 3).max(1);
    let near = candidates.into_iter().map(|candidate| (distance(candidate), candidate));
    near.filter(|(distance, _)| *distance <= slips).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

fn folded(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let keys = ["min_score", "max_iou", "model", "input_px"];
        let cases = [
            ("min_scor", Some("min_score")),
            ("minScore", Some("min_score")),
            ("Min-Score", Some("min_score")),
            ("mdoel", Some("model")),
            ("max_uoi", Some("max_iou")),
            ("threshold", None),
            ("", None),
            ("m", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
    }

    #[test]
    fn an_endless_word_is_near_to_nothing() {
        assert_eq!(nearest(&"min_score".repeat(100_000), ["min_score"]), None);
    }
}
