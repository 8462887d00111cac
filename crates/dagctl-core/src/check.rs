//! Checks on data: one number from a query, and the bounds it must keep.

use std::fmt;

/// A query that gives one row with one number, and what the number must be.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The query, a template; `{{ staging }}` is the table being built.
    pub sql: String,
    /// What the number must be.
    pub bounds: Bounds,
}

/// What a number must be; every bound that is set must hold.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bounds {
    /// `count`: at least this, as in the course note (`count: 150000` passes with 150,000 or more).
    pub count: Option<f64>,
    /// `max_count`: at most this.
    pub max_count: Option<f64>,
    /// `equals`: exactly this.
    pub equals: Option<f64>,
}

impl Bounds {
    /// Whether no bound is set.
    pub fn is_empty(&self) -> bool {
        self.count.is_none() && self.max_count.is_none() && self.equals.is_none()
    }

    /// Whether `actual` keeps every bound. Not a number keeps none.
    pub fn hold(&self, actual: f64) -> bool {
        !actual.is_nan()
            && self.count.is_none_or(|least| actual >= least)
            && self.max_count.is_none_or(|most| actual <= most)
            && self.equals.is_none_or(|exactly| actual == exactly)
    }
}

/// Reads well after "expected": `at least 150000`, `at most 0`, `exactly 7`.
impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("at least", self.count),
            ("at most", self.max_count),
            ("exactly", self.equals),
        ];
        let mut first = true;
        for (words, bound) in parts {
            if let Some(bound) = bound {
                write!(f, "{}{words} {bound}", if first { "" } else { " and " })?;
                first = false;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_is_the_least_number_allowed() {
        let bounds = Bounds {
            count: Some(150_000.0),
            ..Bounds::default()
        };
        assert!(bounds.hold(150_000.0) && bounds.hold(150_001.0) && !bounds.hold(149_999.0));
        assert_eq!(bounds.to_string(), "at least 150000");
    }

    #[test]
    fn every_bound_that_is_set_must_hold() {
        let bounds = Bounds {
            count: Some(1.0),
            max_count: Some(3.0),
            equals: None,
        };
        assert!(
            bounds.hold(2.0) && !bounds.hold(0.0) && !bounds.hold(4.0) && !bounds.hold(f64::NAN)
        );
        assert_eq!(bounds.to_string(), "at least 1 and at most 3");
        let exact = Bounds {
            equals: Some(7.0),
            ..Bounds::default()
        };
        assert!(exact.hold(7.0) && !exact.hold(6.0) && !exact.hold(8.0));
    }

    #[test]
    fn one_bound_is_enough() {
        let bounds = |count, max_count, equals| Bounds {
            count,
            max_count,
            equals,
        };
        assert!(Bounds::default().is_empty());
        for one in [
            bounds(Some(1.0), None, None),
            bounds(None, Some(1.0), None),
            bounds(None, None, Some(1.0)),
        ] {
            assert!(!one.is_empty(), "{one}");
        }
    }
}
