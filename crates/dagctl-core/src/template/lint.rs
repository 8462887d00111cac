//! What a template reads of the world, and which of its values go into SQL unquoted.

use std::ops::Range;

use minijinja::machinery::ast::{BinOpKind, CallArg, Expr, Stmt};

use super::syntax::{self, Path, Seen};
use super::{Form, References};

pub(super) fn references(source: &str, form: Form) -> References {
    let mut references = References::default();
    let Ok(tree) = syntax::tree(source, form) else {
        return references;
    };
    syntax::walk(&tree, &mut |seen| {
        let Seen::Path(Path { segments, .. }) = seen else {
            return;
        };
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        match segments.as_slice() {
            ["var", "value" | "json", name, ..] => {
                references.variables.insert((*name).to_owned());
            }
            ["conn", name, ..] => {
                references.connections.insert((*name).to_owned());
            }
            _ => {}
        }
    });
    references
}

pub(super) fn raw_sql_values(source: &str) -> Vec<Range<usize>> {
    let Ok(Stmt::Template(template)) = syntax::tree(source, Form::Text) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    statements(&template.children, &mut found);
    found
        .into_iter()
        .map(|range| with_braces(source, range))
        .collect()
}

fn statements(all: &[Stmt<'_>], found: &mut Vec<Range<usize>>) {
    for statement in all {
        match statement {
            Stmt::EmitExpr(emit) => {
                if !is_harmless(&emit.expr) {
                    found.push(syntax::range(emit.expr.span()));
                }
            }
            Stmt::Template(it) => statements(&it.children, found),
            Stmt::ForLoop(it) => {
                statements(&it.body, found);
                statements(&it.else_body, found);
            }
            Stmt::IfCond(it) => {
                statements(&it.true_body, found);
                statements(&it.false_body, found);
            }
            Stmt::WithBlock(it) => statements(&it.body, found),
            Stmt::SetBlock(it) => statements(&it.body, found),
            Stmt::AutoEscape(it) => statements(&it.body, found),
            Stmt::FilterBlock(it) => statements(&it.body, found),
            Stmt::EmitRaw(_) | Stmt::Set(_) | Stmt::Do(_) => {}
        }
    }
}

/// Names whose values dagctl makes itself, so that no quote can be in them.
const HARMLESS: &[&str] = &[
    "ds",
    "ds_nodash",
    "ts",
    "ts_nodash",
    "logical_date",
    "data_interval_start",
    "data_interval_end",
    "staging",
];

fn is_harmless(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(_) => true,
        Expr::Var(var) => HARMLESS.contains(&var.id),
        Expr::GetAttr(get) => {
            is_harmless(&get.expr)
                || syntax::path(expr).is_some_and(|it| {
                    matches!(it.segments.as_slice(), [ti, number] if ti == "ti" && number == "try_number")
                })
        }
        // `ident` quotes, and a number holds no quotes.
        Expr::Filter(it) if matches!(it.name, "ident" | "int" | "float" | "length" | "count") => {
            true
        }
        Expr::Filter(it) => it.expr.as_ref().is_some_and(is_harmless) && are_harmless(&it.args),
        Expr::Call(it) => {
            let callee = syntax::path(&it.expr).is_some_and(|path| path.segments[0] == "macros");
            let method = matches!(&it.expr, Expr::GetAttr(get) if is_harmless(&get.expr));
            (callee || method) && are_harmless(&it.args)
        }
        Expr::IfExpr(it) => {
            is_harmless(&it.true_expr) && it.false_expr.as_ref().is_none_or(is_harmless)
        }
        Expr::BinOp(it) => match it.op {
            BinOpKind::ScAnd
            | BinOpKind::ScOr
            | BinOpKind::Add
            | BinOpKind::Concat
            | BinOpKind::Mul => is_harmless(&it.left) && is_harmless(&it.right),
            // Numbers and truth values.
            BinOpKind::Eq
            | BinOpKind::Ne
            | BinOpKind::Lt
            | BinOpKind::Lte
            | BinOpKind::Gt
            | BinOpKind::Gte
            | BinOpKind::Sub
            | BinOpKind::Div
            | BinOpKind::FloorDiv
            | BinOpKind::Rem
            | BinOpKind::Pow
            | BinOpKind::In => true,
        },
        Expr::Compare(_) | Expr::Test(_) | Expr::UnaryOp(_) => true,
        Expr::Slice(it) => is_harmless(&it.expr),
        Expr::GetItem(_) | Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => false,
    }
}

fn are_harmless(args: &[CallArg<'_>]) -> bool {
    args.iter().all(|arg| match arg {
        CallArg::Pos(it) | CallArg::Kwarg(_, it) => is_harmless(it),
        CallArg::PosSplat(_) | CallArg::KwargSplat(_) => false,
    })
}

fn with_braces(source: &str, range: Range<usize>) -> Range<usize> {
    let start = source[..range.start].rfind("{{").unwrap_or(range.start);
    let end = source[range.end..]
        .find("}}")
        .map_or(range.end, |at| range.end + at + 2);
    start..end
}
