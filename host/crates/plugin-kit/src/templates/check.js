// Check `{{name}}`: no word of a list may be left behind in what a job adds.
import settings from 'mcp-codex-worker:types/settings@1.0.0';
import job from 'mcp-codex-worker:check/job@1.0.0';
import findings from 'mcp-codex-worker:check/findings@1.0.0';
import { added } from './worker.js';

const given = () => ({ words: ['FIXME'], ...JSON.parse(settings.json()) });

export const plugin = {
  describe: () => ({
    name: '{{name}}',
    version: '0.1.0',
    summary: 'no left-over words in added lines',
    settingsSchema: JSON.stringify({
      type: 'object',
      additionalProperties: false,
      properties: { words: { type: 'array', items: { type: 'string', minLength: 1 } } },
    }),
  }),
  // What the schema cannot say: a list of { key, message }.
  validate: () => [],
};

export const check = {
  run() {
    const { words } = given();
    let failed = false;
    for (const { path } of job.changedFiles()) {
      for (const { number, text } of added(path)) {
        for (const word of words.filter((word) => text.includes(word))) {
          const finding = new findings.Finding('left-over', 'error', `${word} left behind`);
          finding.at({ path, startLine: number, startColumn: 0, endLine: 0, endColumn: 0 });
          finding.hint(`do what the ${word} says, or remove it`);
          failed = true;
        }
      }
    }
    return { outcome: { tag: failed ? 'failed' : 'passed' }, summary: '' };
  },
};
