//! Named statements, written once for both engines.

/// One named statement.
#[derive(Debug)]
pub struct Sql {
    /// Module and name, for logs, metrics and tests.
    pub name: &'static str,
    /// The text for SQLite, with `?1`.
    pub sqlite: &'static str,
    /// The text for PostgreSQL, with `$1`.
    pub pg: &'static str,
    /// Was the text written twice because no common one exists?
    pub split: bool,
}

/// A statement in the list of all statements; [`sql!`](macro@crate::sql) enters it.
#[derive(Debug)]
pub struct Registered(pub &'static Sql);

inventory::collect!(Registered);

impl Sql {
    /// All statements of all crates linked into this program.
    pub fn all() -> impl Iterator<Item = &'static Sql> {
        inventory::iter::<Registered>.into_iter().map(|registered| registered.0)
    }

    /// Does the statement only read?
    pub fn is_query(&self) -> bool {
        self.sqlite.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select"))
            || self
                .sqlite
                .trim_start()
                .get(..4)
                .is_some_and(|word| word.eq_ignore_ascii_case("with"))
    }
}

/// Turns `?1` into `$1`, at compile time. A `?` not followed by a digit stays.
pub const fn dollars<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    assert!(bytes.len() == N, "N must be the length of the text");
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        let is_placeholder = bytes[i] == b'?' && i + 1 < N && bytes[i + 1].is_ascii_digit();
        out[i] = if is_placeholder { b'$' } else { bytes[i] };
        i += 1;
    }
    out
}

/// Declares a named statement.
///
/// ```
/// haechi_store::sql!(ROOM_HEAD, "SELECT seq FROM room WHERE nid = ?1");
/// // only where no common text exists, with a comment that says why:
/// haechi_store::sql!(BY_NIDS,
///     sqlite: "SELECT nid FROM room WHERE nid IN (SELECT value FROM json_each(?1))",
///     pg: "SELECT nid FROM room WHERE nid = ANY($1)");
/// assert_eq!(ROOM_HEAD.pg, "SELECT seq FROM room WHERE nid = $1");
/// ```
#[macro_export]
macro_rules! sql {
    ($(#[$meta:meta])* $vis:vis $name:ident, sqlite: $sqlite:expr, pg: $pg:expr $(,)?) => {
        $(#[$meta])*
        $vis static $name: $crate::Sql = $crate::Sql {
            name: concat!(module_path!(), "::", stringify!($name)),
            sqlite: $sqlite,
            pg: $pg,
            split: true,
        };
        $crate::inventory::submit! { $crate::Registered(&$name) }
    };
    ($(#[$meta:meta])* $vis:vis $name:ident, $text:expr $(,)?) => {
        $(#[$meta])*
        $vis static $name: $crate::Sql = {
            const PG: [u8; $text.len()] = $crate::dollars($text);
            $crate::Sql {
                name: concat!(module_path!(), "::", stringify!($name)),
                sqlite: $text,
                pg: match ::core::str::from_utf8(&PG) {
                    Ok(text) => text,
                    Err(_) => panic!("only ASCII is replaced"),
                },
                split: false,
            }
        };
        $crate::inventory::submit! { $crate::Registered(&$name) }
    };
}
