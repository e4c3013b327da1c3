//! The protocol of the runner and the helper over the helper's standard input, a socket: frames of a four byte
//! big-endian length and JSON. The task's arguments, environment and input travel here, so that they stand in nobody's
//! command line.

use std::ffi::OsString;
use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::command::TaskLimits;
use crate::grants::Grant;

/// The hidden subcommand under which the helper runs.
pub const INIT_SUBCOMMAND: &str = "__init";

/// The variable that marks every process of a task, for sweeps where the kernel has no PID namespaces for us.
pub const MARK_VARIABLE: &str = "WORKER_PROCESS_MARK";

/// The longest frame that either side accepts. Arguments and environment are bounded by the kernel long before.
const FRAME_LIMIT: usize = 64 << 20;

/// The first frame to the helper; `stdin` raw bytes follow it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub program: OsString,
    pub args: Vec<OsString>,
    pub cwd: OsString,
    pub env: Vec<(OsString, OsString)>,
    /// Bytes of standard input that follow; `None` is /dev/null.
    pub stdin: Option<u64>,
    /// True if file access is to be confined.
    pub confine: bool,
    /// True if anything less than full confinement is a refusal.
    pub required: bool,
    /// The outermost grants, the temporary folder among them.
    pub grants: Vec<Grant>,
    /// Notes on grants that are not given.
    pub notes: Vec<String>,
    pub temp: Option<OsString>,
    /// The view of the machine is left out.
    pub landlock_only: bool,
    pub network_off: bool,
    pub limits: TaskLimits,
}

/// Later frames to the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// End the task in steps; a later order can only shorten the graces.
    End {
        interrupt_ms: u64,
        terminate_ms: u64,
    },
}

/// Frames from the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The program runs.
    Started(Started),
    /// The program does not run, and nothing else of the task does.
    Failed {
        stage: Stage,
        reason: String,
        not_found: bool,
    },
    /// The main process ended, and everything else was ended after it.
    Exited {
        code: Option<i32>,
        signal: Option<i32>,
    },
}

/// The way the program runs.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Started {
    pub own_pids: bool,
    /// The task sees a root of its own, in which nothing is but its grants.
    pub view: bool,
    /// The Landlock ABI in force.
    pub landlock: Option<u8>,
    pub detail: Vec<String>,
}

/// The step at which a start failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    Helper,
    Confinement,
    Grant,
    Layer,
    StandIn,
    Network,
    Exec,
}

pub(crate) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut frame = Vec::with_capacity(body.len() + 4);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&body);
    Ok(frame)
}

pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(body)?)
}

pub(crate) fn length(header: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(header) as usize;
    if length > FRAME_LIMIT {
        Err(io::ErrorKind::InvalidData.into())
    } else {
        Ok(length)
    }
}

pub(crate) fn write<T: Serialize>(mut to: impl Write, message: &T) -> io::Result<()> {
    to.write_all(&encode(message)?)
}

/// Reads one frame; an end of file before its first byte is an error of kind `UnexpectedEof` too.
pub(crate) fn read<T: DeserializeOwned>(mut from: impl Read) -> io::Result<T> {
    let mut header = [0; 4];
    from.read_exact(&mut header)?;
    let mut body = vec![0; length(header)?];
    from.read_exact(&mut body)?;
    decode(&body)
}
