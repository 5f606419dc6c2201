//! The definitions of a project: functions, classes and constants at module level.

use std::collections::BTreeMap;

use ruff_python_ast::{Expr, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::{Ranged, TextRange};

use crate::observe::is_main_guard;
use crate::project::Project;
use crate::scope::join;

/// What is defined.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    /// `def`.
    Function(&'a StmtFunctionDef),
    /// `class`.
    Class(&'a StmtClassDef),
    /// The value of an assignment.
    Value(&'a Expr),
    /// A statement that defines nothing.
    Statement(&'a Stmt),
}

/// One definition.
pub(crate) struct Definition<'a> {
    /// Index of the module.
    pub(crate) module: usize,
    /// What is defined.
    pub(crate) body: Body<'a>,
}

impl Ranged for Definition<'_> {
    fn range(&self) -> TextRange {
        match self.body {
            Body::Function(function) => function.name.range(),
            Body::Class(class) => class.name.range(),
            Body::Value(value) => value.range(),
            Body::Statement(statement) => statement.range(),
        }
    }
}

/// All definitions of a project.
#[derive(Default)]
pub(crate) struct Definitions<'a> {
    /// In the order found.
    pub(crate) all: Vec<Definition<'a>>,
    by_name: BTreeMap<String, Vec<usize>>,
}

impl<'a> Definitions<'a> {
    /// Collects them from all modules.
    pub(crate) fn collect(project: &Project<'a>) -> Self {
        let mut definitions = Self::default();
        for (index, module) in project.modules.iter().enumerate() {
            definitions.add_body(index, &module.name, module.body);
        }
        definitions
    }

    /// The definitions of that dotted name, or of the longest part of it that is one.
    pub(crate) fn named(&self, dotted: &str) -> Option<(&[usize], usize)> {
        let mut length = dotted.len();
        loop {
            let part = dotted.get(..length)?;
            if let Some(found) = self.by_name.get(part) {
                return Some((found, length));
            }
            length = part.rfind('.')?;
        }
    }

    fn add(&mut self, module: usize, name: String, body: Body<'a>) {
        if !name.is_empty() {
            self.by_name.entry(name).or_default().push(self.all.len());
        }
        self.all.push(Definition { module, body });
    }

    fn add_body(&mut self, module: usize, prefix: &str, body: &'a [Stmt]) {
        for statement in body {
            self.add_statement(module, prefix, statement);
        }
    }

    fn add_statement(&mut self, module: usize, prefix: &str, statement: &'a Stmt) {
        match statement {
            Stmt::FunctionDef(function) => {
                self.add(module, join(prefix, function.name.as_str()), Body::Function(function));
            }
            Stmt::ClassDef(class) => {
                self.add(module, join(prefix, class.name.as_str()), Body::Class(class));
            }
            Stmt::Assign(assign) => self.add_value(module, prefix, &assign.targets, &assign.value),
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.add_value(module, prefix, std::slice::from_ref(&*assign.target), value);
                }
            }
            Stmt::If(branch) => {
                if is_main_guard(&branch.test) {
                    return;
                }
                self.add_body(module, prefix, &branch.body);
                for clause in &branch.elif_else_clauses {
                    self.add_body(module, prefix, &clause.body);
                }
            }
            Stmt::Try(attempt) => {
                self.add_body(module, prefix, &attempt.body);
                for handler in &attempt.handlers {
                    let ruff_python_ast::ExceptHandler::ExceptHandler(handler) = handler;
                    self.add_body(module, prefix, &handler.body);
                }
                self.add_body(module, prefix, &attempt.orelse);
                self.add_body(module, prefix, &attempt.finalbody);
            }
            Stmt::Import(_) | Stmt::ImportFrom(_) | Stmt::Pass(_) => {}
            Stmt::Expr(expression) if expression.value.is_literal_expr() => {}
            _ => self.add(module, String::new(), Body::Statement(statement)),
        }
    }

    fn add_value(&mut self, module: usize, prefix: &str, targets: &'a [Expr], value: &'a Expr) {
        for target in targets {
            match target {
                // `__all__` and the like tell others about the module; they do nothing.
                Expr::Name(name) if name.id.starts_with("__") => {}
                Expr::Name(name) => {
                    self.add(module, join(prefix, name.id.as_str()), Body::Value(value));
                }
                Expr::Tuple(tuple) => self.add_value(module, prefix, &tuple.elts, value),
                _ => self.add(module, String::new(), Body::Value(value)),
            }
        }
    }
}
