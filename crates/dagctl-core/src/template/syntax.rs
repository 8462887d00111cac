//! Reads a template into its syntax tree and walks the names in it.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use minijinja::Error;
use minijinja::machinery::ast::{CallArg, EmitExpr, Expr, Spanned, Stmt};
use minijinja::machinery::{Span, parse, parse_expr};
use minijinja::syntax::SyntaxConfig;

use super::Form;

/// Jinja's delimiters; the newline at the end of a text is the user's.
pub(super) fn config() -> SyntaxConfig {
    static CONFIG: OnceLock<SyntaxConfig> = OnceLock::new();
    CONFIG
        .get_or_init(|| {
            SyntaxConfig::builder()
                .keep_trailing_newline(true)
                .build()
                .expect("Jinja's own delimiters do not clash")
        })
        .clone()
}

/// Reads a source as a tree; an expression as the one thing it emits.
pub(super) fn tree(source: &str, form: Form) -> Result<Stmt<'_>, Error> {
    match form {
        Form::Text => parse(source, "<template>", config()),
        Form::Expression => {
            let expr = parse_expr(source)?;
            let span = expr.span();
            Ok(Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, span)))
        }
    }
}

/// A name with the constant attributes after it: `var.value.x`, `outputs["a.b"].rows`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path<'a> {
    /// The name and its attributes.
    pub(super) segments: Vec<Cow<'a, str>>,
    /// The method that is called on it.
    pub(super) method: Option<&'a str>,
    /// Whether it may be missing: under `default`, `is defined` or `.get`.
    pub(super) guarded: bool,
    /// Where it stands.
    pub(super) range: Range<usize>,
}

/// Something that a template uses.
#[derive(Debug)]
pub(super) enum Seen<'a> {
    Path(Path<'a>),
    Filter(&'a str, Range<usize>),
    Test(&'a str, Range<usize>),
    Function(&'a str, Range<usize>),
    /// A block whose output is caught before it is written.
    Capture(Range<usize>),
}

/// Calls `visit` for everything a tree uses, leaving out names that the template itself defines.
pub(super) fn walk<'a>(tree: &Stmt<'a>, visit: &mut dyn FnMut(Seen<'a>)) {
    let mut walk = Walk {
        locals: vec![Vec::new()],
        visit,
    };
    walk.statement(tree);
}

/// The bytes of a span.
pub(super) fn range(span: Span) -> Range<usize> {
    span.start_offset as usize..(span.end_offset as usize).max(span.start_offset as usize)
}

/// Reads an expression as a path, if it is one.
pub(super) fn path<'a>(expr: &Expr<'a>) -> Option<Path<'a>> {
    match expr {
        Expr::Var(var) => Some(Path {
            segments: vec![Cow::Borrowed(var.id)],
            method: None,
            guarded: false,
            range: range(var.span()),
        }),
        Expr::GetAttr(get) => {
            let mut path = path(&get.expr)?;
            path.segments.push(Cow::Borrowed(get.name));
            // The engine's span of a later attribute begins at its dot.
            path.range.end = range(get.span()).end;
            Some(path)
        }
        Expr::GetItem(get) => {
            let Expr::Const(key) = &get.subscript_expr else {
                return None;
            };
            let mut path = path(&get.expr)?;
            path.segments.push(Cow::Owned(key.value.to_string()));
            path.range.end = range(get.span()).end;
            Some(path)
        }
        _ => None,
    }
}

struct Walk<'v, 'a> {
    locals: Vec<Vec<&'a str>>,
    visit: &'v mut dyn FnMut(Seen<'a>),
}

impl<'a> Walk<'_, 'a> {
    fn statements(&mut self, statements: &[Stmt<'a>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt<'a>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) => {}
            Stmt::ForLoop(it) => {
                self.expression(&it.iter);
                self.locals.push(vec!["loop"]);
                self.define(&it.target);
                self.optional(it.filter_expr.as_ref());
                self.statements(&it.body);
                self.locals.pop();
                self.statements(&it.else_body);
            }
            Stmt::IfCond(it) => {
                self.expression(&it.expr);
                self.statements(&it.true_body);
                self.statements(&it.false_body);
            }
            Stmt::WithBlock(it) => {
                self.locals.push(Vec::new());
                for (target, value) in &it.assignments {
                    self.expression(value);
                    self.define(target);
                }
                self.statements(&it.body);
                self.locals.pop();
            }
            Stmt::Set(it) => {
                self.expression(&it.expr);
                self.define(&it.target);
            }
            Stmt::SetBlock(it) => {
                (self.visit)(Seen::Capture(range(it.span())));
                self.optional(it.filter.as_ref());
                self.statements(&it.body);
                self.define(&it.target);
            }
            Stmt::AutoEscape(it) => {
                self.expression(&it.enabled);
                self.statements(&it.body);
            }
            Stmt::FilterBlock(it) => {
                (self.visit)(Seen::Capture(range(it.span())));
                self.expression(&it.filter);
                self.statements(&it.body);
            }
            Stmt::Do(it) => self.call(&it.call.expr, &it.call.args, range(it.call.span())),
        }
    }

    fn define(&mut self, target: &Expr<'a>) {
        match target {
            Expr::Var(var) => {
                if let Some(scope) = self.locals.last_mut() {
                    scope.push(var.id);
                }
            }
            Expr::List(list) => list.items.iter().for_each(|it| self.define(it)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|it| self.define(it)),
            // `set namespace.attribute` reads the namespace and defines nothing.
            other => self.expression(other),
        }
    }

    fn optional(&mut self, expr: Option<&Expr<'a>>) {
        if let Some(expr) = expr {
            self.expression(expr);
        }
    }

    fn expression(&mut self, expr: &Expr<'a>) {
        self.guarded_expression(expr, false);
    }

    fn guarded_expression(&mut self, expr: &Expr<'a>, guarded: bool) {
        if let Some(found) = path(expr) {
            return self.path(Path { guarded, ..found });
        }
        match expr {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::GetAttr(it) => self.guarded_expression(&it.expr, guarded),
            Expr::GetItem(it) => {
                self.indexed(&it.expr, range(it.span()));
                self.expression(&it.subscript_expr);
            }
            Expr::Slice(it) => {
                self.expression(&it.expr);
                self.optional(it.start.as_ref());
                self.optional(it.stop.as_ref());
                self.optional(it.step.as_ref());
            }
            Expr::UnaryOp(it) => self.expression(&it.expr),
            Expr::BinOp(it) => {
                self.expression(&it.left);
                self.expression(&it.right);
            }
            Expr::Compare(it) => {
                self.expression(&it.expr);
                it.ops.iter().for_each(|op| self.expression(&op.expr));
            }
            Expr::IfExpr(it) => {
                self.expression(&it.test_expr);
                self.expression(&it.true_expr);
                self.optional(it.false_expr.as_ref());
            }
            Expr::Filter(it) => {
                (self.visit)(Seen::Filter(it.name, range(it.span())));
                if let Some(input) = &it.expr {
                    self.guarded_expression(input, matches!(it.name, "default" | "d"));
                }
                self.arguments(&it.args);
            }
            Expr::Test(it) => {
                (self.visit)(Seen::Test(it.name, range(it.span())));
                self.guarded_expression(&it.expr, matches!(it.name, "defined" | "undefined"));
                self.arguments(&it.args);
            }
            Expr::Call(it) => self.call(&it.expr, &it.args, range(it.span())),
            Expr::List(it) => it.items.iter().for_each(|item| self.expression(item)),
            Expr::Tuple(it) => it.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(it) => {
                it.keys.iter().for_each(|key| self.expression(key));
                it.values.iter().for_each(|value| self.expression(value));
            }
        }
    }

    /// `expr[…]` with a key that is only known when it is rendered.
    fn indexed(&mut self, expr: &Expr<'a>, range: Range<usize>) {
        match path(expr) {
            Some(found) => self.path(Path {
                range: found.range.start..range.end,
                ..found
            }),
            None => self.expression(expr),
        }
    }

    fn call(&mut self, callee: &Expr<'a>, args: &[CallArg<'a>], range: Range<usize>) {
        match (callee, path(callee)) {
            (Expr::Var(function), _) => {
                if !self.is_local(function.id) {
                    (self.visit)(Seen::Function(function.id, range));
                }
            }
            (Expr::GetAttr(get), Some(mut found)) => {
                found.segments.pop();
                found.method = Some(get.name);
                if get.name == "get"
                    && let Some(CallArg::Pos(key)) = args.first()
                {
                    // `.get("x")` is one more attribute, which may be missing.
                    found.guarded = true;
                    if let Expr::Const(key) = key {
                        found.segments.push(Cow::Owned(key.value.to_string()));
                        found.method = None;
                    }
                }
                self.path(found);
            }
            (other, _) => self.expression(other),
        }
        self.arguments(args);
    }

    fn arguments(&mut self, args: &[CallArg<'a>]) {
        for arg in args {
            match arg {
                CallArg::Pos(it)
                | CallArg::Kwarg(_, it)
                | CallArg::PosSplat(it)
                | CallArg::KwargSplat(it) => self.expression(it),
            }
        }
    }

    fn path(&mut self, path: Path<'a>) {
        if !self.is_local(&path.segments[0]) {
            (self.visit)(Seen::Path(path));
        }
    }

    fn is_local(&self, name: &str) -> bool {
        self.locals.iter().flatten().any(|local| *local == name)
    }
}
