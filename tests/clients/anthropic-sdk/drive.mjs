// Drives the adapter with Anthropic's SDK for JavaScript and prints what the SDK's own objects say: one JSON line a story.
// The same stories as ../anthropic-python/drive.py, in the same form.
import { createRequire } from 'node:module';

const require = createRequire(process.env.SDK_MANIFEST);
const Anthropic = require('@anthropic-ai/sdk');

const options = { baseURL: process.env.ADAPTER_URL, apiKey: process.env.ADAPTER_TOKEN, maxRetries: 0 };
const client = new Anthropic(options);
const ask = (story, more = {}) => ({
  model: 'claude-sonnet-5',
  max_tokens: 1024,
  messages: [{ role: 'user', content: story }],
  ...more,
});
const tools = ['read', 'list'].map((name) => ({
  name,
  description: name,
  input_schema: { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] },
}));

// What counts in a message. A signature is opaque: that there is one is all that can be said.
const said = (message) => ({
  role: message.role,
  model: message.model,
  content: message.content.map((block) => ('signature' in block ? { ...block, signature: block.signature.length > 0 } : block)),
  stop_reason: message.stop_reason,
  usage: [message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens],
});

const streamed = async (story, more) => {
  const pieces = { text: '', thinking: '' };
  const stream = client.messages.stream(ask(story, more));
  stream.on('text', (piece) => (pieces.text += piece));
  stream.on('thinking', (piece) => (pieces.thinking += piece));
  const message = await stream.finalMessage();
  return { message, told: { ...said(message), pieces } };
};

const failed = async (work) => {
  try {
    await work();
    return { error: null };
  } catch (error) {
    return {
      error: error.constructor.name,
      api_error: error instanceof Anthropic.APIError,
      status: error.status ?? 200,
      type: error.error?.error?.type,
      message: error.error?.error?.message,
      retry_after: error.headers?.get('retry-after') ?? null,
      request_id: Boolean(error.requestID),
    };
  }
};

const stories = {
  text: async () => (await streamed('text')).told,
  parallel: async () => (await streamed('parallel', { tools })).told,
  thinking: async () => {
    const thinking = { type: 'enabled', budget_tokens: 1024 };
    const first = await streamed('thinking', { thinking, max_tokens: 2048 });
    const history = [
      { role: 'user', content: 'thinking' },
      { role: 'assistant', content: first.message.content },
      { role: 'user', content: 'text' },
    ];
    const second = await streamed('text', { thinking, max_tokens: 2048, messages: history });
    return { ...first.told, then: second.told.content };
  },
  whole: async () => {
    const message = await client.messages.create(ask('whole'));
    return { ...said(message), request_id: Boolean(message._request_id) };
  },
  count: async () => {
    const { messages, model } = ask('some words to count');
    const count = await client.messages.countTokens({ model, messages });
    return { counted: count.input_tokens > 0 };
  },
  models: async () => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return { ids, one: (await client.models.retrieve('big')).id };
  },
  // The SDK tries again by itself, when the gateway wants it to.
  again: async () => said(await new Anthropic({ ...options, maxRetries: 1 }).messages.create(ask('again'))),
};
for (const status of ['400', '401', '403', '404', '413', '429', '500', '503', 'overflow', 'broken-off', 'error-within']) {
  stories[status] = () => failed(() => streamed(status));
  stories[`${status}, whole`] = () => failed(() => client.messages.create(ask(status)));
}
stories['wrong token'] = () => failed(() => new Anthropic({ ...options, apiKey: 'x' }).messages.create(ask('text')));

// Leaving in the middle of an answer that never ends.
stories.left = () =>
  failed(async () => {
    const stream = client.messages.stream(ask('endless'));
    stream.on('text', () => stream.abort());
    await stream.finalMessage();
  });

for (const [name, story] of Object.entries(stories)) {
  console.log(JSON.stringify([name, await story()]));
}
