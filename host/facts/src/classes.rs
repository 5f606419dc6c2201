//! The normal form of a class: its methods by themselves, in an order of their own, and what they share.

use ruff_python_ast::visitor::Visitor as _;
use ruff_python_ast::{Stmt, StmtClassDef, StmtFunctionDef};

use crate::key::Key;
use crate::normalise::Normaliser;
use crate::stream::Stream;

/// A method as it is by itself.
struct Method<'a> {
    name: &'a str,
    stream: Stream,
    /// Locals and members whose numbers are its own, in their order, that the other methods know too.
    locals: Vec<Key<'a>>,
    members: Vec<Key<'a>>,
}

impl<'a> Normaliser<'_, 'a> {
    /// Methods in an order of their own: the constructor first, which names the members, then by what they do
    /// and with which of these.
    pub(crate) fn visit_top_level_class(&mut self, class: &'a StmtClassDef) {
        self.class_head(class);
        let mut methods = Vec::new();
        for statement in &class.body {
            match statement {
                Stmt::FunctionDef(function) => methods.push(self.method(function)),
                _ => self.visit_stmt(statement),
            }
        }
        let (mut first, others): (Vec<_>, Vec<_>) =
            methods.into_iter().partition(|method: &Method<'_>| method.name == "__init__");
        first.sort_by(|left, right| left.stream.exact.cmp(&right.stream.exact));
        for method in first {
            self.add_method(method);
        }
        // Those that do alike with different members are told apart by the members that the constructor named.
        let known = |method: Method<'a>| {
            let numbers = method.members.iter().map(|name| self.names.members.known(*name));
            (numbers.collect::<Vec<_>>(), method)
        };
        let mut others: Vec<_> = others.into_iter().map(known).collect();
        others.sort_by(|(left_numbers, left), (right_numbers, right)| {
            (&left.stream.exact, left_numbers).cmp(&(&right.stream.exact, right_numbers))
        });
        for (_, method) in others {
            self.add_method(method);
        }
        self.resolver.pop();
        self.stream.close();
    }

    fn add_method(&mut self, method: Method<'a>) {
        self.place = method.stream.places.first().copied().unwrap_or(self.place);
        self.member(method.name);
        self.stream.append(method.stream);
        // What the numbers in it are to the other methods.
        self.stream.numbers([method.locals.len() as u64, method.members.len() as u64]);
        for name in method.locals {
            let number = self.local_number(name);
            self.stream.numbers([number]);
        }
        for name in method.members {
            let number = self.names.members.number(name, || true);
            self.stream.numbers([number]);
        }
    }

    fn method(&mut self, function: &'a StmtFunctionDef) -> Method<'a> {
        let outer = std::mem::take(&mut self.names);
        let begin = self.stream.end();
        self.visit_function(function);
        let names = std::mem::replace(&mut self.names, outer);
        Method {
            name: function.name.as_str(),
            stream: self.stream.split_off(begin),
            locals: names.locals.shared,
            members: names.members.shared,
        }
    }
}
