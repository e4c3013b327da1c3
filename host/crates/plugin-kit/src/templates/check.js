// Check `{{name}}`: no word of a list may stay behind in changed files.
import { json } from 'worker:plugin/config@0.1.0';

const settings = () => ({ words: ['FIXME'], ...JSON.parse(json()) });

export const plugin = {
  describe: () => ({
    name: '{{name}}',
    version: '0.1.0',
    summary: 'no left-over words in changed files',
    configSchema: JSON.stringify({
      type: 'object',
      additionalProperties: false,
      properties: { words: { type: 'array', items: { type: 'string', minLength: 1 } } },
    }),
  }),
  validate: () => {},
};

const READ = 1 << 20;

// A whole changed file, as text.
function text(job, path) {
  const decoder = new TextDecoder();
  let whole = '';
  for (let offset = 0; ; offset += READ) {
    const piece = job.read(path, BigInt(offset), READ);
    whole += decoder.decode(piece, { stream: piece.length === READ });
    if (piece.length < READ) return whole;
  }
}

export const check = {
  run(job) {
    const { words } = settings();
    const findings = [];
    // A deleted file has no text, a binary one no lines.
    for (const file of job.changed().filter((file) => !file.binary && file.size > 0n)) {
      text(job, file.path).split('\n').forEach((line, index) => {
        for (const word of words.filter((word) => line.includes(word))) {
          findings.push({
            rule: 'left-over',
            severity: 'error',
            path: file.path,
            line: index + 1,
            message: `${word} left behind`,
            hint: `do what the ${word} says, or remove it`,
          });
        }
      });
    }
    return { passed: findings.length === 0, summary: '', findings };
  },
};
