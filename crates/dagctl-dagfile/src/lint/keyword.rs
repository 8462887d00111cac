//! SQL's most common keywords, and which of them a word was meant to be.

use dagctl_core::nearest::distance;

const KEYWORDS: &[&str] = &[
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "ANY",
    "AS",
    "ASC",
    "BEGIN",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COLUMN",
    "COMMIT",
    "CONFLICT",
    "CONSTRAINT",
    "COPY",
    "CREATE",
    "CROSS",
    "CURRENT",
    "DEFAULT",
    "DELETE",
    "DESC",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "EXTRACT",
    "FETCH",
    "FILTER",
    "FIRST",
    "FOLLOWING",
    "FOREIGN",
    "FROM",
    "FULL",
    "FUNCTION",
    "GRANT",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LAST",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MATERIALIZED",
    "NATURAL",
    "NOT",
    "NOTHING",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "ONLY",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PRECEDING",
    "PRIMARY",
    "RANGE",
    "RECURSIVE",
    "REFERENCES",
    "RENAME",
    "REPLACE",
    "RETURNING",
    "REVOKE",
    "RIGHT",
    "ROLLBACK",
    "ROWS",
    "SCHEMA",
    "SELECT",
    "SET",
    "TABLE",
    "TEMPORARY",
    "THEN",
    "TRUNCATE",
    "UNBOUNDED",
    "UNION",
    "UNIQUE",
    "UPDATE",
    "USING",
    "VACUUM",
    "VALUES",
    "VIEW",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "WITHIN",
];

/// The keywords that a word could be a typo of, the likeliest first; none for a keyword itself.
pub(super) fn meant(word: &str) -> Vec<&'static str> {
    let upper = word.to_uppercase();
    let length = upper.chars().count();
    let limit = match length {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    if limit == 0 || KEYWORDS.binary_search(&upper.as_str()).is_ok() {
        return vec![];
    }
    let mut near: Vec<_> = KEYWORDS
        .iter()
        .map(|it| (distance(&upper, it, limit), *it))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort_unstable();
    near.into_iter().map(|(_, it)| it).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_sorted() {
        assert!(KEYWORDS.is_sorted());
    }

    #[test]
    fn typos_lead_to_their_keyword() {
        for (typo, keyword) in [
            ("parition", "PARTITION"),
            ("ordrer", "ORDER"),
            ("selec", "SELECT"),
            ("form", "FROM"),
            ("gruop", "GROUP"),
        ] {
            assert_eq!(meant(typo).first(), Some(&keyword), "{typo}");
        }
        assert_eq!(meant("select"), Vec::<&str>::new());
    }
}
