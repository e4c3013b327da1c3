// Check `no-console`: a changed JavaScript or TypeScript file may not gain a `console.log`.
import { json } from 'worker:plugin/config@0.1.0';

const settings = () => ({ allow: [], ...JSON.parse(json()) });

export const plugin = {
  describe: () => ({
    name: 'no-console',
    version: '0.1.0',
    summary: 'no new console.log in JavaScript and TypeScript',
    configSchema: JSON.stringify({
      type: 'object',
      additionalProperties: false,
      properties: { allow: { type: 'array', items: { type: 'string' } } },
    }),
  }),
  validate: () => {},
};

const READ = 1 << 20;

// A whole file, as text; '' where there is none.
function text(read) {
  const decoder = new TextDecoder();
  let whole = '';
  for (let offset = 0n; ; offset += BigInt(READ)) {
    let piece;
    try {
      piece = read(offset, READ);
    } catch {
      return whole;
    }
    whole += decoder.decode(piece, { stream: piece.length === READ });
    if (piece.length < READ) return whole;
  }
}

export const check = {
  run(job) {
    const { allow } = settings();
    const findings = [];
    for (const file of job.changed()) {
      if (!/\.[cm]?[jt]sx?$/.test(file.path) || file.change === 'deleted' || allow.includes(file.path)) continue;
      const before = new Set(text((offset, length) => job.readBase(file.path, offset, length)).split('\n'));
      text((offset, length) => job.read(file.path, offset, length))
        .split('\n')
        .forEach((line, index) => {
          if (/\bconsole\.log\(/.test(line) && !before.has(line)) {
            findings.push({
              rule: 'console-log',
              severity: 'error',
              path: file.path,
              line: index + 1,
              message: 'a new console.log',
              hint: 'remove it, or use the logger',
            });
          }
        });
    }
    return { passed: findings.length === 0, summary: '', findings };
  },
};
