//! Reports strings whose content matters: attribute walks in format strings, names of special
//! attributes, annotations that hold code.

use ruff_python_ast::Expr;
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_parser::parse_expression;
use ruff_text_size::Ranged;

use crate::ObservationKind as Kind;
use crate::known_names::is_dunder;
use crate::observe::{AS_TYPE, Observer};
use crate::report::Seen;
use crate::scope::is_dotted;
use crate::source::check_depth;

/// The longest annotation that is read as code, in bytes.
const ANNOTATION_BYTES_MAX: usize = 1_000;

impl<'a> Observer<'_, 'a> {
    /// A string literal, or a literal part of an f-string.
    pub(crate) fn see_string(&mut self, node: &impl Ranged, text: &str) {
        self.see_long_text(node, "string", text);
        if is_dunder(text) {
            self.see(node, Seen::new(Kind::Text, "special-name").detail(text));
        }
        if let Some(field) = format_fields(text).find(|field| field.contains(['.', '['])) {
            self.see(node, Seen::new(Kind::Text, "format-walk").detail(field));
        }
    }

    /// A string that stands as a statement.
    pub(crate) fn see_docstring(&mut self, expression: &Expr) {
        if let Expr::StringLiteral(text) = expression {
            self.see_long_text(expression, "docstring", text.value.to_str());
        }
    }

    /// An annotation. Strings in it are code that some libraries evaluate.
    pub(crate) fn see_annotation(&mut self, expression: &'a Expr) {
        let outer = std::mem::replace(&mut self.in_annotation, true);
        self.visit_for(if is_type(expression) { AS_TYPE } else { "" }, expression);
        self.in_annotation = outer;
    }

    /// A string inside an annotation.
    pub(crate) fn see_text_annotation(&mut self, node: &Expr, text: &str) {
        let readable = text.len() <= ANNOTATION_BYTES_MAX && check_depth(text).is_ok();
        let parsed = if readable { parse_expression(text).ok() } else { None };
        let name = match parsed {
            None => "annotation-unreadable",
            Some(parsed) => {
                let acts = !is_type(parsed.expr());
                let mut names = Names::default();
                names.visit_expr(parsed.expr());
                for name in &names.dotted {
                    for target in self.describe_text_name(name) {
                        let usage = if acts { "" } else { AS_TYPE };
                        self.see(node, Seen::new(Kind::Reference, &target).detail(usage));
                    }
                }
                if !acts {
                    return;
                }
                "annotation-code"
            }
        };
        self.see(node, Seen::new(Kind::Text, name).detail(text));
    }

    fn describe_text_name(&self, dotted: &str) -> Vec<String> {
        let (root, attributes) = dotted.split_once('.').unwrap_or((dotted, ""));
        match self.resolver.meaning(root, None) {
            crate::resolve::Meaning::Known(roots) => {
                let path: Vec<&str> = attributes.split('.').filter(|it| !it.is_empty()).collect();
                let targets = self.resolver.extend(&roots, &path);
                let outside = targets.iter().filter(|target| !target.local);
                outside.map(|target| target.name.clone()).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Whether an expression holds no more than a type can: no calls, lambdas, comprehensions. Looks no further than to the
/// first of them, so that asking again inside of it costs no more than once over.
pub(crate) fn is_type(expression: &Expr) -> bool {
    match expression {
        Expr::Name(_) | Expr::Attribute(_) => is_dotted(expression),
        Expr::Subscript(it) => is_type(&it.value) && is_type(&it.slice),
        Expr::BinOp(it) => is_type(&it.left) && is_type(&it.right),
        Expr::Tuple(it) => it.elts.iter().all(is_type),
        Expr::List(it) => it.elts.iter().all(is_type),
        Expr::UnaryOp(it) => is_type(&it.operand),
        Expr::Starred(it) => is_type(&it.value),
        Expr::StringLiteral(_)
        | Expr::NumberLiteral(_)
        | Expr::BooleanLiteral(_)
        | Expr::NoneLiteral(_)
        | Expr::EllipsisLiteral(_) => true,
        _ => false,
    }
}

/// The dotted names of an annotation.
#[derive(Default)]
struct Names {
    dotted: Vec<String>,
}

impl<'a> Visitor<'a> for Names {
    fn visit_expr(&mut self, expression: &'a Expr) {
        match crate::project::dotted_parts(expression) {
            Some((root, attributes)) => {
                self.dotted.push(crate::scope::join(root, &attributes.join(".")));
            }
            None => visitor::walk_expr(self, expression),
        }
    }
}

/// The replacement fields of a format string: what stands between single braces, up to `:` or `!`.
fn format_fields(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once('{')?;
            if let Some(escaped) = after.strip_prefix('{') {
                rest = escaped;
                continue;
            }
            // A field ends at its brace; a nested one begins a field of its own.
            let end = after.find(['{', '}']).unwrap_or(after.len());
            let (field, tail) = after.split_at_checked(end)?;
            rest = tail;
            return field.split([':', '!']).next();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::format_fields;

    #[test]
    fn fields_end_at_braces_conversions_and_specifications() {
        let fields: Vec<&str> = format_fields("{a.b} {{no.t}} {c!r:>{width.x}} {0[k]:x").collect();
        assert_eq!(fields, ["a.b", "c", "width.x", "0[k]"]);
    }
}
