//! What a process hands to the program that it becomes by `exec`: its handles, in flight in the socket
//! that is the next program's standard input. They have no fixed numbers that a child could inherit.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::Bell;
use crate::lock::LockGuard;

/// The most handles: the assignment, the bell, the caller's socket.
const HANDLES: usize = 3;

/// The handles of a job that waits.
#[derive(Debug)]
pub(crate) struct Handles {
    /// The assignment; in memory only, since it is raw.
    assignment: File,
    /// The bell of the job.
    pub(crate) bell: Bell,
    /// The caller's socket, where the job ends with its caller.
    pub(crate) channel: Option<UnixStream>,
}

impl Handles {
    /// Keeps an assignment for the program that comes.
    pub(crate) fn new(
        assignment: &[u8],
        bell: Bell,
        channel: Option<UnixStream>,
    ) -> io::Result<Self> {
        let mut file = unnamed_file()?;
        file.write_all(assignment)?;
        Ok(Self {
            assignment: file,
            bell,
            channel,
        })
    }

    /// The assignment.
    pub(crate) fn assignment(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.assignment.rewind()?;
        self.assignment.read_to_end(&mut text)?;
        Ok(text)
    }

    /// The handles that the program before put into this socket.
    pub(crate) fn receive(from: &UnixStream) -> io::Result<Self> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDLES))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let mut data = [IoSliceMut::new(&mut byte)];
        recvmsg(from, &mut data, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        let mut handles = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(handles) => handles.collect::<Vec<OwnedFd>>(),
            _ => Vec::new(),
        });
        let missing = || io::Error::from(io::ErrorKind::UnexpectedEof);
        Ok(Self {
            assignment: File::from(handles.next().ok_or_else(missing)?),
            bell: Bell::inherited(handles.next().ok_or_else(missing)?),
            channel: handles.next().map(UnixStream::from),
        })
    }

    /// Becomes this program with other arguments, with these handles and the job's lock. Returns only with a fault.
    pub(crate) fn become_program<A: AsRef<std::ffi::OsStr>>(
        &self,
        lock: &LockGuard,
        arguments: impl IntoIterator<Item = A>,
    ) -> io::Error {
        let (inbox, lock) = match self.in_flight(lock) {
            Ok(both) => both,
            Err(fault) => return fault,
        };
        let program = match program() {
            Ok(program) => program,
            Err(fault) => return fault,
        };
        // Under its own name in lists of processes.
        let name = std::env::args_os().next().unwrap_or_default();
        Command::new(program)
            .arg0(name)
            .args(arguments)
            .stdin(OwnedFd::from(inbox))
            .stdout(lock)
            .exec()
    }

    /// The standard input and output of the program that comes: the socket with the handles in it, and the locked file.
    pub(super) fn in_flight(&self, lock: &LockGuard) -> io::Result<(UnixStream, File)> {
        Ok((self.send()?, lock.file().try_clone()?))
    }

    /// A socket in which the handles lie.
    fn send(&self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut handles = vec![self.assignment.as_fd(), self.bell.as_fd()];
        handles.extend(self.channel.iter().map(|channel| channel.as_fd()));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDLES))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&handles)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        sendmsg(
            &ours,
            &[IoSlice::new(b"!")],
            &mut ancillary,
            SendFlags::empty(),
        )?;
        Ok(theirs)
    }
}

/// This program, also after an update has put another file in its place: a waiter may be days old.
fn program() -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    return Ok(PathBuf::from("/proc/self/exe"));
    #[cfg(not(target_os = "linux"))]
    std::env::current_exe()
}

/// A file that has no name, so that the raw words of a task are on no disk.
fn unnamed_file() -> io::Result<File> {
    #[cfg(target_os = "linux")]
    return Ok(File::from(rustix::fs::memfd_create(
        "assignment",
        rustix::fs::MemfdFlags::CLOEXEC,
    )?));
    #[cfg(not(target_os = "linux"))]
    tempfile::tempfile()
}
