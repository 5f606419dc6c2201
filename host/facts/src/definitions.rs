//! The definitions of a project: functions, classes and constants at module level.

use std::collections::BTreeMap;

use ruff_python_ast::{Expr, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::{Ranged, TextRange};

use crate::observe::is_main_guard;
use crate::project::{Project, prefixes};
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
    /// Those that one name stands for.
    pub(crate) groups: Vec<Vec<usize>>,
    by_name: BTreeMap<String, usize>,
    /// The most parts that a name has.
    parts_max: usize,
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

    /// The group of that dotted name, or of the longest part of it that has one, and the length of that part.
    pub(crate) fn named(&self, dotted: &str) -> Option<(usize, usize)> {
        std::iter::once(dotted)
            .chain(prefixes(dotted, self.parts_max))
            .find_map(|part| Some((*self.by_name.get(part)?, part.len())))
    }

    /// The definitions of a group.
    pub(crate) fn group(&self, index: usize) -> &[usize] {
        self.groups.get(index).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, module: usize, name: String, body: Body<'a>) {
        if !name.is_empty() {
            self.name(name, self.all.len());
        }
        self.all.push(Definition { module, body });
    }

    fn name(&mut self, name: String, definition: usize) {
        self.parts_max = self.parts_max.max(name.split('.').count());
        let next = self.groups.len();
        let group = *self.by_name.entry(name).or_insert(next);
        if group == next {
            self.groups.push(Vec::new());
        }
        if let Some(group) = self.groups.get_mut(group)
            && group.last() != Some(&definition)
        {
            group.push(definition);
        }
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

    /// A value is one definition, whatever the number of names that it is given.
    fn add_value(&mut self, module: usize, prefix: &str, targets: &'a [Expr], value: &'a Expr) {
        if self.name_targets(prefix, targets) {
            self.all.push(Definition { module, body: Body::Value(value) });
        }
    }

    /// Gives names to the definition that comes next. Tells whether there is a target that counts.
    fn name_targets(&mut self, prefix: &str, targets: &'a [Expr]) -> bool {
        let mut counts = false;
        for target in targets {
            counts |= match target {
                // `__all__` and the like tell others about the module; they do nothing.
                Expr::Name(name) if name.id.starts_with("__") => false,
                Expr::Name(name) => {
                    self.name(join(prefix, name.id.as_str()), self.all.len());
                    true
                }
                Expr::Tuple(tuple) => self.name_targets(prefix, &tuple.elts),
                _ => true,
            };
        }
        counts
    }
}
