//! Gateway double, repository builder and client drivers for the host's tests.
