//! Secrets that a file's own notation gives away: password files, SQL, tables, Kubernetes objects.

pub(super) mod hashes;
pub(super) mod kubernetes;
pub(super) mod notations;
pub(super) mod printed;
pub(super) mod sql;
pub(super) mod table;
