//! The standard streams as MCP's transport, and nobody else's.
//!
//! Two threads with blocking reads and writes serve every kind of stream alike (pipe, socket, file, terminal) and notice
//! the client's end even while the runtime is busy.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::thread::JoinHandle;

use rmcp::RoleServer;
use rmcp::model::{ClientRequest, GetMeta, JsonRpcMessage, ProtocolVersion};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::frame::{self, FRAME_MAX};
use super::message::{message, reply_to};

/// Messages that may wait in either direction. A client that does not read stops being read.
const QUEUE: usize = 64;

/// Both threads only move bytes.
const STACK: usize = 512 * 1024;

/// The client's ends of stdin and stdout.
#[derive(Debug)]
pub struct Streams {
    /// The client's output.
    pub input: File,
    /// The client's input: MCP and nothing else.
    pub output: File,
}

/// Takes stdin and stdout for MCP. Afterwards descriptor 0 reads nothing and descriptor 1 is stderr, so that no library,
/// plugin, panic or child process can write into the protocol or swallow a message of it.
///
/// # Errors
///
/// Fails if a stream is closed, or there are no descriptors left.
#[cfg(unix)]
pub fn claim() -> io::Result<Streams> {
    use rustix::io::fcntl_dupfd_cloexec;
    use rustix::stdio::{dup2_stdin, dup2_stdout};

    const FIRST_PRIVATE: i32 = 3;
    let input = File::from(fcntl_dupfd_cloexec(io::stdin(), FIRST_PRIVATE)?);
    let output = File::from(fcntl_dupfd_cloexec(io::stdout(), FIRST_PRIVATE)?);
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    // A client may have closed stderr.
    dup2_stdout(io::stderr()).or_else(|_| dup2_stdout(&null))?;
    Ok(Streams { input, output })
}

/// Takes stdin and stdout for MCP. Here they stay where they are; nothing in this program prints while it serves.
///
/// # Errors
///
/// Fails if a stream cannot be duplicated.
#[cfg(windows)]
pub fn claim() -> io::Result<Streams> {
    use std::os::windows::io::AsHandle;

    let input = File::from(io::stdin().as_handle().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_handle().try_clone_to_owned()?);
    Ok(Streams { input, output })
}

/// A stream that waits where its descriptor does not: some clients hand over pipes and terminals that answer "try again"
/// instead of blocking. The mode stays as it is, since the client may share the other handles of what is open.
struct Waiting(File);

impl Waiting {
    /// Does it, and again once the stream is ready, as long as it is not.
    fn patiently<T>(
        &mut self,
        #[cfg_attr(windows, allow(unused_variables))] write: bool,
        mut work: impl FnMut(&mut File) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match work(&mut self.0) {
                #[cfg(unix)]
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {
                    use rustix::event::{PollFd, PollFlags, poll};
                    let ready = match write {
                        true => PollFlags::OUT,
                        false => PollFlags::IN,
                    };
                    match poll(&mut [PollFd::new(&self.0, ready)], None) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(fault) => return Err(fault.into()),
                    }
                }
                done => return done,
            }
        }
    }
}

impl Read for Waiting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patiently(false, |stream| stream.read(buffer))
    }
}

impl Write for Waiting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(true, |stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// MCP over the client's streams.
pub(super) struct StdioTransport {
    incoming: mpsc::Receiver<RxJsonRpcMessage<RoleServer>>,
    outgoing: Option<mpsc::Sender<Vec<u8>>>,
}

/// Ends when everything was written that was sent.
pub(super) struct Writer(JoinHandle<()>);

impl Writer {
    /// Waits for the last byte.
    pub(super) fn join(self) {
        let _ = self.0.join();
    }
}

impl StdioTransport {
    /// Starts to read and write. `gone` is cancelled when the client closes either stream.
    pub(super) fn open(streams: Streams, gone: &CancellationToken) -> io::Result<(Self, Writer)> {
        let (received, incoming) = mpsc::channel(QUEUE);
        let (outgoing, queued) = mpsc::channel(QUEUE);

        let answer = outgoing.downgrade();
        let input_gone = gone.clone();
        std::thread::Builder::new()
            .name("mcp-read".into())
            .stack_size(STACK)
            .spawn(move || {
                read(streams.input, &received, &answer);
                // First no more messages, then the word that this is the end.
                drop(received);
                input_gone.cancel();
            })?;

        let output_gone = gone.clone();
        let writer = std::thread::Builder::new()
            .name("mcp-write".into())
            .stack_size(STACK)
            .spawn(move || {
                write(streams.output, queued);
                output_gone.cancel();
            })?;
        let transport = Self {
            incoming,
            outgoing: Some(outgoing),
        };
        Ok((transport, Writer(writer)))
    }
}

impl Transport<RoleServer> for StdioTransport {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let outgoing = self.outgoing.clone();
        async move {
            let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
            let line = line(&message)?;
            let outgoing = outgoing.ok_or_else(closed)?;
            outgoing.send(line).await.map_err(|_| closed())
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        self.incoming.recv().await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.outgoing = None;
        Ok(())
    }
}

fn line<T: serde::Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

fn write(output: File, mut queued: mpsc::Receiver<Vec<u8>>) {
    let mut output = Waiting(output);
    while let Some(line) = queued.blocking_recv() {
        if output.write_all(&line).is_err() {
            return;
        }
    }
}

/// Reads to the end of the stream. Frames that cannot be taken are answered here and cost their sender nothing else.
fn read(
    input: File,
    received: &mpsc::Sender<RxJsonRpcMessage<RoleServer>>,
    answer: &mpsc::WeakSender<Vec<u8>>,
) {
    let mut input = BufReader::with_capacity(64 * 1024, Waiting(input));
    let mut buffer = Vec::new();
    let mut opened = false;
    loop {
        let taken = match read_frame(&mut input, &mut buffer) {
            Ok(Frame::Whole) => {
                let frame = buffer.trim_ascii();
                if frame.is_empty() {
                    continue;
                }
                message(frame)
            }
            Ok(Frame::TooLong) => Err(reply_to(frame::too_long(&buffer))),
            Ok(Frame::End) => return,
            Err(fault) => {
                tracing::warn!(%fault, "stdin cannot be read");
                return;
            }
        };
        if buffer.capacity() > 64 * 1024 {
            buffer = Vec::new();
        }
        match taken {
            // rmcp gives up on a client whose session begins with anything but a request.
            Ok(message) if opened || matches!(message, JsonRpcMessage::Request(_)) => {
                opened |= opens(&message);
                if received.blocking_send(message).is_err() {
                    return;
                }
            }
            Ok(_) => tracing::debug!("a notification outside a session was ignored"),
            Err(reply) => {
                let Some(answer) = answer.upgrade() else {
                    return;
                };
                if line(&reply).is_ok_and(|line| answer.blocking_send(line).is_err()) {
                    return;
                }
            }
        }
    }
}

/// Returns true if a session begins with this message: with the handshake, or, since 2026-07-28,
/// with any request that says which version it speaks and what its client can do.
fn opens(message: &RxJsonRpcMessage<RoleServer>) -> bool {
    let JsonRpcMessage::Request(message) = message else {
        return false;
    };
    match &message.request {
        ClientRequest::InitializeRequest(_) => true,
        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_) => false,
        request => {
            let meta = request.get_meta();
            meta.missing_required_keys(&ProtocolVersion::V_2026_07_28)
                .is_empty()
                && meta
                    .protocol_version()
                    .is_some_and(|version| ProtocolVersion::KNOWN_VERSIONS.contains(&version))
        }
    }
}

enum Frame {
    Whole,
    TooLong,
    End,
}

/// Reads up to a line break into `buffer`. Of a frame that is too long the rest is read and dropped, so that the next one
/// is found.
fn read_frame(input: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<Frame> {
    buffer.clear();
    let mut too_long = false;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(fault) if fault.kind() == io::ErrorKind::Interrupted => continue,
            Err(fault) => return Err(fault),
        };
        if available.is_empty() {
            // A last frame without a line break is a frame all the same.
            return Ok(match (too_long, buffer.is_empty()) {
                (true, _) => Frame::TooLong,
                (false, true) => Frame::End,
                (false, false) => Frame::Whole,
            });
        }
        let end = memchr::memchr(b'\n', available);
        let part = available
            .get(..end.unwrap_or(available.len()))
            .unwrap_or_default();
        let used = part.len() + usize::from(end.is_some());
        if too_long || buffer.len() + part.len() > FRAME_MAX {
            too_long = true;
        } else {
            buffer.extend_from_slice(part);
        }
        input.consume(used);
        if end.is_some() {
            return Ok(if too_long {
                Frame::TooLong
            } else {
                Frame::Whole
            });
        }
    }
}
