//! "Did you mean": the known word that is fewest typos away.

/// The nearest of `words` where it is near enough to be meant.
pub fn nearest<'w>(found: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let folded = found.to_lowercase();
    let limit = match folded.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=8 => 2,
        _ => 3,
    };
    words
        .into_iter()
        .map(|it| (distance(&folded, &it.to_lowercase(), limit), it))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
}

/// How many letters must be put in, left out, replaced or swapped with their neighbour; anything above `limit` is one more.
pub fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let above = &rows[i - 1];
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_of_neighbours_is_one_typo() {
        assert_eq!(distance("transfrom", "transform", 3), 1);
        assert_eq!(nearest("shedule", ["schedule", "tasks"]), Some("schedule"));
        assert_eq!(nearest("x", ["y"]), None);
        assert_eq!(nearest("dss", ["ds", "ds_nodash"]), Some("ds"));
        assert_eq!(nearest("frobnicate", ["ds", "params"]), None);
    }

    #[test]
    fn the_longer_a_word_the_more_typos_it_may_have() {
        for (found, word, is_near) in [
            ("td", "ts", false),
            ("urk", "url", true),
            ("uqk", "url", false),
            ("takss", "tasks", true),
            ("reason", "region", true),
            ("params", "parent", false),
            ("dependant", "depend_on", true),
            ("dependants", "depend_on", false),
        ] {
            assert_eq!(nearest(found, [word]).is_some(), is_near, "{found} {word}");
        }
    }
}
