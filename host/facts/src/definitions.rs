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

/// A definition that a name stands for, or what is unpacked from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    /// Index of the definition.
    pub(crate) definition: usize,
    /// 0 for the whole of it; else the place among what it is unpacked to, from 1.
    pub(crate) position: u64,
}

/// All definitions of a project.
#[derive(Default)]
pub(crate) struct Definitions<'a> {
    /// In the order found.
    pub(crate) all: Vec<Definition<'a>>,
    /// Those that one name stands for.
    pub(crate) groups: Vec<Vec<Member>>,
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
    pub(crate) fn group(&self, index: usize) -> impl Iterator<Item = usize> {
        self.groups.get(index).into_iter().flatten().map(|member| member.definition)
    }

    /// The place of a parameter of the function or constructor that a group is, where it is only one.
    pub(crate) fn parameter(&self, group: usize, name: &str) -> Option<u64> {
        /// Parameters that are looked at, so that many keywords of a long list cost no more than both.
        const PARAMETERS_MAX: usize = 64;
        let [Member { definition, position: 0 }] = self.groups.get(group)?.as_slice() else {
            return None;
        };
        let (parameters, bound) = match self.all.get(*definition)?.body {
            Body::Function(function) => (&function.parameters, 0),
            Body::Class(class) => (&constructor(class)?.parameters, 1),
            Body::Value(_) | Body::Statement(_) => return None,
        };
        let mut names = parameters.iter().skip(bound).take(PARAMETERS_MAX);
        names.position(|parameter| parameter.name().as_str() == name).map(|place| place as u64)
    }

    fn add(&mut self, module: usize, name: String, body: Body<'a>) {
        if !name.is_empty() {
            self.name(name, Member { definition: self.all.len(), position: 0 });
        }
        self.all.push(Definition { module, body });
    }

    fn name(&mut self, name: String, member: Member) {
        self.parts_max = self.parts_max.max(name.split('.').count());
        let next = self.groups.len();
        let group = *self.by_name.entry(name).or_insert(next);
        if group == next {
            self.groups.push(Vec::new());
        }
        if let Some(group) = self.groups.get_mut(group)
            && group.last() != Some(&member)
        {
            group.push(member);
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
            Stmt::Assign(assign) => {
                let targets: Vec<&Expr> = assign.targets.iter().collect();
                self.add_value(module, prefix, &targets, &assign.value);
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.add_value(module, prefix, &[&assign.target], value);
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

    /// A value is one definition, whatever the number of names that it is given; of a tuple that is written out
    /// each name has its part.
    fn add_value(&mut self, module: usize, prefix: &str, targets: &[&'a Expr], value: &'a Expr) {
        let parts = value.as_tuple_expr().filter(|it| !it.iter().any(Expr::is_starred_expr));
        let (apart, whole): (Vec<&Expr>, Vec<&Expr>) = targets.iter().partition(|target| {
            let names = target.as_tuple_expr().filter(|it| !it.iter().any(Expr::is_starred_expr));
            names.zip(parts).is_some_and(|(names, parts)| names.len() == parts.len())
        });
        for (index, part) in parts.into_iter().flatten().enumerate().filter(|_| !apart.is_empty()) {
            let names = apart.iter().filter_map(|target| target.as_tuple_expr()?.elts.get(index));
            self.add_value(module, prefix, &names.collect::<Vec<_>>(), part);
        }
        let counts = whole.into_iter().map(|target| self.name_target(prefix, target, &mut 0));
        if counts.fold(false, |any, counts| any | counts) {
            self.all.push(Definition { module, body: Body::Value(value) });
        }
    }

    /// Gives the names of a target to the definition that comes next. Tells whether there is one that counts. The
    /// position is that among the names that the value is unpacked to; 0 where it is not.
    fn name_target(&mut self, prefix: &str, target: &'a Expr, position: &mut u64) -> bool {
        match target {
            // `__all__` and the like tell others about the module; they do nothing.
            Expr::Name(name) if name.id.starts_with("__") => false,
            Expr::Name(name) => {
                let member = Member { definition: self.all.len(), position: *position };
                self.name(join(prefix, name.id.as_str()), member);
                true
            }
            Expr::Tuple(tuple) => {
                let mut counts = false;
                for inner in tuple {
                    *position += 1;
                    counts |= self.name_target(prefix, inner, position);
                }
                counts
            }
            _ => true,
        }
    }
}

fn constructor(class: &StmtClassDef) -> Option<&StmtFunctionDef> {
    /// Statements that are looked at, as the constructor stands among the first.
    const STATEMENTS_MAX: usize = 64;
    let mut functions =
        class.body.iter().take(STATEMENTS_MAX).filter_map(Stmt::as_function_def_stmt);
    functions.find(|function| function.name.as_str() == "__init__")
}
