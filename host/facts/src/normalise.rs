//! The normal form of a definition: a stream of tokens in which names of locals and of members are
//! numbers, references to the project are links, and comments, docstrings, annotations and the order
//! of methods are gone.

use std::collections::BTreeSet;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    BoolOp, CmpOp, Comprehension, ElifElseClause, ExceptHandler, Expr, ExprCall,
    InterpolatedStringElement, Keyword, MatchCase, Number, Operator, Parameters, Pattern,
    PatternKeyword, Stmt, StmtClassDef, StmtFor, StmtFunctionDef, StmtTry, StmtWith, UnaryOp,
};

use ruff_text_size::Ranged;
use smallvec::SmallVec;

use crate::definitions::{Body, Definitions};
use crate::fingerprint::is_alias;
use crate::key::Key;
use crate::project::{Project, dotted_path};
use crate::resolve::{Meaning, Resolver};
use crate::scope::Scope;
use crate::stream::{Numbers, Stream};
use crate::tags::{Tag, expression_tag, pattern_kind, statement_tag};

/// The normal form of the definition `index`.
pub(crate) fn normalise<'a>(
    project: &Project<'a>,
    definitions: &Definitions<'a>,
    members: &BTreeSet<Key<'a>>,
    index: usize,
) -> Stream {
    let Some(definition) = definitions.all.get(index) else { return Stream::default() };
    if is_alias(definition.body) {
        // What it stands for is followed wherever it is used.
        return Stream::default();
    }
    let mut normaliser = Normaliser {
        resolver: Resolver::new(project, definition.module),
        definitions,
        members,
        names: Names::default(),
        stream: Stream::default(),
        place: definition.range().start().to_u32(),
    };
    match definition.body {
        Body::Function(function) => normaliser.visit_function(function),
        Body::Class(class) => normaliser.visit_top_level_class(class),
        Body::Value(value) => normaliser.visit_expr(value),
        Body::Statement(statement) => normaliser.visit_stmt(statement),
    }
    normaliser.stream
}

/// Goes over one definition.
pub(crate) struct Normaliser<'p, 'a> {
    pub(crate) resolver: Resolver<'p, 'a>,
    definitions: &'p Definitions<'a>,
    members: &'p BTreeSet<Key<'a>>,
    pub(crate) names: Names<'a>,
    pub(crate) stream: Stream,
    /// Where what is being read begins.
    pub(crate) place: u32,
}

/// The names that are numbers. In a method, those are shared that mean the same in the others.
#[derive(Default)]
pub(crate) struct Names<'a> {
    pub(crate) locals: Numbers<'a>,
    pub(crate) members: Numbers<'a>,
}

/// What is known of what is called.
#[derive(Clone, Copy, Default)]
struct Callee {
    /// Whether it may come from outside the project.
    is_from_outside: bool,
    /// The group of definitions that it is, where it is certain.
    group: Option<usize>,
}

impl<'a> Normaliser<'_, 'a> {
    fn tag(&mut self, tag: Tag) {
        self.stream.tag(tag, self.place);
    }

    fn local(&mut self, name: &'a str) {
        let number = self.local_number(Key::new(name));
        self.tag(Tag::Local);
        self.stream.numbers([number]);
    }

    pub(crate) fn local_number(&mut self, name: Key<'a>) -> u64 {
        let resolver = &self.resolver;
        self.names.locals.number(name, || !resolver.is_bound_in_function(name))
    }

    pub(crate) fn member(&mut self, name: &'a str) {
        let key = Key::new(name);
        if !self.members.contains(&key) {
            return self.stream.name(Tag::Attribute, name, self.place);
        }
        let number = self.names.members.number(key, || true);
        self.tag(Tag::Member);
        self.stream.numbers([number]);
    }

    /// A dotted name, or attributes of something else.
    fn visit_dotted(&mut self, expression: &'a Expr) -> Callee {
        let (base, attributes) = dotted_path(expression);
        let known = if let Expr::Name(name) = base {
            match self.resolver.meaning(name.id.as_str(), None) {
                Meaning::Known(roots) => Some(roots),
                Meaning::Value | Meaning::Unbound => {
                    self.local(name.id.as_str());
                    None
                }
            }
        } else {
            self.visit_expr(base);
            None
        };
        let Some(roots) = known else {
            attributes.into_iter().for_each(|attribute| self.member(attribute));
            return Callee::default();
        };
        let targets = self.resolver.extend(&roots, &attributes);
        if targets.len() != 1 {
            self.stream.mark(Tag::Either);
            self.stream.numbers([targets.len() as u64]);
        }
        let mut callee = Callee::default();
        for target in targets.iter() {
            if !target.local {
                callee.is_from_outside = true;
                self.stream.name(Tag::Name, &target.name, self.place);
                continue;
            }
            self.tag(Tag::Project);
            let Some((group, length)) = self.definitions.named(&target.name) else {
                self.stream.mark(Tag::Absent);
                continue;
            };
            self.stream.references.push(group);
            callee.group = (length == target.name.len() && targets.len() == 1).then_some(group);
            let beyond = target.name.get(length..).unwrap_or_default().matches('.').count();
            let kept = attributes.len().saturating_sub(beyond);
            attributes.iter().skip(kept).for_each(|attribute| self.member(attribute));
        }
        callee
    }

    pub(crate) fn visit_function(&mut self, function: &'a StmtFunctionDef) {
        self.tag(if function.is_async { Tag::AsyncDef } else { Tag::Def });
        for decorator in &function.decorator_list {
            self.stream.mark(Tag::Decorator);
            self.visit_expr(&decorator.expression);
        }
        self.defaults(&function.parameters);
        self.resolver.push_function(function);
        self.parameters(&function.parameters);
        self.visit_body(&function.body);
        self.resolver.pop();
        self.stream.close();
    }

    fn defaults(&mut self, parameters: &'a Parameters) {
        for parameter in parameters {
            if let Some(default) = parameter.default() {
                self.visit_expr(default);
            }
        }
    }

    fn parameters(&mut self, parameters: &'a Parameters) {
        let plain = parameters.posonlyargs.iter().chain(&parameters.args);
        let plain = plain.map(|it| {
            let tag = if it.default.is_some() { Tag::Optional } else { Tag::Parameter };
            (None, tag, it.name())
        });
        let rest = parameters.vararg.iter().map(|it| (None, Tag::Variadic, it.name()));
        let named = parameters.kwonlyargs.iter().map(|it| {
            let tag = if it.default.is_some() { Tag::Optional } else { Tag::Parameter };
            (Some(Tag::KeywordOnly), tag, it.name())
        });
        let others = parameters.kwarg.iter();
        let others = others.map(|it| (Some(Tag::VariadicKeywords), Tag::Variadic, it.name()));
        for (mark, tag, name) in plain.chain(rest).chain(named).chain(others) {
            if let Some(mark) = mark {
                self.stream.mark(mark);
            }
            self.tag(tag);
            self.local(name.as_str());
        }
    }

    pub(crate) fn class_head(&mut self, class: &'a StmtClassDef) {
        self.tag(Tag::Class);
        for decorator in &class.decorator_list {
            self.stream.mark(Tag::Decorator);
            self.visit_expr(&decorator.expression);
        }
        if let Some(arguments) = &class.arguments {
            let outside = Callee { is_from_outside: true, group: None };
            arguments.args.iter().for_each(|base| self.visit_expr(base));
            arguments.keywords.iter().for_each(|keyword| self.visit_named(keyword, outside));
        }
        self.resolver.push_class(class);
    }

    fn visit_nested_class(&mut self, class: &'a StmtClassDef) {
        self.class_head(class);
        self.visit_body(&class.body);
        self.resolver.pop();
        self.stream.close();
    }

    /// A comprehension of a kind; its elements and clauses.
    fn visit_generators(&mut self, kind: Tag, elements: &[&'a Expr], clauses: &'a [Comprehension]) {
        self.tag(kind);
        self.resolver.push(Scope::of_comprehension(clauses));
        for clause in clauses {
            self.tag(if clause.is_async { Tag::AsyncGenerator } else { Tag::Generator });
            self.visit_expr(&clause.iter);
            self.visit_expr(&clause.target);
            for condition in &clause.ifs {
                self.stream.mark(Tag::Condition);
                self.visit_expr(condition);
            }
        }
        for element in elements {
            self.visit_expr(element);
        }
        self.resolver.pop();
        self.stream.close();
    }

    fn visit_call(&mut self, call: &'a ExprCall) {
        self.tag(Tag::Call);
        self.place = call.func.range().start().to_u32();
        let callee = if matches!(&*call.func, Expr::Name(_) | Expr::Attribute(_)) {
            self.visit_dotted(&call.func)
        } else {
            self.visit_expr(&call.func);
            Callee::default()
        };
        call.arguments.args.iter().for_each(|argument| self.visit_expr(argument));
        for keyword in &call.arguments.keywords {
            self.visit_named(keyword, callee);
        }
        self.stream.close();
    }

    /// An argument with a keyword. Who defines a function names its parameters; of the project's own only the
    /// place counts, where the function is known.
    fn visit_named(&mut self, Keyword { arg, value, .. }: &'a Keyword, callee: Callee) {
        match arg {
            Some(name) if callee.is_from_outside => {
                self.stream.name(Tag::Keyword, name.as_str(), self.place);
            }
            Some(name) => {
                let find = |group| self.definitions.parameter(group, name.as_str());
                let place = callee.group.and_then(find).map_or(0, |place| place + 1);
                self.tag(Tag::OwnKeyword);
                self.stream.numbers([place]);
            }
            None => self.tag(Tag::Keywords),
        }
        self.visit_expr(value);
    }

    fn visit_optional(&mut self, expression: Option<&'a Expr>) {
        match expression {
            Some(expression) => self.visit_expr(expression),
            None => self.stream.mark(Tag::Absent),
        }
    }

    /// Statements behind a mark, where there are any.
    fn visit_clause(&mut self, mark: Tag, body: &'a [Stmt]) {
        if !body.is_empty() {
            self.stream.mark(mark);
            self.visit_body(body);
        }
    }

    fn visit_try(&mut self, attempt: &'a StmtTry) {
        self.tag(if attempt.is_star { Tag::TryStar } else { Tag::Try });
        self.visit_body(&attempt.body);
        attempt.handlers.iter().for_each(|handler| self.visit_except_handler(handler));
        self.visit_clause(Tag::Else, &attempt.orelse);
        self.visit_clause(Tag::Finally, &attempt.finalbody);
        self.stream.close();
    }

    fn visit_with(&mut self, with: &'a StmtWith) {
        self.tag(Tag::With);
        if with.is_async {
            self.stream.mark(Tag::Async);
        }
        for item in &with.items {
            self.visit_expr(&item.context_expr);
            if let Some(target) = &item.optional_vars {
                self.stream.mark(Tag::As);
                self.visit_expr(target);
            }
        }
        self.visit_clause(Tag::Close, &with.body);
        self.stream.close();
    }

    fn visit_for(&mut self, repeat: &'a StmtFor) {
        self.tag(Tag::For);
        if repeat.is_async {
            self.stream.mark(Tag::Async);
        }
        self.visit_expr(&repeat.iter);
        self.visit_expr(&repeat.target);
        self.visit_body(&repeat.body);
        self.visit_clause(Tag::Else, &repeat.orelse);
        self.stream.close();
    }

    fn visit_lambda(&mut self, parameters: Option<&'a Parameters>, body: &'a Expr) {
        self.tag(Tag::Lambda);
        if let Some(parameters) = parameters {
            self.defaults(parameters);
        }
        self.resolver.push(Scope::of_lambda(parameters, body));
        if let Some(parameters) = parameters {
            self.parameters(parameters);
        }
        self.visit_expr(body);
        self.resolver.pop();
        self.stream.close();
    }

    fn visit_text(&mut self, text: &str) {
        self.tag(Tag::Text);
        self.stream.bytes(text.as_bytes());
    }

    fn visit_constant(&mut self, expression: &Expr) {
        match expression {
            Expr::StringLiteral(text) => self.visit_text(text.value.to_str()),
            Expr::NumberLiteral(number) => {
                self.tag(Tag::Number);
                match &number.value {
                    Number::Int(value) => match value.as_u64() {
                        Some(value) => self.stream.numbers([0, value]),
                        None => self.stream.bytes(value.to_string().as_bytes()),
                    },
                    Number::Float(value) => self.stream.numbers([1, value.to_bits()]),
                    Number::Complex { real, imag } => {
                        self.stream.numbers([2, real.to_bits(), imag.to_bits()]);
                    }
                }
            }
            Expr::BooleanLiteral(value) => {
                self.tag(Tag::Boolean);
                self.stream.numbers([u64::from(value.value)]);
            }
            Expr::NoneLiteral(_) => self.tag(Tag::None),
            Expr::EllipsisLiteral(_) => self.tag(Tag::Ellipsis),
            Expr::BytesLiteral(bytes) => {
                self.tag(Tag::Bytes);
                let all: Vec<u8> = bytes.value.bytes().collect();
                self.stream.bytes(&all);
            }
            _ => {}
        }
    }
}

impl<'a> Visitor<'a> for Normaliser<'_, 'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        self.place = statement.range().start().to_u32();
        match statement {
            Stmt::FunctionDef(function) => {
                self.local(function.name.as_str());
                self.visit_function(function);
            }
            Stmt::ClassDef(class) => {
                self.local(class.name.as_str());
                self.visit_nested_class(class);
            }
            Stmt::Import(_)
            | Stmt::ImportFrom(_)
            | Stmt::Pass(_)
            | Stmt::Global(_)
            | Stmt::Nonlocal(_) => {}
            Stmt::Expr(expression) if expression.value.is_literal_expr() => {}
            Stmt::AnnAssign(assign) => {
                self.tag(Tag::Assign);
                if let Some(value) = &assign.value {
                    self.visit_expr(value);
                }
                self.visit_expr(&assign.target);
                self.stream.close();
            }
            Stmt::Try(attempt) => self.visit_try(attempt),
            Stmt::With(with) => self.visit_with(with),
            Stmt::For(repeat) => self.visit_for(repeat),
            Stmt::While(repeat) => {
                self.tag(Tag::While);
                self.visit_expr(&repeat.test);
                self.visit_body(&repeat.body);
                self.visit_clause(Tag::Else, &repeat.orelse);
                self.stream.close();
            }
            _ => {
                self.tag(statement_tag(statement));
                visitor::walk_stmt(self, statement);
                self.stream.close();
            }
        }
    }

    fn visit_annotation(&mut self, _expression: &'a Expr) {}

    fn visit_expr(&mut self, expression: &'a Expr) {
        self.place = expression.range().start().to_u32();
        match expression {
            Expr::Name(_) | Expr::Attribute(_) => {
                self.visit_dotted(expression);
            }
            Expr::Call(call) => self.visit_call(call),
            Expr::Lambda(lambda) => {
                self.visit_lambda(lambda.parameters.as_deref(), &lambda.body);
            }
            Expr::ListComp(it) => {
                self.visit_generators(Tag::ListComprehension, &[&it.elt], &it.generators);
            }
            Expr::SetComp(it) => {
                self.visit_generators(Tag::SetComprehension, &[&it.elt], &it.generators);
            }
            Expr::Generator(it) => {
                self.visit_generators(Tag::GeneratorExpression, &[&it.elt], &it.generators);
            }
            Expr::DictComp(it) => {
                let elements: SmallVec<[&Expr; 2]> =
                    it.key.as_deref().into_iter().chain([&*it.value]).collect();
                self.visit_generators(Tag::DictComprehension, &elements, &it.generators);
            }
            Expr::Dict(dict) => {
                self.tag(Tag::Dict);
                for item in &dict.items {
                    self.visit_optional(item.key.as_ref());
                    self.visit_expr(&item.value);
                }
                self.stream.close();
            }
            Expr::Slice(slice) => {
                self.tag(Tag::Slice);
                for part in [&slice.lower, &slice.upper, &slice.step] {
                    self.visit_optional(part.as_deref());
                }
                self.stream.close();
            }
            _ if expression.is_literal_expr() => self.visit_constant(expression),
            _ => {
                self.tag(expression_tag(expression));
                visitor::walk_expr(self, expression);
                self.stream.close();
            }
        }
    }

    fn visit_bool_op(&mut self, operator: &'a BoolOp) {
        self.stream.operator(Tag::LogicOperator, *operator as u8, self.place);
    }

    fn visit_operator(&mut self, operator: &'a Operator) {
        self.stream.operator(Tag::BinaryOperator, *operator as u8, self.place);
    }

    fn visit_unary_op(&mut self, operator: &'a UnaryOp) {
        self.stream.operator(Tag::UnaryOperator, *operator as u8, self.place);
    }

    fn visit_cmp_op(&mut self, operator: &'a CmpOp) {
        self.stream.operator(Tag::Comparison, *operator as u8, self.place);
    }

    fn visit_elif_else_clause(&mut self, clause: &'a ElifElseClause) {
        self.stream.mark(if clause.test.is_some() { Tag::ElseIf } else { Tag::Else });
        visitor::walk_elif_else_clause(self, clause);
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(inner) = handler;
        self.tag(Tag::Except);
        self.visit_optional(inner.type_.as_deref());
        if let Some(name) = &inner.name {
            self.stream.mark(Tag::As);
            self.local(name.as_str());
        }
        self.visit_body(&inner.body);
        self.stream.close();
    }

    fn visit_match_case(&mut self, case: &'a MatchCase) {
        self.stream.mark(Tag::Case);
        self.visit_pattern(&case.pattern);
        if let Some(guard) = &case.guard {
            self.stream.mark(Tag::Guard);
            self.visit_expr(guard);
        }
        self.visit_body(&case.body);
        self.stream.close();
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        self.stream.operator(Tag::Pattern, pattern_kind(pattern), self.place);
        let name = match pattern {
            Pattern::MatchAs(capture) => capture.name.as_ref(),
            Pattern::MatchStar(capture) => capture.name.as_ref(),
            Pattern::MatchMapping(capture) => capture.rest.as_ref(),
            _ => None,
        };
        match name {
            Some(name) => self.local(name.as_str()),
            None => self.stream.mark(Tag::Absent),
        }
        visitor::walk_pattern(self, pattern);
        self.stream.close();
    }

    fn visit_pattern_keyword(&mut self, keyword: &'a PatternKeyword) {
        self.stream.mark(Tag::Keyword);
        self.member(keyword.attr.as_str());
        self.visit_pattern(&keyword.pattern);
    }

    fn visit_interpolated_string_element(&mut self, element: &'a InterpolatedStringElement) {
        match element {
            InterpolatedStringElement::Literal(literal) => self.visit_text(&literal.value),
            InterpolatedStringElement::Interpolation(part) => {
                self.stream.mark(Tag::Interpolation);
                self.stream.numbers([u64::from(part.conversion.to_byte().unwrap_or(0))]);
                visitor::walk_interpolated_string_element(self, element);
                self.stream.close();
            }
        }
    }
}
