#!/usr/bin/env node
'use strict';
// Starts the program of this platform's package. Everything else is the program's.
const { spawn } = require('node:child_process');
const path = require('node:path');
const tty = require('node:tty');
const { version, platforms } = require('../package.json');

const NAME = 'mcp-codex-worker';
const SOURCE_WAY = 'Build it from its source: README.md, "From source".';

function fail(words) {
  process.stderr.write(`${NAME}: ${words}\n`);
  process.exit(1);
}

/** The system's glibc; nothing where the C library is another one. */
function glibc() {
  if (process.platform !== 'linux') return undefined;
  // It would ask the network for names.
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime;
}

function reaches(has, needs) {
  const [a, b] = [has, needs].map((text) => text.split('.').map(Number));
  return a[0] !== b[0] ? a[0] > b[0] : a[1] >= b[1];
}

/** The installed program of a package. */
function installed(name) {
  try {
    const folder = path.dirname(require.resolve(`${name}/package.json`));
    return path.join(folder, 'bin', process.platform === 'win32' ? `${NAME}.exe` : NAME);
  } catch {
    return undefined;
  }
}

function program() {
  const { platform: os, arch: cpu } = process;
  const ours = platforms.filter((one) => one.os === os && one.cpu === cpu);
  if (ours.length === 0) {
    const known = platforms.map((one) => `${one.os} ${one.cpu}`);
    fail(`there is no package for ${os} ${cpu}, only for ${[...new Set(known)].join(', ')}. ${SOURCE_WAY}`);
  }
  const has = glibc();
  const runs = (one) => one.libc !== 'glibc' || (has !== undefined && reaches(has, one.glibc));
  // A static program runs beside any C library; that for glibc goes first.
  const fitting = ours.filter(runs).sort((a, b) => (b.libc === 'glibc') - (a.libc === 'glibc'));
  for (const one of fitting) {
    const found = installed(one.package);
    if (found !== undefined) return found;
  }
  if (fitting.length === 0) {
    const needs = ours.map((one) => one.glibc).join(', ');
    fail(`the package for ${os} ${cpu} needs glibc ${needs}, and this system has ${has ?? 'none'}. ${SOURCE_WAY}`);
  }
  const missing = fitting[0].package;
  if (ours.some((one) => installed(one.package) !== undefined)) {
    // npm chose by the kind of C library and knows nothing of its version.
    fail(`this system's glibc is too old (${has}); the static program does without: npm install --force ${missing}@${version}`);
  }
  return fail(`the package ${missing} is missing. npm leaves it out with --omit=optional, and where a lock file of another ` +
    `platform lacks it: npm install ${missing}@${version}`);
}

const child = spawn(program(), process.argv.slice(2), { stdio: 'inherit' });
child.on('error', (error) => fail(`the program cannot be started: ${error.message}`));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    // Ctrl-C in a terminal reaches both; a second one would not let the program clean up.
    if (signal === 'SIGINT' && tty.isatty(0)) return;
    child.kill(signal);
  });
}
child.on('exit', (code, signal) => {
  if (signal === null) process.exit(code);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
