// What a check in JavaScript needs again and again. QuickJS has the language, and none of the browser's or Node's objects.
import job from 'mcp-codex-worker:check/job@1.0.0';
import log from 'mcp-codex-worker:types/log@1.0.0';

// A line in the job's log; there is no `console`.
export const say = (words) => log.write('info', String(words), []);

// Bytes as text; what is not UTF-8 becomes U+FFFD.
export function text(bytes) {
  let out = '';
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at++];
    let more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : -1;
    let code = more < 1 ? first : first & (0x3f >> more);
    for (; more > 0 && (bytes[at] & 0xc0) === 0x80; more--) code = (code << 6) | (bytes[at++] & 0x3f);
    const whole = more === 0 && code < 0x110000 && (code < 0xd800 || code > 0xdfff);
    out += whole ? String.fromCodePoint(code) : '\uFFFD';
  }
  return out;
}

function* changed(path, moment) {
  for (let last = 0, more = true; more; ) {
    const page = job.changedLines(path, moment, last, 1 << 20);
    for (const line of page.lines) {
      last = line.number;
      yield { number: line.number, text: text(line.text) };
    }
    more = page.more;
  }
}

// The lines that the job added to a file, { number, text } each, however many there are.
export const added = (path) => changed(path, 'after');

// The lines that the job removed from a file.
export const removed = (path) => changed(path, 'before');

// A whole changed file, 'after' the job or 'before' it.
export function whole(path, moment = 'after') {
  const pieces = [];
  for (let size = 0, piece; ; size += piece.length) {
    piece = job.read(path, moment, size, 1 << 20);
    pieces.push(piece);
    if (piece.length < 1 << 20) break;
  }
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  pieces.reduce((at, piece) => (bytes.set(piece, at), at + piece.length), 0);
  return text(bytes);
}
