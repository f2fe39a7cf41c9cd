//! How [`Value`]s and integers look on PostgreSQL's wire.

use std::error::Error;

use tokio_postgres::types::{
    FromSql, IsNull, ToSql, Type, WrongType, private::BytesMut, to_sql_checked,
};

use crate::{Column, Value};

type BoxError = Box<dyn Error + Sync + Send>;

/// A value on its way to a placeholder whose type the server has inferred.
#[derive(Debug)]
pub(super) struct Bound<'a>(pub(super) Value<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(value) => int_to_sql(value, ty, out),
            Value::Text(value) => checked(&value, ty, out),
            Value::Blob(value) => checked(&value, ty, out),
            Value::Ints(values) => match *ty {
                Type::INT4_ARRAY => {
                    let narrow: Result<Vec<i32>, _> =
                        values.iter().map(|value| i32::try_from(*value)).collect();
                    narrow?.to_sql(ty, out)
                }
                _ => checked(&values, ty, out),
            },
            Value::Texts(values) => checked(&values, ty, out),
        }
    }

    /// Whether it fits depends on the value, and is looked at there.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A value as it goes over the wire, for a statement that outlives what it was made from.
#[derive(Debug)]
pub(super) struct Encoded(Result<Option<BytesMut>, String>);

impl Encoded {
    pub(super) fn new(value: Value<'_>, ty: &Type) -> Self {
        let mut bytes = BytesMut::new();
        Self(match Bound(value).to_sql(ty, &mut bytes) {
            Ok(IsNull::Yes) => Ok(None),
            Ok(IsNull::No) => Ok(Some(bytes)),
            Err(error) => Err(error.to_string()),
        })
    }
}

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match &self.0 {
            Ok(None) => Ok(IsNull::Yes),
            Ok(Some(bytes)) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            Err(reason) => Err(reason.as_str().into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A list of values on its way to a placeholder that is an array.
#[derive(Debug)]
pub(super) struct BoundColumn<'a>(pub(super) Column<'a>);

impl ToSql for BoundColumn<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        match self.0 {
            Column::Ints(values) => checked(&values, ty, out),
            Column::Blobs(values) => checked(&values, ty, out),
        }
    }

    /// Looked at when it is written.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn checked<T: ToSql>(value: &T, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    if T::accepts(ty) {
        value.to_sql(ty, out)
    } else {
        Err(Box::new(WrongType::new::<T>(ty.clone())))
    }
}

/// The server infers a narrow type from its neighbours: `x + 1` makes `x` an `INTEGER`.
fn int_to_sql(value: i64, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
    match *ty {
        Type::INT4 => i32::try_from(value)?.to_sql(ty, out),
        Type::INT2 => i16::try_from(value)?.to_sql(ty, out),
        Type::NUMERIC => {
            numeric_to_sql(value, out);
            Ok(IsNull::No)
        }
        _ => checked(&value, ty, out),
    }
}

const NUMERIC_BASE: u16 = 10_000;
const NUMERIC_NEGATIVE: u16 = 0x4000;

/// `NUMERIC`: how many digits to base 10,000, weight of the first, sign, scale, digits.
fn numeric_to_sql(value: i64, out: &mut BytesMut) {
    let mut digits = Vec::new();
    let mut rest = value.unsigned_abs();
    while rest > 0 {
        digits.push(u16::try_from(rest % u64::from(NUMERIC_BASE)).unwrap_or(0));
        rest /= u64::from(NUMERIC_BASE);
    }
    let count = u16::try_from(digits.len()).unwrap_or(0);
    let sign = if value < 0 { NUMERIC_NEGATIVE } else { 0 };
    for field in [count, count.saturating_sub(1), sign, 0] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    for digit in digits.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

/// An integer of any of the server's types. `SUM` of `BIGINT` is a `NUMERIC` there.
pub(crate) struct PgInt(pub(crate) i64);

impl<'a> FromSql<'a> for PgInt {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Ok(Self(match *ty {
            Type::INT8 => i64::from_sql(ty, raw)?,
            Type::INT4 => i32::from_sql(ty, raw)?.into(),
            Type::INT2 => i16::from_sql(ty, raw)?.into(),
            Type::BOOL => bool::from_sql(ty, raw)?.into(),
            _ => numeric_from_sql(raw).ok_or("a NUMERIC that is no 64-bit integer")?,
        }))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL | Type::NUMERIC)
    }
}

fn numeric_from_sql(raw: &[u8]) -> Option<i64> {
    let mut words = raw.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let (count, weight, sign, _scale) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    if sign & !NUMERIC_NEGATIVE != 0 {
        return None; // not a number, or infinite
    }
    let mut value: i64 = 0;
    let mut exponent = i32::from(weight.cast_signed());
    for digit in words.take(usize::from(count)) {
        if exponent < 0 {
            // digits behind the point: only zeros are an integer
            if digit != 0 {
                return None;
            }
            continue;
        }
        let digit = i64::from(digit) * if sign == 0 { 1 } else { -1 };
        value = value.checked_mul(NUMERIC_BASE.into())?.checked_add(digit)?;
        exponent -= 1;
    }
    // trailing zero digits are not sent
    for _ in 0..(exponent + 1).max(0) {
        value = value.checked_mul(NUMERIC_BASE.into())?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerics_round_trip() {
        for value in [0, 1, -1, 9_999, 10_000, 20_000_000, -123_456_789_012, i64::MAX, i64::MIN] {
            let mut raw = BytesMut::new();
            numeric_to_sql(value, &mut raw);
            assert_eq!(numeric_from_sql(&raw), Some(value), "{value}");
        }
    }

    #[test]
    fn trailing_zeros_and_fractions_are_understood() {
        let numeric = |words: &[u16]| -> Vec<u8> {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        };
        assert_eq!(numeric_from_sql(&numeric(&[1, 2, 0, 0, 3])), Some(300_000_000));
        assert_eq!(numeric_from_sql(&numeric(&[2, 0, 0, 4, 3, 0])), Some(3));
        assert_eq!(numeric_from_sql(&numeric(&[2, 0, 0, 4, 3, 5_000])), None);
        assert_eq!(numeric_from_sql(&numeric(&[0, 0, 0xc000, 0])), None);
        assert_eq!(numeric_from_sql(&numeric(&[1, 9, 0, 0, 1])), None, "overflow");
    }
}
