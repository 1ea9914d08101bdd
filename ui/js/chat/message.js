// How a message looks: its text, its actions, and what is known about it.
import {element, icon, iconButton} from '../dom.js';
import {copyFromButton} from '../clipboard.js';
import {MarkdownView} from '../markdown/render.js';

// actions: {edit(message), regenerate(message), retry(message), enterKey(message)}.
export class MessageView {
  constructor(message, modelName, actions) {
    this.message = message;
    this.actions = actions;
    const user = message.role === 'user';
    this.body = element('div', {class: user ? 'said' : 'prose'});
    this.foot = element('div');
    this.author = element('h2', {class: 'author'}, 'You');
    if (!user) this.setModelName(modelName);
    this.element = element('article', {class: `message ${message.role}`}, this.author, this.body, this.foot);
    this.markdown = new MarkdownView(this.body);
    this.update();
  }

  // For an answer only.
  setModelName(name) {
    this.author.textContent = name || 'Answer';
  }

  // Shows the message as it is now.
  update() {
    const {role, content, state} = this.message;
    const writing = state === 'writing';
    if (role === 'user') this.body.textContent = content;
    else if (writing && content === '') this.showWaiting();
    else this.showAnswer(content);
    this.element.setAttribute('aria-busy', String(writing));
    // Nothing to press changes while an answer grows.
    if (writing && this.foot.firstChild) return;
    this.foot.replaceChildren(...(role === 'user' ? this.userFoot() : writing ? [] : this.answerFoot()));
  }

  showWaiting() {
    this.body.replaceChildren(element('span', {class: 'waiting', role: 'img', 'aria-label': 'Waiting for the first word'},
                                      element('i'), element('i'), element('i')));
    this.waiting = true;
  }

  showAnswer(content) {
    if (this.waiting) this.body.replaceChildren();
    this.waiting = false;
    this.markdown.update(content);
  }

  userFoot() {
    const copy = iconButton('copy', 'Copy the message', () => copyFromButton(copy, this.message.content));
    return [element('div', {class: 'actions'}, copy,
                    iconButton('edit', 'Edit the message', () => this.actions.edit(this.message)))];
  }

  answerFoot() {
    const {state, finish, error, content} = this.message;
    const parts = [];
    if (state === 'stopped') parts.push(element('p', {class: 'note'}, 'Stopped.'));
    if (state === 'interrupted') parts.push(element('p', {class: 'note'}, 'The page was closed before the answer was complete.'));
    if (finish === 'length') parts.push(element('p', {class: 'note'}, 'Ended at the limit of tokens.'));
    if (state === 'failed') parts.push(this.problem(error));
    const copy = iconButton('copy', 'Copy the answer', () => copyFromButton(copy, content));
    parts.push(element('div', {class: 'actions'}, content ? copy : null,
                       state === 'failed' ? null
                         : iconButton('again', 'Answer again', () => this.actions.regenerate(this.message)),
                       element('span', {class: 'facts'}, factsOf(this.message))));
    return parts;
  }

  problem(error) {
    const needsKey = this.message.status === 401;
    const press = () => needsKey ? this.actions.enterKey(this.message) : this.actions.retry(this.message);
    return element('div', {class: 'problem', role: 'alert'}, icon('warning'), element('p', {}, error[0].toUpperCase() + error.slice(1)),
                   element('button', {type: 'button', class: 'button small retry', click: press},
                           needsKey ? 'Enter the API key' : 'Try again'));
  }

  // What a screen reader is told when the answer is complete.
  spoken() {
    const {state, error} = this.message;
    if (state === 'failed') return `The answer failed: ${error}`;
    return `${state === 'stopped' ? 'Answer stopped: ' : 'Answer: '}${this.body.textContent}`;
  }
}

function factsOf({timing, usage}) {
  const facts = [];
  if (timing) {
    const about = timing.exact ? '' : 'about ';
    facts.push(`${about}${timing.tokens} token${timing.tokens === 1 ? '' : 's'}`);
    if (timing.tokens_per_second) facts.push(`${timing.tokens_per_second.toFixed(1)} tokens/s`);
    facts.push(`first after ${timing.first_ms < 1000 ? `${timing.first_ms} ms` : `${(timing.first_ms / 1000).toFixed(1)} s`}`);
  }
  const cached = usage?.prompt_tokens_details?.cached_tokens;
  if (cached !== undefined) facts.push(`${cached} of ${usage.prompt_tokens} prompt tokens cached`);
  return facts.join(' \u00b7 ');
}
