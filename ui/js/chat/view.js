// The chat: one conversation on the screen, and the answers that are being made.
import {announce} from '../announce.js';
import {setKey} from '../api.js';
import {findConversation, newConversation, removeConversation, saveConversation,
        titleOf} from '../conversations.js';
import {confirmDialog, keyDialog, textDialog} from '../dialogs.js';
import {byId, element} from '../dom.js';
import {onForeignChange, save} from '../storage.js';
import {Answer} from './answer.js';
import {Composer} from './composer.js';
import {openEditor} from './editor.js';
import {dropEdits, editsOf, keepEdit} from './edits.js';
import {MessageView} from './message.js';
import {Scroller} from './scroller.js';
import {SettingsPanel} from './settings.js';
import {showConversations} from './sidebar.js';

const kSuggestions = [
  'Explain how a prefix cache saves work when many people share a system prompt.',
  'Write a Python function that merges overlapping intervals, with tests.',
  'Summarise the difference between latency and throughput in a small table.',
];

export class ChatView {
  // navigate(id) shows another conversation; null: a new one. onKey() after a key was entered.
  constructor(navigate, onKey) {
    this.navigate = navigate;
    this.onKey = onKey;
    this.answers = new Map();  // the running ones, by conversation
    this.views = new Map();    // by message
    this.modelName = '';
    this.list = byId('messages');
    this.scroller = new Scroller(byId('scroller'), byId('jump'));
    this.composer = new Composer({
      send: (text) => this.send(text), stop: () => this.stop(), editLast: () => this.editLast()});
    this.settings = new SettingsPanel((settings) => this.changeSettings(settings));
    byId('suggestions').append(...kSuggestions.map((text) => element('li', {}, element(
      'button', {type: 'button', class: 'button', click: () => this.composer.set(text)}, text))));
    onForeignChange((key) => this.onForeignChange(key));
  }

  get running() {
    return this.answers.get(this.conversation.id);
  }

  // Shows the conversation with this id; a new one if there is none.
  open(id) {
    this.conversation = this.answers.get(id)?.conversation ?? findConversation(id) ?? newConversation();
    for (const message of this.conversation.messages) {
      if (message.state === 'writing' && message !== this.running?.message) message.state = 'interrupted';
    }
    this.composer.open(id ?? 'new');
    this.settings.show(this.conversation.settings);
    this.showMessages();
    this.scroller.toEnd();
    this.showState();
    return this.conversation.id;
  }

  // Comes at any time: whoever is editing a message keeps their field, the cursor and the focus.
  setModelName(name) {
    this.modelName = name;
    for (const [message, view] of this.views) if (message.role !== 'user') view.setModelName(name);
  }

  title() {
    return titleOf(this.conversation);
  }

  showMessages() {
    this.views.clear();
    const {id, messages} = this.conversation;
    this.list.replaceChildren(...messages.map((message) => this.viewOf(message).element));
    for (const [at, text] of editsOf(id)) {
      if (messages[at]?.role === 'user') this.showEditor(messages[at], text);
    }
    byId('greeting').hidden = messages.length > 0;
  }

  showState() {
    this.composer.setRunning(this.running !== undefined);
    byId('view-title').textContent = this.title();
    document.title = this.conversation.messages.length ? `${this.title()} \u2013 Tessera` : 'Tessera';
    this.showSidebar();
  }

  showSidebar() {
    showConversations(this.hidden ? null : this.conversation.id, (id) => this.answers.has(id), {
      rename: (conversation) => this.rename(conversation), remove: (conversation) => this.remove(conversation)});
  }

  viewOf(message) {
    const view = new MessageView(message, this.modelName, {
      edit: (edited) => this.edit(edited), regenerate: (answer) => this.regenerate(answer),
      retry: (answer) => this.regenerate(answer), enterKey: (answer) => this.enterKey(answer)});
    this.views.set(message, view);
    return view;
  }

  send(text) {
    if (this.running) return;
    this.conversation.messages.push({role: 'user', content: text});
    this.conversation.updated = Date.now();
    this.keep(this.conversation);
    this.composer.belongTo(this.conversation.id);
    this.showMessages();
    this.navigate(this.conversation.id);
    this.answer();
  }

  // Has the model answer the conversation as it stands.
  async answer() {
    const {conversation} = this;
    const answer = new Answer(conversation, () => this.onPiece(answer));
    this.answers.set(conversation.id, answer);
    const done = answer.run();
    this.list.append(this.viewOf(answer.message).element);
    this.scroller.toEnd();
    this.showState();
    await done;
    this.answers.delete(conversation.id);
    this.showStorageProblem(answer.storageProblem);
    const view = this.views.get(answer.message);
    if (view) this.scroller.following(() => view.update());
    this.showState();
    if (view && conversation === this.conversation) announce(view.spoken());
  }

  onPiece(answer) {
    if (answer.conversation !== this.conversation || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      const view = this.views.get(answer.message);
      if (view) this.scroller.following(() => view.update());
    });
  }

  stop() {
    this.running?.stop();
    return this.running !== undefined;
  }

  // Drops `message` and what follows.
  truncate(message) {
    const at = this.conversation.messages.indexOf(message);
    if (at >= 0) {
      this.conversation.messages.length = at;
      dropEdits(this.conversation.id, at);
    }
    this.showMessages();
  }

  regenerate(message) {
    if (this.running) return;
    this.truncate(message);
    this.answer();
    this.composer.focus();
  }

  edit(message) {
    if (this.running) return;
    const area = this.showEditor(message, message.content);
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }

  showEditor(message, begin) {
    const {id, messages} = this.conversation;
    const at = messages.indexOf(message);
    return openEditor(this.views.get(message).element, begin, (text) => keepEdit(id, at, text), (text) => {
      if (text !== null && this.running) return;  // it stays open until the answer is there
      if (text === null) {
        dropEdits(id, at, at);
        this.views.get(message).element.replaceWith(this.viewOf(message).element);  // other editors stay open
        this.composer.input.focus();
        return;
      }
      this.truncate(message);
      this.send(text);
      this.composer.focus();
    });
  }

  editLast() {
    const last = this.conversation.messages.findLast((message) => message.role === 'user');
    if (last) this.edit(last);
  }

  async enterKey(message) {
    if (await this.askForKey()) this.regenerate(message);
  }

  async askForKey() {
    const entered = await keyDialog();
    if (!entered) return false;
    setKey(entered.key, entered.keep);
    this.onKey();
    return true;
  }

  changeSettings(settings) {
    Object.assign(this.conversation.settings, settings);
    if (this.conversation.messages.length) this.keep(this.conversation);
    const {system, ...sampling} = this.conversation.settings;
    try {
      save('settings', {...sampling, system});
    } catch {
      // They still hold for this conversation.
    }
  }

  async rename(conversation) {
    const title = await textDialog('Rename the conversation', 'Title', titleOf(conversation), 'Rename');
    if (!title) return;
    const held = this.held(conversation.id) ?? conversation;
    held.title = title;
    this.keep(held);
    this.showState();
  }

  async remove(conversation) {
    const sure = await confirmDialog('Delete the conversation?',
                                     `\u201c${titleOf(conversation)}\u201d will be gone from this browser.`, 'Delete');
    if (!sure) return;
    this.answers.get(conversation.id)?.discard();
    removeConversation(conversation.id);
    announce('Conversation deleted');
    if (conversation.id === this.conversation.id) this.navigate(null);
    this.showSidebar();
  }

  // The object in use for a conversation, which may be ahead of what is stored.
  held(id) {
    return this.answers.get(id)?.conversation ?? (id === this.conversation.id ? this.conversation : null);
  }

  keep(conversation) {
    try {
      saveConversation(conversation);
      this.showStorageProblem(null);
    } catch (error) {
      this.showStorageProblem(error);
    }
  }

  // What cannot be stored is still on the screen, and its owner has to know.
  showStorageProblem(error) {
    const notice = byId('notice');
    notice.hidden = !error;
    notice.textContent = error ? `Not saved: ${error.message}.` : '';
  }

  onForeignChange(key) {
    if (!key.startsWith('conversation/')) return;
    const isOpen = key === `conversation/${this.conversation.id}`;
    const editing = this.list.querySelector('.editor') !== null;
    if (isOpen && !this.running && !editing && findConversation(this.conversation.id)) this.open(this.conversation.id);
    else this.showSidebar();
  }
}
