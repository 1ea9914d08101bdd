// One answer in the making. It goes on when its conversation is not on the screen.
import {streamChat} from '../api.js';
import {saveConversation} from '../conversations.js';

const kSaveEveryMs = 1000;

export class Answer {
  // onChange(answer) after each piece of text; run() does the rest.
  constructor(conversation, onChange) {
    this.conversation = conversation;
    this.onChange = onChange;
    this.message = {role: 'assistant', content: '', state: 'writing'};
    this.abort = new AbortController();
    this.pieces = 0;
    this.isDiscarded = false;
    this.storageProblem = null;  // what kept it from being stored
  }

  // Adds the message to the conversation and fills it. Never throws: what went wrong stands in
  // message.error. Returns the ApiError, if any.
  async run() {
    const body = requestOf(this.conversation);
    this.conversation.messages.push(this.message);
    this.started = performance.now();
    this.saved = this.started;
    let problem = null;
    try {
      const {finish, usage} = await streamChat(body, this.abort.signal, (text) => this.take(text));
      Object.assign(this.message, {state: 'done', finish, usage});
    } catch (error) {
      if (error.name === 'AbortError') {
        this.message.state = 'stopped';
      } else {
        Object.assign(this.message, {state: 'failed', error: error.message, status: error.status ?? null});
        problem = error;
      }
    }
    this.message.timing = this.timing();
    this.conversation.updated = Date.now();
    this.save();
    return problem;
  }

  stop() {
    this.abort.abort();
  }

  // Saves for the last time: that the browser then breaks the stream off is no failure.
  leave() {
    this.save();
    this.discard();
  }

  // Saves no more, for example since the conversation was deleted.
  discard() {
    this.isDiscarded = true;
    this.stop();
  }

  take(text) {
    const now = performance.now();
    this.first ??= now;
    this.last = now;
    ++this.pieces;
    this.message.content += text;
    if (now - this.saved > kSaveEveryMs) {
      this.saved = now;
      this.save();
    }
    this.onChange(this);
  }

  // The first token waits for the prompt; the rate is that of the others.
  timing() {
    if (this.first === undefined) return null;
    const seconds = (this.last - this.first) / 1000;
    const tokens = this.message.usage?.completion_tokens ?? this.pieces;
    return {
      first_ms: Math.round(this.first - this.started),
      tokens,
      tokens_per_second: seconds > 0.02 && tokens > 1 ? (tokens - 1) / seconds : null,
      exact: this.message.usage !== undefined,
    };
  }

  save() {
    if (this.isDiscarded) return;
    try {
      saveConversation(this.conversation);
      this.storageProblem = null;
    } catch (error) {
      this.storageProblem = error;
    }
  }
}

function requestOf({settings, messages}) {
  const sent = messages.filter((message) => message.content !== '')
    .map(({role, content}) => ({role, content}));
  if (settings.system.trim()) sent.unshift({role: 'system', content: settings.system});
  const body = {messages: sent};
  for (const name of ['temperature', 'top_k', 'top_p', 'min_p', 'max_tokens', 'seed']) {
    if (typeof settings[name] === 'number') body[name] = settings[name];
  }
  return body;
}
