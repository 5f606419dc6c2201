//! Reports names and calls: what a dotted name is rooted at, what is called with which constants, and
//! attribute access by string.

use std::fmt::Write as _;

use ruff_python_ast::visitor::Visitor;
use ruff_python_ast::{
    Expr, ExprAttribute, ExprCall, ExprContext, ExprName, ExprSubscript, Number, Operator,
};

use ruff_text_size::Ranged;
use smallvec::SmallVec;

use crate::ObservationKind as Kind;
use crate::known_names::is_dunder;
use crate::observe::{AS_DECORATOR, AS_TYPE, DECORATES, Observer};
use crate::project::{Path, Target, Targets, dotted_parts};
use crate::report::Seen;
use crate::resolve::Meaning;
use crate::scope::is_dotted;
use crate::text::is_type;

/// Builtins that take the name of an attribute.
const ACCESSORS: &[&str] = &["getattr", "hasattr", "setattr", "delattr"];
/// Builtins that take a class to ask whether something is of it.
const CLASS_CHECKS: &[&str] = &["isinstance", "issubclass"];
/// What a module of the project is as a value. No name is called so.
const OWN_MODULE: &str = "<own-module>";
/// The attributes of a chain, the last first.
type Attributes<'a> = SmallVec<[&'a ExprAttribute; 4]>;

/// The most arguments whose constants are told.
const ARGUMENTS_MAX: usize = 16;

impl<'a> Observer<'_, 'a> {
    /// A name or attribute that is read, assigned or deleted.
    pub(crate) fn see_dotted(&mut self, expression: &'a Expr) {
        let usage = match expression {
            Expr::Name(ExprName { ctx, .. }) | Expr::Attribute(ExprAttribute { ctx, .. }) => *ctx,
            _ => ExprContext::Load,
        };
        let detail = match usage {
            ExprContext::Store => "=",
            ExprContext::Del => "del",
            ExprContext::Load | ExprContext::Invalid => "",
        };
        if let (Expr::Name(name), "=" | "del") = (expression, detail) {
            if is_dunder(name.id.as_str()) {
                let seen = Seen::new(Kind::Assignment, name.id.as_str()).detail(self.usage);
                self.see(name, seen.local(true));
            }
            return;
        }
        let targets = self.see_chain(expression, detail);
        let kind = if detail.is_empty() { Kind::Reference } else { Kind::Assignment };
        for target in targets.iter() {
            if kind == Kind::Assignment {
                self.see(expression, Seen::new(kind, &target.name).local(target.local));
            } else {
                self.see_value(expression, target);
            }
        }
    }

    /// Something known that is passed on as a value. Of the project's own only a module matters: what it
    /// imports can be read from it, and where that is done nobody knows what it is.
    pub(crate) fn see_value(&mut self, node: &impl Ranged, target: &Target) {
        if !target.local {
            self.see(node, Seen::new(Kind::Reference, &target.name).detail(self.usage));
        } else if self.resolver.project.is_module(&target.name) {
            self.see(node, Seen::new(Kind::Reference, OWN_MODULE).detail(&target.name));
        }
    }

    /// A name that decorates calls what it stands for.
    pub(crate) fn see_decoration(&mut self, expression: &'a Expr) {
        if self.at_import {
            for target in self.describe_targets(expression).iter().filter(|target| !target.local) {
                self.see(expression, Seen::new(Kind::Call, &target.name).detail(DECORATES));
            }
        }
    }

    /// A value that is assigned. A dotted name given to a plain name is followed from there, so that
    /// reading it says `alias`.
    pub(crate) fn visit_value(
        &mut self,
        value: &'a Expr,
        mut targets: impl Iterator<Item = &'a Expr>,
    ) {
        let followed = |target: &Expr| {
            target.as_name_expr().is_some_and(|name| self.resolver.is_followed(name.id.as_str()))
        };
        if !is_dotted(value) || !targets.all(followed) {
            return self.visit_expr(value);
        }
        for target in self.see_chain(value, "").iter() {
            if !target.local {
                self.see(value, Seen::new(Kind::Reference, &target.name).detail("alias"));
            }
        }
    }

    /// Reports the attributes in a chain whose origin is unknown, and tells what the chain is when it
    /// is known. `last` says what happens to the last attribute.
    fn see_chain(&mut self, expression: &'a Expr, last: &'static str) -> Targets {
        let mut attributes = Attributes::new();
        let mut base = expression;
        while let Expr::Attribute(attribute) = base {
            attributes.push(attribute);
            base = &attribute.value;
        }
        let meaning = if let Expr::Name(name) = base {
            let meaning = self.resolver.meaning(name.id.as_str(), self.running_at(name));
            if is_dunder(name.id.as_str()) && !matches!(meaning, Meaning::Known(_)) {
                // Python gives it a meaning, whatever the project binds it to.
                self.see_attribute(name, name.id.as_str(), "");
            }
            meaning
        } else {
            let formats_text = base.is_string_literal_expr();
            self.see_changed_class(base, &attributes, last);
            self.visit_expr(base);
            if formats_text && attributes.last().is_some_and(|it| it.attr.as_str() == "format") {
                // The text itself is looked at instead.
                attributes.pop();
            }
            Meaning::Value
        };
        let Meaning::Known(roots) = meaning else {
            self.see_attributes(&attributes, last);
            return Targets::default();
        };
        let path: Path<'_> = attributes.iter().rev().map(|it| it.attr.as_str()).collect();
        let targets = self.resolver.extend(&roots, &path);
        if targets.iter().any(|target| target.local) {
            self.see_attributes(&attributes, last);
        }
        targets
    }

    /// Changing an attribute of the class of something changes that class for everybody.
    fn see_changed_class(&mut self, base: &'a Expr, attributes: &[&'a ExprAttribute], last: &str) {
        if matches!(last, "=" | "del") && attributes.len() == 1 && self.is_class_of(base) {
            self.see_attribute(base, "__class__", "=");
        }
    }

    /// Whether an expression is `type(x)` or `x.__class__`.
    fn is_class_of(&self, expression: &Expr) -> bool {
        match expression {
            Expr::Call(call) => {
                let callee = self.describe_targets(&call.func);
                callee.iter().any(|target| target.name == "type" && !target.local)
            }
            Expr::Attribute(attribute) => attribute.attr.as_str() == "__class__",
            _ => false,
        }
    }

    fn see_attributes(&mut self, attributes: &[&'a ExprAttribute], last: &'static str) {
        for (index, attribute) in attributes.iter().enumerate() {
            let name = attribute.attr.as_str();
            let detail = match index.checked_sub(1).and_then(|before| attributes.get(before)) {
                // Its class is what is changed.
                Some(_) if index == 1 && name == "__class__" && matches!(last, "=" | "del") => last,
                Some(next) => next.attr.as_str(),
                None => last,
            };
            let detail = if is_worth_a_detail(name) { detail } else { "" };
            self.see_attribute(&attribute.attr, name, detail);
        }
    }

    /// A call, by the name of what is called.
    pub(crate) fn see_call(&mut self, call: &'a ExprCall) {
        let decorates = std::mem::take(&mut self.usage) == AS_DECORATOR;
        let targets = if is_dotted(&call.func) || call.func.is_attribute_expr() {
            self.see_chain(&call.func, "()")
        } else {
            self.visit_expr(&call.func);
            Targets::default()
        };
        let mut arguments_seen = 0;
        for target in targets.iter() {
            if ACCESSORS.contains(&target.name.as_str()) && !target.local {
                self.see_accessor(call, &target.name);
                // The object is looked into, not passed on.
                let known = |object: &Expr| !self.describe_targets(object).is_empty();
                arguments_seen = usize::from(call.arguments.args.first().is_some_and(known));
            } else if !target.local || self.at_import {
                let constants = describe_arguments(call, if decorates { DECORATES } else { "" });
                let seen = Seen::new(Kind::Call, &target.name).detail(&constants);
                self.see(call, seen.local(target.local));
            }
        }
        let asks = targets.iter().any(|it| !it.local && CLASS_CHECKS.contains(&it.name.as_str()));
        for (index, argument) in call.arguments.args.iter().enumerate().skip(arguments_seen) {
            let usage = if asks && index == 1 && is_type(argument) { AS_TYPE } else { "" };
            self.visit_for(usage, argument);
        }
        call.arguments.keywords.iter().for_each(|keyword| self.visit_expr(&keyword.value));
    }

    /// `getattr(x, "name")` and its kin.
    fn see_accessor(&mut self, call: &'a ExprCall, accessor: &str) {
        let name = call.arguments.args.get(1).map_or_else(String::new, attribute_name);
        let object =
            call.arguments.args.first().map_or_else(String::new, |it| self.describe_name(it));
        let detail = format!("{accessor} {object}");
        self.see(call, Seen::new(Kind::DynamicAttribute, &name).detail(&detail));
        let constant = !name.is_empty() && !name.ends_with('*');
        // Whether something is there tells nothing but that, and hands on nothing.
        let reaches = constant && accessor != "hasattr";
        let Some(object) = call.arguments.args.first().filter(|_| reaches) else { return };
        let changes = matches!(accessor, "setattr" | "delattr");
        if changes && self.is_class_of(object) {
            self.see_attribute(object, "__class__", "=");
        }
        for target in self.describe_targets(object).iter() {
            let known = self.resolver.project.extend(target, &name, 0);
            for target in known.iter().filter(|target| !target.local) {
                let kind = if changes { Kind::Assignment } else { Kind::Reference };
                self.see(call, Seen::new(kind, &target.name));
            }
        }
    }

    /// An item of something. Storing into an import changes the import.
    pub(crate) fn see_subscript(&mut self, subscript: &'a ExprSubscript) {
        if subscript.ctx != ExprContext::Load {
            for target in self.describe_targets(&subscript.value).iter() {
                let name = target.name.clone() + "[]";
                self.see(subscript, Seen::new(Kind::Assignment, &name).local(target.local));
            }
        }
        self.visit_expr(&subscript.value);
        self.visit_expr(&subscript.slice);
    }

    pub(crate) fn describe_targets(&self, expression: &Expr) -> Targets {
        let Some((root, attributes)) = dotted_parts(expression) else { return Targets::default() };
        match self.resolver.meaning(root, self.running_at(expression)) {
            Meaning::Known(roots) => self.resolver.extend(&roots, &attributes),
            Meaning::Value | Meaning::Unbound => Targets::default(),
        }
    }

    /// A name as it would be reported, or what kind of expression stands there.
    pub(crate) fn describe_name(&self, expression: &Expr) -> String {
        if let Some(target) = self.describe_targets(expression).first() {
            return target.name.clone();
        }
        match expression {
            Expr::Lambda(_) => "<lambda>".to_owned(),
            Expr::Call(call) => format!("{}()", self.describe_name(&call.func)),
            _ => dotted_parts(expression).map_or_else(
                || "<expression>".to_owned(),
                |(root, attributes)| crate::scope::join(root, &attributes.join(".")),
            ),
        }
    }
}

/// Attributes of which the use matters, not only the reading.
fn is_worth_a_detail(attribute: &str) -> bool {
    attribute.starts_with('_') || matches!(attribute, "format" | "format_map")
}

/// The attribute that an expression names: the constant, a constant beginning with `*` after it
/// (`f"layer{i}"` is `layer*`), or nothing.
fn attribute_name(expression: &Expr) -> String {
    let beginning = match expression {
        Expr::StringLiteral(text) => return text.value.to_str().to_owned(),
        Expr::FString(text) => text
            .value
            .elements()
            .next()
            .and_then(|element| element.as_literal())
            .map(|literal| literal.value.to_string()),
        Expr::BinOp(operation) => match (&*operation.left, operation.op) {
            (Expr::StringLiteral(text), Operator::Add) => Some(text.value.to_str().to_owned()),
            (Expr::StringLiteral(text), Operator::Mod) => {
                text.value.to_str().split('%').next().map(str::to_owned)
            }
            _ => None,
        },
        Expr::Call(call) => match &*call.func {
            Expr::Attribute(method) if method.attr.as_str() == "format" => {
                let text = method.value.as_string_literal_expr();
                text.and_then(|text| text.value.to_str().split('{').next().map(str::to_owned))
            }
            _ => None,
        },
        _ => None,
    };
    beginning.filter(|text| !text.is_empty()).map_or_else(String::new, |text| text + "*")
}

/// The arguments of a call, constants as written and `_` for everything else.
fn describe_arguments(call: &ExprCall, before: &str) -> String {
    let positional = call.arguments.args.iter().map(|argument| (None, argument));
    let keywords = call.arguments.keywords.iter();
    let keywords = keywords.map(|keyword| (Some(keyword.arg.as_ref()), &keyword.value));
    let mut text = before.to_owned();
    for (number, (keyword, value)) in positional.chain(keywords).enumerate() {
        if !text.is_empty() {
            text.push_str(", ");
        }
        if number == ARGUMENTS_MAX {
            text.push('…');
            break;
        }
        match keyword {
            None => describe_constant(value, &mut text),
            Some(None) => text.push_str("**"),
            Some(Some(name)) => {
                text.extend([name.as_str(), "="]);
                describe_constant(value, &mut text);
            }
        }
    }
    text
}

/// Appends a constant as written, or what stands for something else.
fn describe_constant(expression: &Expr, to: &mut String) {
    /// Characters of a string that are told.
    const STRING_MAX: usize = 40;
    match expression {
        Expr::StringLiteral(text) => {
            let start: String = text.value.chars().take(STRING_MAX).collect();
            // Writing into a string does not fail.
            let _ = write!(to, "{start:?}");
        }
        Expr::NumberLiteral(number) => match &number.value {
            Number::Int(value) => match value.as_i64() {
                Some(value) => to.push_str(&value.to_string()),
                None => to.push('_'),
            },
            Number::Float(value) => to.push_str(&value.to_string()),
            Number::Complex { .. } => to.push('_'),
        },
        Expr::BooleanLiteral(value) => to.push_str(if value.value { "True" } else { "False" }),
        Expr::NoneLiteral(_) => to.push_str("None"),
        Expr::Starred(_) => to.push('*'),
        _ => to.push('_'),
    }
}
