//! Private names. Inside a class Python takes `__x` for `_Class__x` (Language Reference, 6.2.1): what is read here must
//! be what runs, so the syntax tree is given the names that Python uses.

use std::cell::{Cell, RefCell};

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::transformer::{self, Transformer};
use ruff_python_ast::{
    Alias, ExceptHandler, Expr, Identifier, Keyword, Parameter, Pattern, Stmt, StmtClassDef,
    TypeParam,
};

use crate::scope::NAME_BYTES_MAX;

/// Gives private names the names that they have outside their class. Each has the name of the class in it, so that a very
/// long one would be there as often: then where that class is named.
pub(crate) fn mangle(text: &str, body: &mut [Stmt]) -> Result<(), u32> {
    if !may_have_private_names(text) {
        return Ok(());
    }
    let mangler = Mangler { class: RefCell::default(), too_long: Cell::default() };
    mangler.visit_body(body);
    mangler.too_long.get().map_or(Ok(()), Err)
}

/// Whether some word begins with two underscores and does not end so. Other letters may stand for underscores.
fn may_have_private_names(text: &str) -> bool {
    !text.is_ascii()
        || memchr::memmem::find_iter(text.as_bytes(), "__").any(|at| {
            let word = text.get(at..).unwrap_or_default();
            let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let word = word.get(..end.unwrap_or(word.len())).unwrap_or_default();
            let before = text.get(..at).and_then(|text| text.bytes().next_back());
            let begins = !before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            begins && !word.ends_with("__")
        })
}

/// What stands before a name inside that class, where something does.
fn prefix<'c>(class: &'c str, name: &str) -> Option<&'c str> {
    let class = class.trim_start_matches('_');
    let is_private = name.starts_with("__") && !name.ends_with("__") && !name.contains('.');
    (is_private && !class.is_empty()).then_some(class)
}

struct Mangler {
    /// The innermost class; empty outside of any.
    class: RefCell<Class>,
    /// Where a class is named whose name is too long to be in others.
    too_long: Cell<Option<u32>>,
}

#[derive(Default)]
struct Class {
    name: String,
    place: u32,
}

impl Mangler {
    fn rename(&self, name: &mut Name) {
        let class = self.class.borrow();
        match prefix(&class.name, name) {
            Some(prefix) if prefix.len() > NAME_BYTES_MAX => self.too_long.set(Some(class.place)),
            Some(prefix) => *name = Name::new(format!("_{prefix}{name}")),
            None => {}
        }
    }

    fn rename_all<'i>(&self, names: impl IntoIterator<Item = &'i mut Identifier>) {
        names.into_iter().for_each(|name| self.rename(&mut name.id));
    }

    fn visit_class(&self, class: &mut StmtClassDef) {
        let inner =
            Class { name: class.name.id.to_string(), place: class.name.range.start().to_u32() };
        self.rename(&mut class.name.id);
        class.decorator_list.iter_mut().for_each(|it| self.visit_decorator(it));
        // With type parameters, the bases stand in a scope of the class.
        let (mut outside, mut inside) = (class.arguments.as_deref_mut(), None);
        if class.type_params.is_some() {
            std::mem::swap(&mut outside, &mut inside);
        }
        if let Some(arguments) = outside {
            self.visit_arguments(arguments);
        }
        let outer = self.class.replace(inner);
        if let Some(parameters) = &mut class.type_params {
            self.visit_type_params(parameters);
        }
        if let Some(arguments) = inside {
            self.visit_arguments(arguments);
        }
        self.visit_body(&mut class.body);
        self.class.replace(outer);
    }
}

impl Transformer for Mangler {
    fn visit_stmt(&self, statement: &mut Stmt) {
        match statement {
            Stmt::ClassDef(class) => return self.visit_class(class),
            Stmt::FunctionDef(function) => self.rename(&mut function.name.id),
            Stmt::ImportFrom(import) => self.rename_all(&mut import.module),
            Stmt::Global(global) => self.rename_all(&mut global.names),
            Stmt::Nonlocal(nonlocal) => self.rename_all(&mut nonlocal.names),
            _ => {}
        }
        transformer::walk_stmt(self, statement);
    }

    fn visit_expr(&self, expression: &mut Expr) {
        match expression {
            Expr::Name(name) => self.rename(&mut name.id),
            Expr::Attribute(attribute) => self.rename(&mut attribute.attr.id),
            _ => {}
        }
        transformer::walk_expr(self, expression);
    }

    fn visit_parameter(&self, parameter: &mut Parameter) {
        self.rename(&mut parameter.name.id);
        transformer::walk_parameter(self, parameter);
    }

    fn visit_keyword(&self, keyword: &mut Keyword) {
        self.rename_all(&mut keyword.arg);
        transformer::walk_keyword(self, keyword);
    }

    fn visit_alias(&self, alias: &mut Alias) {
        self.rename(&mut alias.name.id);
        self.rename_all(&mut alias.asname);
    }

    fn visit_except_handler(&self, handler: &mut ExceptHandler) {
        let ExceptHandler::ExceptHandler(inner) = handler;
        self.rename_all(&mut inner.name);
        transformer::walk_except_handler(self, handler);
    }

    fn visit_pattern(&self, pattern: &mut Pattern) {
        match pattern {
            Pattern::MatchAs(capture) => self.rename_all(&mut capture.name),
            Pattern::MatchStar(capture) => self.rename_all(&mut capture.name),
            Pattern::MatchMapping(capture) => self.rename_all(&mut capture.rest),
            _ => {}
        }
        transformer::walk_pattern(self, pattern);
    }

    fn visit_type_param(&self, parameter: &mut TypeParam) {
        let name = match parameter {
            TypeParam::TypeVar(it) => &mut it.name,
            TypeParam::ParamSpec(it) => &mut it.name,
            TypeParam::TypeVarTuple(it) => &mut it.name,
        };
        self.rename(&mut name.id);
        transformer::walk_type_param(self, parameter);
    }
}

#[cfg(test)]
mod tests {
    use super::{may_have_private_names, prefix};

    #[test]
    fn names_are_mangled_as_python_does() {
        assert_eq!(prefix("A", "__x"), Some("A"));
        assert_eq!(prefix("__A_", "__x"), Some("A_"));
        for (class, name) in
            [("A", "__x__"), ("A", "_x"), ("__", "__x"), ("", "__x"), ("A", "__a.b")]
        {
            assert_eq!(prefix(class, name), None, "{class} {name}");
        }
    }

    #[test]
    fn a_private_name_is_noticed_wherever_it_stands() {
        for text in ["__x", "a.__x", "def f(__x): pass", "x = '__init__'; __y = 1", "\u{ff3f}_x"] {
            assert!(may_have_private_names(text), "{text}");
        }
        for text in ["__init__", "a.__class__.b", "x__y", "_x", ""] {
            assert!(!may_have_private_names(text), "{text}");
        }
    }
}
