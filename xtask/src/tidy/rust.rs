//! Rules on the syntax of Rust files: length of functions, share of SQL written twice.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Block, ImplItemFn, ItemFn, ItemMod, Macro, Signature, TraitItemFn,
    spanned::Spanned,
    visit::{self, Visit},
};

use super::{Report, text};

/// Lines of a function, from its `fn` to its last brace.
const FUNCTION_LINES_MAX: usize = 70;

/// The same for tests, which tell a story in order.
const TEST_LINES_MAX: usize = 120;

/// Percent of the statements that may be written twice, once for each engine.
const SPLIT_PERCENT_MAX: usize = 15;

/// Statements counted before the share means anything.
const STATEMENTS_MIN: usize = 20;

/// How many statements there are, and how many of them are written twice.
#[derive(Default)]
pub(super) struct SqlCount {
    all: usize,
    split: usize,
}

impl SqlCount {
    pub(super) fn check(&self, report: &mut Report) {
        if self.all >= STATEMENTS_MIN && self.split * 100 > self.all * SPLIT_PERCENT_MAX {
            let what = format!("{}; at most {SPLIT_PERCENT_MAX} % may be", self.text());
            report.fail("crates", what);
        }
    }

    pub(super) fn text(&self) -> String {
        let percent = (self.split * 100).checked_div(self.all).unwrap_or(0);
        format!("{} of {} SQL statements are written twice ({percent} %)", self.split, self.all)
    }
}

/// Checks one file and adds its statements to `sql`.
pub(super) fn check(path: &str, source: &str, sql: &mut SqlCount, report: &mut Report) {
    let file = match syn::parse_file(source) {
        Ok(file) => file,
        Err(error) => return report.fail(path, format!("is not Rust: {error}")),
    };
    let lines: Vec<&str> = source.lines().collect();
    let in_test = text::is_test(path);
    Rules { path, lines, in_test, sql, report }.visit_file(&file);
}

struct Rules<'a> {
    path: &'a str,
    lines: Vec<&'a str>,
    in_test: bool,
    sql: &'a mut SqlCount,
    report: &'a mut Report,
}

impl Rules<'_> {
    fn function(&mut self, signature: &Signature, block: &Block) {
        let first = signature.span().start().line;
        let lines = block.span().end().line + 1 - first;
        let max = if self.in_test { TEST_LINES_MAX } else { FUNCTION_LINES_MAX };
        if lines > max {
            let what = format!("`{}` has {lines} lines; at most {max}", signature.ident);
            self.report.fail(&format!("{}:{first}", self.path), what);
        }
    }

    fn sql(&mut self, line: usize, tokens: &TokenStream) {
        self.sql.all += 1;
        if !is_split(tokens) {
            return;
        }
        self.sql.split += 1;
        let is_comment = |line: usize| {
            self.lines.get(line).is_some_and(|text| text.trim_start().starts_with("//"))
        };
        // `line` counts from 1: the line above the macro, or the first one inside it.
        if !(is_comment(line.wrapping_sub(2)) || is_comment(line)) {
            let what = "a statement written twice needs a comment that says why";
            self.report.fail(&format!("{}:{line}", self.path), what);
        }
    }
}

impl<'ast> Visit<'ast> for Rules<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let outer = self.in_test;
        self.in_test |= item.ident == "tests";
        visit::visit_item_mod(self, item);
        self.in_test = outer;
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        if item.path.segments.last().is_some_and(|last| last.ident == "sql") {
            self.sql(item.path.span().start().line, &item.tokens);
        }
        visit::visit_macro(self, item);
    }
}

/// Are there texts for `sqlite:` and `pg:` in the arguments of a `sql!`?
fn is_split(tokens: &TokenStream) -> bool {
    let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
    tokens.windows(2).any(|pair| {
        matches!(pair, [TokenTree::Ident(name), TokenTree::Punct(colon)]
            if *name == "sqlite" && colon.as_char() == ':')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(source: &str) -> (SqlCount, Vec<String>) {
        let (mut sql, mut report) = (SqlCount::default(), Report::default());
        check("crates/a/src/b.rs", source, &mut sql, &mut report);
        (sql, report.failures)
    }

    #[test]
    fn statements_are_counted() {
        let (sql, failures) = checked(
            "sql!(A, \"SELECT 1\");\n\
             // arrays are not portable\n\
             sql!(pub(crate) B, sqlite: \"SELECT 2\", pg: \"SELECT 3\");\n\
             haechi_store::sql!(\n    /// No portable text for arrays.\n    C, sqlite: \"\", pg: \"\");",
        );
        assert_eq!((sql.all, sql.split), (3, 2));
        assert_eq!(failures, Vec::<String>::new());
        let (_, failures) = checked("sql!(A, \"\");\n\nsql!(B, sqlite: \"\", pg: \"\");");
        assert_eq!(failures.len(), 1);
    }

    #[test]
    fn a_large_share_of_split_statements_fails() {
        let fails = |all, split| {
            let mut report = Report::default();
            SqlCount { all, split }.check(&mut report);
            !report.failures.is_empty()
        };
        assert!(fails(100, 16) && !fails(100, 15) && !fails(5, 5));
    }

    #[test]
    fn long_functions_fail_and_tests_may_be_longer() {
        let function = format!("fn f() {{{}}}", "\n".repeat(FUNCTION_LINES_MAX));
        assert_eq!(checked(&function).1.len(), 1);
        assert_eq!(checked(&format!("impl A {{ {function} }}")).1.len(), 1);
        assert_eq!(checked(&format!("mod tests {{ {function} }}")).1.len(), 0);
        assert_eq!(checked(&format!("fn f() {{{}}}", "\n".repeat(10))).1.len(), 0);
    }
}
