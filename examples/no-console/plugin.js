// Check `no-console`: a changed JavaScript or TypeScript file may not gain a `console.log`.
import settings from 'mcp-codex-worker:types/settings@1.0.0';
import job from 'mcp-codex-worker:check/job@1.0.0';
import findings from 'mcp-codex-worker:check/findings@1.0.0';
import { added } from './worker.js';

const given = () => ({ allow: [], ...JSON.parse(settings.json()) });

export const plugin = {
  describe: () => ({
    name: 'no-console',
    version: '0.1.0',
    summary: 'no new console.log in JavaScript and TypeScript',
    settingsSchema: JSON.stringify({
      type: 'object',
      additionalProperties: false,
      properties: { allow: { type: 'array', items: { type: 'string' } } },
    }),
  }),
  validate: () => [],
};

export const check = {
  run() {
    const { allow } = given();
    const files = job.changedFiles().filter(({ path }) => /\.[cm]?[jt]sx?$/.test(path));
    if (files.length === 0) {
      return { outcome: { tag: 'not-applicable', val: 'no JavaScript changed' }, summary: '' };
    }
    let failed = false;
    for (const { path } of files.filter(({ path }) => !allow.includes(path))) {
      for (const { number, text } of added(path)) {
        if (!/\bconsole\.log\(/.test(text)) continue;
        const finding = new findings.Finding('console-log', 'error', 'a new console.log');
        finding.at({ path, startLine: number, startColumn: 0, endLine: 0, endColumn: 0 });
        finding.hint('remove it, or use the logger');
        failed = true;
      }
    }
    return { outcome: { tag: failed ? 'failed' : 'passed' }, summary: '' };
  },
};
