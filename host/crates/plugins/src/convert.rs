//! Conversions between the types of one version of `wit/` and those that the rest of the host works with, for what has the
//! same names on both sides. Each list is complete: a variant or a field that is on one side only does not compile, so a
//! version that differs has to say how.

/// `alike!(enum wire::Change => check::Change { Added, Deleted, Other(text) })` maps each variant to the one of the same
/// name; `alike!(struct wire::Hit => redact::Hit { label, spans: each })` moves each field to the one of the same name,
/// through `into()` or through the function named behind it.
macro_rules! alike {
    (enum $($from:ident)::+ => $($to:ident)::+ { $($variant:ident $(($value:ident))?),+ $(,)? }) => {
        impl From<$($from)::+> for $($to)::+ {
            fn from(from: $($from)::+) -> Self {
                use $($from)::+ as From;
                use $($to)::+ as To;
                match from {
                    $(From::$variant $(($value))? => To::$variant $(($value))?,)+
                }
            }
        }
    };
    (struct $($from:ident)::+ => $($to:ident)::+ { $($field:ident $(: $through:ident)?),+ $(,)? }) => {
        impl From<$($from)::+> for $($to)::+ {
            fn from(from: $($from)::+) -> Self {
                let $($from)::+ { $($field),+ } = from;
                Self { $($field: alike!(@ $field $($through)?)),+ }
            }
        }
    };
    (@ $field:ident) => { $field.into() };
    (@ $field:ident $through:ident) => { $through($field) };
}
pub(super) use alike;

/// Each item of a list.
pub(super) fn each<Theirs, Ours: From<Theirs>>(list: Vec<Theirs>) -> Vec<Ours> {
    list.into_iter().map(Ours::from).collect()
}
