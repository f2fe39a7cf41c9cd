//! The `#[store_test]` attribute of `haechi-store`; see there.

use proc_macro::TokenStream;
use quote::quote;
use syn::{
    ItemFn, Path, Token, parenthesized,
    parse::{Parse, ParseStream},
    parse_macro_input,
    punctuated::Punctuated,
};

/// The arguments: `schemas(rooms::SCHEMA, accounts::SCHEMA)`, or none.
struct Args {
    schemas: Punctuated<Path, Token![,]>,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.is_empty() {
            return Ok(Self { schemas: Punctuated::new() });
        }
        let name: syn::Ident = input.parse()?;
        if name != "schemas" {
            return Err(syn::Error::new(name.span(), "expected `schemas(…)`"));
        }
        let list;
        parenthesized!(list in input);
        Ok(Self { schemas: list.parse_terminated(Path::parse, Token![,])? })
    }
}

/// Runs an async test on both engines, each time on a fresh, migrated database.
///
/// `#[store_test(schemas(rooms::SCHEMA))] async fn name(db: TestDb) { … }` becomes the tests
/// `name::sqlite` and `name::pg`.
#[proc_macro_attribute]
pub fn store_test(args: TokenStream, item: TokenStream) -> TokenStream {
    let Args { schemas } = parse_macro_input!(args as Args);
    let mut body = parse_macro_input!(item as ItemFn);
    if body.sig.asyncness.is_none() || body.sig.inputs.len() != 1 {
        let message = "a store test is `async fn name(db: TestDb)`";
        return syn::Error::new_spanned(&body.sig, message).to_compile_error().into();
    }
    let inner = syn::Ident::new("body", body.sig.ident.span());
    let name = std::mem::replace(&mut body.sig.ident, inner);
    let attributes = std::mem::take(&mut body.attrs);
    let schemas: Vec<_> = schemas.into_iter().collect();
    quote! {
        #(#attributes)*
        mod #name {
            #[allow(unused_imports, clippy::allow_attributes, reason = "a test may need nothing")]
            use super::*;

            #body

            #[test]
            fn sqlite() {
                ::haechi_store::testing::on_sqlite(&[#(&#schemas),*], body);
            }

            #[test]
            fn pg() {
                ::haechi_store::testing::on_postgres(&[#(&#schemas),*], body);
            }
        }
    }
    .into()
}
